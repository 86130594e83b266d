"""What is the user's to mend."""

import contextlib
import re
from collections.abc import Iterator


class UserError(Exception):
    """Something asked for or given that cannot be; its message is a sentence on what to do.

    A command prints the sentence, without a traceback, and ends with the status.
    """

    status = 2
    """Exit status of a command."""


class ExecutionError(UserError, RuntimeError):
    """Work that could be as it was asked for, and failed: it diverged, or a disk was full."""

    status = 1


@contextlib.contextmanager
def told_by_parameters() -> Iterator[None]:
    """Has a UserError inside name Python's parameters, ``epochs=``, in place of flags, --epochs."""
    try:
        yield
    except UserError as error:
        error.args = tuple(
            _FLAG.sub(_parameter, each) if isinstance(each, str) else each for each in error.args
        )
        raise


_FLAG = re.compile(r"--data-on host|--([a-z][\w.-]*\w)((?<=--base) | (?=(?:\d[\d.]*|N)\b))?")

_PARAMETERS = {
    "--data-on host": "on_host=True",
    "--data-workers": "workers=",
    "--download": "download=True",
    "--rgb": "rgb=True",
    "--skip-broken": "skip_broken=True",
}


def _parameter(found: re.Match[str]) -> str:
    return _PARAMETERS.get(found[0]) or f"{found[1].replace('-', '_')}="


class SettingsError(UserError, ValueError):
    """Settings or arrays that a function cannot work with; the message names which and why."""


def refuse_other_bytes(name: str, kind: type[UserError]) -> None:
    """Raises an error of this kind for a name, as of a file, whose bytes are no UTF-8."""
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise kind(
            f"the name {name!a} is no UTF-8, and checkpoints and reports cannot hold it; rename it"
        ) from error

"""What is the user's to mend."""


class UserError(Exception):
    """Something asked for or given that cannot be; its message is a sentence on what to do.

    A command prints the sentence, without a traceback, and ends with the status.
    """

    status = 2
    """Exit status of a command."""


class ExecutionError(UserError, RuntimeError):
    """Work that could be as it was asked for, and failed: it diverged, or a disk was full."""

    status = 1


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

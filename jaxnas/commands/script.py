"""How a command meets its user: its flags are read, it runs, and it ends with a sentence."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shutil
import sys
from collections.abc import Callable
from typing import Any, Never

from jaxnas.errors import UserError, refuse_other_bytes
from jaxnas.hints import escaped
from jaxnas.library_messages import tell_in_lines


def run_script(
    flags: Any,
    description: str | None,
    run: Callable[[Any], object],
    default: Any = None,
    *,
    overlapping: bool = False,
) -> None:
    """Reads the command line of a script and runs it; see `run_command`.

    Args:
      flags: the dataclass of the flags.
      description: the first thing that ``--help`` says.
      run: takes the flags.
      default: an instance that holds the flags' defaults; those of the class by default.
      overlapping: whether the steps are many small programs on a CPU, which JAX starts while others
        still run; `keep_memory`, which takes one after the other, would slow them down.
    """

    def run_ready(parsed: Any) -> None:
        get_ready(overlapping=overlapping)
        run(parsed)

    from jaxnas.commands.flag_parsing import parse_flags

    run_command(lambda: parse_flags(flags, description=description, default=default), run_ready)


def get_ready(*, overlapping: bool = False) -> None:
    """Keeps memory and compiled programs, before this process first computes; see `run_script`."""
    from jaxnas.allocation import keep_memory
    from jaxnas.compilation import keep_programs

    if not overlapping:
        keep_memory()
    keep_programs()


def run_command(parse: Callable[[], Any], run: Callable[[Any], object]) -> None:
    """Reads the command line, runs, and tells in a sentence what the user can mend.

    That is a `UserError`, and whatever a file, a disk, the memory or a device can cause. The exit
    status is that of the error's class, 2 where the flags, or what they name, cannot be, and 1
    where the work fails; 130 after an interrupt.

    Args:
      parse: reads the command line, and returns the flags.
      run: takes the flags.
    """
    tell_in_lines()
    _bound_columns()
    parsed = None
    try:
        for word in sys.argv[1:]:
            refuse_other_bytes(word, UserError)
        parsed = parse()
        run(parsed)
        if sys.stdout is not None:  # which a shell may close
            sys.stdout.flush()
    except UserError as error:
        _fail(str(error), error.status)
    except KeyboardInterrupt:
        again = "; the same command with --overwrite starts anew"
        if _has(parsed, "resume"):
            again = "; the same command with --resume goes on"
        elif not _has(parsed, "overwrite"):
            again = ""
        _stop_interrupted(f"interrupted{again}")
    except BrokenPipeError:
        _stop_without_reader()
    except Exception as error:
        sentence = _failure_of_machine(error)
        if sentence is None:
            raise
        _fail(sentence)


def _bound_columns() -> None:
    """Bounds the terminal's width: to lay out help in a few columns takes minutes."""
    least, most = 20, 1000
    columns = shutil.get_terminal_size().columns
    if "COLUMNS" in os.environ or columns < least:
        os.environ["COLUMNS"] = str(min(max(columns, least), most))


def _failure_of_machine(error: Exception) -> str | None:
    """A sentence on the file, the memory or the device that caused it; None for anything else."""
    text = str(error)
    if isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in text:
        return f"the memory does not suffice ({_first_line(error)}); make the run smaller"
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        return f"{where}{error.strerror or _first_line(error)}"
    if "jax" not in sys.modules:
        return None
    import jax

    if isinstance(error, jax.errors.JaxRuntimeError) and (
        "CUDA" in text or text.startswith(("UNAVAILABLE", "ABORTED", "DATA_LOSS"))
    ):
        return f"the device failed ({_first_line(error)}); --resume goes on, where there is one"
    try:
        jax.devices()
    except Exception as reason:  # RuntimeError, or a bare AssertionError
        asked = os.environ.get("JAX_PLATFORMS")
        cause = f"JAX_PLATFORMS={asked}" if asked else _first_line(reason)
        return (
            f"JAX finds no device ({cause}); install jax for that device, or set JAX_PLATFORMS=cpu"
        )
    return None


def _fail(sentence: str, status: int = 1) -> Never:
    """Says it, with what would move a terminal's cursor, as a file's name may, escaped."""
    end = SystemExit(f"error: {escaped(sentence, ('Cc', 'Cf', 'Zl', 'Zp'))}")
    end.code = status
    with contextlib.suppress(AttributeError, OSError):  # nobody may read any more
        print(end, file=sys.stderr, flush=True)
    raise end


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _has(flags: Any, name: str) -> bool:
    """Whether one of the flags, or of the groups of them, has the name."""
    return hasattr(flags, name) or (
        dataclasses.is_dataclass(flags) and any(_has(each, name) for each in vars(flags).values())
    )


def _stop_interrupted(sentence: str) -> Never:
    """Says so and ends the process at once, with status 130.

    The interpreter's own end would wait for what XLA compiles, which may take minutes. Nothing is
    lost: files are written whole or not at all, and locks are the kernel's.
    """
    with contextlib.suppress(OSError):  # nobody may read any more
        sys.stdout.flush()
        print(sentence, file=sys.stderr, flush=True)
    os._exit(130)


def _stop_without_reader() -> Never:
    """Ends the process whose output nobody reads any more, as in ``--help | head``."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(1)

"""How the script of an experiment meets its user."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import sys
from collections.abc import Callable
from typing import Any, Never

from jaxnas.errors import UserError


def run_script(flags: Any, description: str | None, run: Callable[[Any], object]) -> None:
    """Reads the command line, runs, and tells errors in a sentence, with status 1.

    Args:
      flags: the dataclass of the flags.
      description: the first thing that ``--help`` says.
      run: takes the flags.
    """
    import tyro

    from jaxnas.allocation import keep_memory
    from jaxnas.compilation import keep_programs

    parsed = None
    try:
        parsed = tyro.cli(flags, description=description)
        keep_memory()
        keep_programs()
        run(parsed)
        sys.stdout.flush()
    except UserError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        again = "--resume goes on" if _can_resume(parsed) else "--overwrite starts anew"
        stop_interrupted(f"interrupted; the same command with {again}")
    except BrokenPipeError:
        stop_without_reader()


def _can_resume(flags: Any) -> bool:
    """Whether one of the flags, or of the groups of them, is ``--resume``."""
    return hasattr(flags, "resume") or (
        dataclasses.is_dataclass(flags) and any(map(_can_resume, vars(flags).values()))
    )


def stop_interrupted(sentence: str) -> Never:
    """Says so and ends the process at once, with status 130.

    The interpreter's own end would wait for what XLA compiles, which may take minutes. Nothing is
    lost: files are written whole or not at all, and locks are the kernel's.
    """
    with contextlib.suppress(OSError):  # nobody may read any more
        sys.stdout.flush()
        print(sentence, file=sys.stderr, flush=True)
    os._exit(130)


def stop_without_reader() -> Never:
    """Ends the process whose output nobody reads any more, as in ``--help | head``."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(1)

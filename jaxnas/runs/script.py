"""How the script of an experiment meets its user."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any, Never


def run_script(flags: Any, description: str | None, run: Callable[[Any], object]) -> None:
    """Reads the command line, runs, and tells errors in a sentence, with status 1.

    Args:
      flags: the dataclass of the flags.
      description: the first thing that ``--help`` says.
      run: takes the flags.
    """
    import tyro

    from jaxnas.runs.experiment import USER_ERRORS

    try:
        run(tyro.cli(flags, description=description))
        sys.stdout.flush()
    except USER_ERRORS as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        print("interrupted; the same command with --resume goes on", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:
        stop_without_reader()


def stop_without_reader() -> Never:
    """Ends the process whose output nobody reads any more, as in ``--help | head``."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(1)

"""How the script of an experiment meets its user."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from jaxnas.runs.experiment import USER_ERRORS


def run_script(flags: Any, description: str | None, run: Callable[[Any], object]) -> None:
    """Reads the command line, runs, and tells errors in a sentence, with status 1.

    Args:
      flags: the dataclass of the flags.
      description: the first thing that ``--help`` says.
      run: takes the flags.
    """
    import tyro

    try:
        run(tyro.cli(flags, description=description))
    except USER_ERRORS as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        print("interrupted; the same command with --resume goes on", file=sys.stderr)
        sys.exit(130)

"""Flags in, report out: what the command line and the scripts of `experiments/` call."""

import os
import sys
import traceback
from types import TracebackType

_FREE = ("JAX_COMPILATION_CACHE_DIR", "JAX_PLATFORMS")  # any text, until it is used
_SET = [f"{name}={value}" for name, value in os.environ.items() if name.startswith("JAX_")]


def _end_interrupted(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    """Tells an interrupt of what is still imported as `run_command` tells later ones."""
    codes = [frame.f_code for frame, _ in traceback.walk_tb(trace)]
    importing = any("importlib" in each.co_filename for each in codes)
    importing |= sum(each.co_name == "<module>" for each in codes) > 1
    if not (importing and issubclass(kind, KeyboardInterrupt)):
        sys.__excepthook__(kind, error, trace)
        return
    print("interrupted", file=sys.stderr, flush=True)
    os._exit(130)


sys.excepthook = _end_interrupted

# JAX raises what is wrong with the others as it is imported, as scripts do before they run.
if any(not each.startswith(_FREE) for each in _SET):
    try:
        import jax  # noqa: F401
    except (TypeError, ValueError) as _error:
        sys.exit(f"error: JAX does not start with {' '.join(sorted(_SET))} ({_error}); mend that")

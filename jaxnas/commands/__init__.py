"""Flags in, report out: what the command line and the scripts of `experiments/` call."""

import os
import sys

_FREE = ("JAX_COMPILATION_CACHE_DIR", "JAX_PLATFORMS")  # any text, until it is used
_SET = [f"{name}={value}" for name, value in os.environ.items() if name.startswith("JAX_")]

# JAX raises what is wrong with the others as it is imported, as scripts do before they run.
if any(not each.startswith(_FREE) for each in _SET):
    try:
        import jax  # noqa: F401
    except (TypeError, ValueError) as _error:
        sys.exit(f"error: JAX does not start with {' '.join(sorted(_SET))} ({_error}); mend that")

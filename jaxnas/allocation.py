"""Memory of the process: what a program frees stays with it, for the next program to take."""

from __future__ import annotations

import ctypes
import sys

# Parameters of glibc's mallopt(3).
_TRIM_THRESHOLD, _MMAP_MAX = -1, -4


def keep_memory() -> None:
    """Keeps freed memory in the process, so that a step does not wait for the kernel to clear it.

    XLA on a CPU allocates all temporary arrays of a program anew in every run. glibc gives blocks
    of such sizes back to the kernel each time, which hands them out again page by page, cleared: a
    fifth to a third of a cell network's step. Here they come from the main thread's heap, which
    only grows, so that the process stays as large as it once was. For that JAX has to run programs
    in the thread that calls them. Elsewhere than on Linux with glibc nothing changes. Bits do not
    depend on it. Call it before JAX's first computation.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        import jax

        mallopt(_MMAP_MAX, 0)
        mallopt(_TRIM_THRESHOLD, -1)  # never
        jax.config.update("jax_cpu_enable_async_dispatch", False)

"""Memory of the process: what it may take, and that what a program frees stays for the next."""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
from pathlib import Path

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


def free_memory() -> int:
    """Number of bytes that this process may still take, as far as the system says."""
    bounds = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    with contextlib.suppress(OSError):  # Linux alone has these files, and not each of them
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                bounds.append(int(line.split()[1]) * 1024)
    with contextlib.suppress(OSError, ValueError):  # "max" of a container without a limit
        bounds.append(int(Path("/sys/fs/cgroup/memory.max").read_text()))
    return min(bounds)

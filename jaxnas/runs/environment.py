"""On what a run ran: versions, device, revision, command."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import jax

PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy", "jaxnas")


def environment() -> dict[str, Any]:
    """What `config.json` records beside the configuration; JSON-able.

    Returns:
      ``versions`` (null for a package that is not installed), ``device`` (platform, kind, count),
      ``cpu_count``, ``git`` (revision and dirty, or null if this source is not in a repository)
      and ``command``, without the folder of the program.
    """
    devices = jax.devices()
    return {
        "versions": {"python": platform.python_version()}
        | {package: _version(package) for package in PACKAGES},
        "device": {
            "platform": devices[0].platform,
            "kind": devices[0].device_kind,
            "count": len(devices),
        },
        "cpu_count": os.cpu_count(),
        "git": _git(),
        "command": " ".join([os.path.basename(sys.argv[0]), *sys.argv[1:]]),
    }


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _git() -> dict[str, Any] | None:
    # A copy of this package installed inside somebody's repository is not of that repository.
    if _ask_git("ls-files", "--error-unmatch", Path(__file__).name) is None:
        return None
    revision = _ask_git("rev-parse", "HEAD")
    changes = _ask_git("status", "--porcelain")
    if revision is None or changes is None:
        return None
    return {"revision": revision, "dirty": bool(changes)}


def _ask_git(*arguments: str) -> str | None:
    """What git says about the folder of this file, or None if it declines or is not there."""
    try:
        answer = subprocess.run(
            ["git", *arguments],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.strip()

"""On what a run ran: versions, device, revision, command."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import jax

from jaxnas.compilation import in_force

PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy", "jaxnas")


def environment() -> dict[str, Any]:
    """What `config.json` records beside the configuration; JSON-able.

    Returns:
      ``versions`` (null for a package that is not installed), ``device`` (platform, kind, count),
      ``compilation`` (XLA's options), ``cpu_count``, ``git`` (revision and dirty, or null if this
      source is not in a repository) and ``command``, a program outside the working directory
      without its folder.
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
        "compilation": in_force(),
        "git": _git(),
        "command": _command(),
    }


def _command() -> str:
    """The command line, to be typed where it was typed."""
    program = Path(sys.argv[0])
    if program.name == "__main__.py":
        words = ["python", "-m", program.parent.name]
    elif program.suffix == ".py":
        absolute, here = Path(os.path.abspath(program)), Path.cwd()
        inside = absolute.is_relative_to(here)
        words = ["python", str(absolute.relative_to(here)) if inside else program.name]
    else:
        words = [program.name]  # an installed command
    return shlex.join([*words, *sys.argv[1:]])


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

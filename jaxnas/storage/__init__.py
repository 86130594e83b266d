"""What a run leaves on disk: its folder, configuration, checkpoints, metrics and digest."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jaxnas.storage.checkpoints import Checkpoints
    from jaxnas.storage.digest import run_digest
    from jaxnas.storage.directory import RunDirectory
    from jaxnas.storage.files import RunError

__all__ = ["Checkpoints", "RunDirectory", "RunError", "run_digest"]

_MODULES = {
    "Checkpoints": "checkpoints",
    "RunDirectory": "directory",
    "RunError": "files",
    "run_digest": "digest",
}


def __getattr__(name: str) -> Any:
    # Looked up when first used, so that files are read and written without JAX.
    if name in __all__:
        return getattr(importlib.import_module(f"jaxnas.storage.{_MODULES[name]}"), name)
    raise AttributeError(f"module 'jaxnas.storage' has no attribute {name!r}")

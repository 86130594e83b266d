"""What a run leaves on disk: its folder, configuration, checkpoints, metrics and digest."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jaxnas.lazy import at_first_use

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

__getattr__ = at_first_use(__name__, _MODULES)

"""The flags of experiments that train the children of a search."""

from __future__ import annotations

import dataclasses
from typing import Any

from jaxnas.runs.config import ConfigError, flag
from jaxnas.runs.search_config import SearchFlags


@dataclasses.dataclass(frozen=True)
class ChildExperiment(SearchFlags):
    """Trains many small networks, and the best of them at full size."""

    workers: int = 0
    """Processes of this machine that train children side by side; 0 for none but this one."""
    children: int = 200
    """Children that the search asks for, and random search beside it."""
    train_share: float = 0.9
    """Share of the training images that children are trained by; the others judge them."""
    judged: int = 1
    """How many of a child's last epochs are judged."""
    finalists: int = 5
    """The best children of each search, which are trained longer to choose the winner."""
    finalist_epochs: int = 60
    """Epochs of their training."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("children", "finalists", "finalist_epochs"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{flag(name)} must be at least 1, not {getattr(self, name)}")
        if self.workers < 0:
            raise ConfigError(f"--workers must not be negative, not {self.workers}")

    def recorded(self) -> dict[str, Any]:
        """As in `SearchFlags`; how many workers there are makes no difference."""
        fields = super().recorded()
        del fields["workers"]
        return fields


@dataclasses.dataclass(frozen=True)
class CellExperiment(ChildExperiment):
    """Children of cells, which a larger network is built of as well."""

    channels: int = 32
    """Of a node in the first cells of the networks of full size."""
    cells: int = 18
    """Normal cells of the networks of full size; two reductions come on top."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("channels", "cells"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{flag(name)} must be at least 1, not {getattr(self, name)}")

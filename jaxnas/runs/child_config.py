"""The flags of experiments that train the children of a search."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from jaxnas.runs.config import ConfigError, Training, WeightTraining, flag


@dataclasses.dataclass(frozen=True)
class ChildExperiment:
    """Trains many small networks to find cells, and the best of them at full size."""

    dataset: str = "cifar10"
    """cifar10, cifar100, tiny_imagenet, digits, tfds:NAME, a folder of class folders, or .npz."""
    data_dir: Path | None = None
    """Where data sets are; JAXNAS_DATA_DIR or ./data by default."""
    download: bool = False
    """Fetch the data set's official archive if it is not there (CIFAR-10 and CIFAR-100)."""
    seed: int = 0
    """The seed."""
    train_limit: int | None = None
    """Use the first so many training images only."""
    run_dir: Path | None = None
    """Where everything is written; runs/NAME-DATASET-seedN by default."""
    resume: bool = False
    """Go on with an interrupted run in the run directory."""
    overwrite: bool = False
    """Delete an earlier run in the run directory."""
    eval_every: int = 1
    """Test accuracy of the networks of full size is measured every so many epochs, and at the
    end."""
    workers: int = 0
    """Processes of this machine that train children side by side; 0 for none but this one."""
    children: int = 200
    """Children that the search asks for, and random search beside it."""
    train_share: float = 0.9
    """Share of the training images that children are trained by; the others judge them."""
    judged: int = 1
    """How many of a child's last epochs are judged."""
    random_batch: int = 20
    """Children of random search between two checkpoints."""
    finalists: int = 5
    """The best children of each search, which are trained longer to choose the winner."""
    finalist_epochs: int = 60
    """Epochs of their training."""
    channels: int = 32
    """Of a node in the first cells of the networks of full size."""
    cells: int = 18
    """Normal cells of the networks of full size; two reductions come on top."""
    training: WeightTraining = dataclasses.field(default_factory=WeightTraining)
    """How the networks of full size are trained."""

    def __post_init__(self) -> None:
        if not 0 <= self.seed < 2**32:
            raise ConfigError("a seed is a whole number from 0 to 2**32 - 1")
        for name in (
            "eval_every",
            "children",
            "random_batch",
            "finalists",
            "finalist_epochs",
            "channels",
            "cells",
        ):
            if getattr(self, name) < 1:
                raise ConfigError(f"{flag(name)} must be at least 1, not {getattr(self, name)}")
        if self.workers < 0:
            raise ConfigError(f"--workers must not be negative, not {self.workers}")
        if self.train_limit is not None and self.train_limit < 1:
            raise ConfigError(f"--train-limit must be at least 1, not {self.train_limit}")
        if not 0 < self.train_share < 1:
            raise ConfigError(f"--train-share must be between 0 and 1, not {self.train_share}")

    @property
    def plain_training(self) -> Training:
        """The training of a network that is left as it is."""
        return Training(**vars(self.training), adapt_epochs=0, warmup_epochs=0)

    def recorded(self) -> dict[str, Any]:
        """What a resumed run must agree on: all but where things are and how to go about it."""
        fields = dataclasses.asdict(self)
        for name in ("data_dir", "download", "run_dir", "resume", "overwrite", "workers"):
            del fields[name]
        return fields

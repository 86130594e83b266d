"""The flags that experiments with a search have in common."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jaxnas.jobs.worker_flags import WorkerFlags
from jaxnas.runs.config import ConfigError, WeightTraining, refuse_below_one

if TYPE_CHECKING:  # flags are read, and refused, before JAX is imported
    from jaxnas.data import Dataset
    from jaxnas.storage.directory import RunDirectory


@dataclasses.dataclass(frozen=True)
class SearchFlags:
    """What every search takes that is judged on a part of the training images."""

    dataset: str = "cifar10"
    """cifar10, cifar100, tiny_imagenet, digits, tfds:NAME, a folder of class folders, or .npz."""
    data_dir: Path | None = None
    """Where data sets are; JAXNAS_DATA_DIR or ./data by default."""
    download: bool = False
    """Fetch the data set if it is not there: CIFAR-10, CIFAR-100 and those of tfds:NAME."""
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
    jobs: WorkerFlags = dataclasses.field(default_factory=WorkerFlags)
    eval_every: int = 1
    """The test accuracy of networks that are trained from scratch in the end is measured every so
    many epochs, and after the last; the search never reads the test images."""
    train_share: float = 0.5
    """Share of the training images that networks are trained by; the others judge them."""
    training: WeightTraining = dataclasses.field(default_factory=WeightTraining)
    """Of the networks that are trained from scratch in the end, the search's and its control's."""

    def __post_init__(self) -> None:
        if not 0 <= self.seed < 2**32:
            raise ConfigError("a seed is a whole number from 0 to 2**32 - 1")
        refuse_below_one(self, "eval_every")
        if not 0 < self.train_share < 1:
            raise ConfigError(f"--train-share must be between 0 and 1, not {self.train_share}")

    def recorded(self) -> dict[str, Any]:
        """What a resumed run must agree on: all but where things are and how to go about it."""
        fields = dataclasses.asdict(self)
        for name in ("data_dir", "download", "run_dir", "resume", "overwrite", "jobs"):
            del fields[name]
        return fields

    def directory(self, name: str, settings: dict[str, Any]) -> RunDirectory:
        """The folder of a run of the method `name` with its settings, checked but not entered.

        Raises:
          RunError: if it cannot be used.
        """
        from jaxnas.storage.directory import RunDirectory

        label = self.dataset.replace(":", "-").replace("/", "-")
        folder = RunDirectory(
            self.run_dir or Path("runs") / f"{name}-{label}-seed{self.seed}",
            self.recorded() | {"search": name, "settings": settings},
            resume=self.resume,
            overwrite=self.overwrite,
        )
        folder.check()  # what follows may take long
        return folder

    def load(self) -> Dataset:
        """The data set.

        Raises:
          DataError: if it cannot be found, read or limited.
        """
        from jaxnas import data

        dataset = data.load(self.dataset, self.data_dir, download=self.download)
        return dataset if self.train_limit is None else dataset.limit(self.train_limit)


@dataclasses.dataclass(frozen=True)
class SearchExperiment(SearchFlags):
    """Searches a network on a part of the training images, then trains it anew on all of them."""

    search_epochs: int = 50
    """Epochs of the search."""
    search_batch_size: int = 64
    """Images in a step of the search, of each part of the data that the step has."""

    def __post_init__(self) -> None:
        super().__post_init__()
        refuse_below_one(self, "search_epochs", "search_batch_size")

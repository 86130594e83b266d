"""What training starts from, where that is not drawn."""

from __future__ import annotations

import dataclasses
import hashlib
import json

import numpy as np

from jaxnas.data import Dataset
from jaxnas.normalisation import Normalisation
from jaxnas.runs.config import ConfigError, Training


@dataclasses.dataclass(frozen=True, eq=False)
class Start:
    """What training starts from, and how.

    Attributes:
      given: float32 by name, the variables that are not drawn; of the supernet of a base too, whose
        variables have the same names.
      normalisation: of the images; None for the data set's own.
      told: which weights are taken, which are new and which are left, a sentence each.
      head_epochs: the first epochs, in which the head alone learns.
      body_share: learning rate of all but the head, as a share of the head's.
    """

    given: dict[str, np.ndarray]
    normalisation: Normalisation | None
    told: tuple[str, ...]
    head_epochs: int = 0
    body_share: float = 1.0

    @property
    def fingerprint(self) -> str:
        """SHA-256, as hex digits, of the given variables and the normalisation."""
        sha256 = hashlib.sha256(json.dumps(self.normalisation).encode())
        for name, array in sorted(self.given.items()):
            sha256.update(f"{name} {array.shape}".encode())
            sha256.update(np.ascontiguousarray(array))
        return sha256.hexdigest()

    def refuse_beyond(self, settings: Training, *, labels: bool) -> None:
        """Raises a ConfigError where the head cannot learn alone, or not for so long."""
        if self.head_epochs and not labels:
            raise ConfigError("--head-epochs is for training with labels; leave it out")
        if settings.rising_epochs > settings.epochs - self.head_epochs:
            raise ConfigError(
                f"--rate-warmup-epochs {settings.rising_epochs} must fit in the epochs after "
                f"--head-epochs {self.head_epochs}"
            )

    def normalised(self, dataset: Dataset) -> Dataset:
        """The data set, whose images are normalised as the weights want them."""
        if self.normalisation is None:
            return dataset
        return dataclasses.replace(dataset, normalisation=self.normalisation)

"""The flags of training that starts from given weights."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from jaxnas.runs.flags.checks import ConfigError, refuse_negative, refuse_wrong_fields


@dataclasses.dataclass(frozen=True)
class PretrainedFlags:
    """Weights that training starts from, and how their network learns what is new."""

    weights: Path | None = None
    """Weights to start from: a .safetensors of this project, the folder of a run or of its one
    network, or a file of timm, torchvision or Keras; by default they are drawn."""
    head_epochs: int = 0
    """Number of epochs, the first of all, in which the head alone learns: the rest of the network
    computes as it is given, in test mode."""
    body_learning_rate_share: float = 1.0
    """Learning rate of all but the head, as a share of the head's."""

    def __post_init__(self) -> None:
        refuse_wrong_fields(self)
        refuse_negative(self, "head_epochs")
        if not 0 < self.body_learning_rate_share <= 1:
            raise ConfigError(
                "--body-learning-rate-share must be above 0 and at most 1, not "
                f"{self.body_learning_rate_share}"
            )

    def refuse_beyond(self, epochs: int, weights: object) -> None:
        """Raises a ConfigError unless they fit so many epochs, and there are weights."""
        if weights is None and (self.head_epochs or self.body_learning_rate_share != 1):
            named = "--head-epochs" if self.head_epochs else "--body-learning-rate-share"
            raise ConfigError(f"{named} is for training from --weights")
        if self.head_epochs >= epochs:
            raise ConfigError(
                f"--head-epochs must be below --epochs ({epochs}), not {self.head_epochs}"
            )

    def recorded(self) -> dict[str, Any]:
        """What a resumed run must agree on, but for what the weights are."""
        fields = dataclasses.asdict(self)
        del fields["weights"]
        return fields

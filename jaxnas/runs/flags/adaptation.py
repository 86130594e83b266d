"""The flags of how an architecture adapts."""

from __future__ import annotations

import dataclasses
from typing import Literal

from jaxnas.runs.flags.checks import ConfigError, refuse_negative, refuse_wrong_fields, refuse_zero

EstimatorName = Literal["mixed", "raw"]


@dataclasses.dataclass(frozen=True)
class AdaptationFlags:
    """How the architecture adapts while the weights train."""

    adapt_epochs: int | None = None
    """Number of epochs in which the architecture adapts, the first ones; a third of all by
    default."""
    warmup_epochs: int | None = None
    """Number of these epochs before the architecture first moves; a third of them by default."""
    estimator: EstimatorName | None = None
    """Way in which architecture parameters weight the edges; by default mixed, and raw for training
    from --weights, which it starts at."""
    arch_optimizer: Literal["adam", "sgd"] = "adam"
    """Optimizer of the architecture parameters: Adam, or SGD without momentum."""
    arch_learning_rate: float | None = None
    """Learning rate of the architecture parameters; for Adam 6 / (their steps) by default, less
    below 90."""
    arch_data: Literal["train", "holdout"] = "train"
    """Images that move the architecture: the weights' own batch, or held-out training images."""
    arch_every: int = 1
    """Number of steps from one move of the architecture to the next."""
    holdout: float = 0.1
    """Share of the training images held out while the architecture adapts, for holdout."""
    cost_weight: float = 0.0
    """Weight in the loss of the expected cost, as a share of the base's."""
    target_cost: float | None = None
    """Largest cost of the adapted network, as a share of the base's: above 1 where it may grow."""
    cost: Literal["macs", "params", "latency"] = "macs"
    """Cost of a network: its multiply-adds, its parameters, or its time for a batch on this
    device."""

    def __post_init__(self) -> None:
        refuse_wrong_fields(self)
        refuse_zero(self, "arch_every")
        refuse_negative(self, "cost_weight")
        if not 0 < self.holdout < 1:
            raise ConfigError(f"--holdout must be between 0 and 1, not {self.holdout}")
        if self.target_cost is not None:
            refuse_zero(self, "target_cost")
        if self.arch_learning_rate is not None:
            refuse_zero(self, "arch_learning_rate")
        if self.arch_optimizer == "sgd" and self.arch_learning_rate is None:
            raise ConfigError("--arch-optimizer sgd needs --arch-learning-rate")

    def refuse_beyond(self, epochs: int, head_epochs: int = 0) -> None:
        """Raises a ConfigError unless the adaptation fits into the epochs of training.

        Args:
          epochs: all of them.
          head_epochs: the first ones, in which the head alone learns.
        """
        epochs -= head_epochs
        joint = self.joint_epochs(epochs)
        if not 0 <= joint <= epochs:
            most = "--epochs less --head-epochs" if head_epochs else "--epochs"
            raise ConfigError(
                f"--adapt-epochs must be from 0 to {most} ({epochs}), not {self.adapt_epochs}"
            )
        if not 0 <= self.waiting_epochs(epochs) <= joint:
            raise ConfigError(
                f"--warmup-epochs must be from 0 to --adapt-epochs ({joint}), "
                f"not {self.warmup_epochs}"
            )

    def reading(self, pretrained: bool) -> EstimatorName:
        """The estimator. From given weights the default starts as exactly their network."""
        return self.estimator or ("raw" if pretrained else "mixed")

    def joint_epochs(self, epochs: int) -> int:
        """Number of epochs in which weights and architecture train, of all epochs of training."""
        return -(-epochs // 3) if self.adapt_epochs is None else self.adapt_epochs

    def waiting_epochs(self, epochs: int) -> int:
        """Number of these epochs before θ first moves."""
        if self.warmup_epochs is not None:
            return self.warmup_epochs
        joint = self.joint_epochs(epochs)
        return joint // 3 if joint != 2 else 1

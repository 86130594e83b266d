"""The flags of learning without labels."""

from __future__ import annotations

import dataclasses
import math
from typing import Literal

from jaxnas.runs.flags.checks import ConfigError, flag


@dataclasses.dataclass(frozen=True)
class SelfSupervision:
    """How a network learns without labels, and how what it learned is judged with them."""

    method: Literal["simclr", "simsiam"] = "simclr"
    """Method: SimCLR (Chen et al. 2020) or SimSiam (Chen & He 2021); that of PNAA is not known."""
    temperature: float | None = None
    """Temperature of SimCLR's loss; 0.5 by default."""
    jitter: float = 0.5
    """Strength s of the colour jitter of both views, as SimCLR's code counts it: factors of
    1 - 0.8 s to 1 + 0.8 s on brightness, contrast and saturation, a turn of the hue of up to 0.2 s
    of the circle (s up to 2.5)."""
    crop: float | None = None
    """Least share of an image's area in a view; 0.08 for SimCLR and 0.2 for SimSiam by default."""
    blur: float = 0.0
    """Probability that a view is blurred, each of the two on its own, by a Gaussian of 0.1 to 2
    pixels in a kernel of a tenth of the image's side (at least 3); both papers have 0 on CIFAR-10.
    """
    solarize: float = 0.0
    """Probability that a view is solarized, each of the two on its own: values of at least half are
    inverted; both papers have 0."""
    neighbours: int = 200
    """Number of neighbours of the nearest-neighbour classifier, weighted at temperature 0.1."""
    probe_epochs: int = 100
    """Number of epochs of the linear classifier on the frozen features, in the end."""

    def __post_init__(self) -> None:
        if self.temperature is not None and self.method != "simclr":
            raise ConfigError(
                f"--temperature is SimCLR's; leave it out with --method {self.method}"
            )
        for name in ("temperature", "neighbours", "probe_epochs"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value > 0):
                raise ConfigError(f"{flag(name)} must be above 0, not {value}")
        if not (math.isfinite(self.jitter) and self.jitter >= 0):
            raise ConfigError(f"--jitter must be 0 or more, not {self.jitter}")
        for name in ("blur", "solarize"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"{flag(name)} must be from 0 to 1, not {getattr(self, name)}")
        if not 0 < self.smallest_crop <= 1:
            raise ConfigError(f"--crop must be above 0 and at most 1, not {self.crop}")

    @property
    def smallest_crop(self) -> float:
        """Least share of an image's area in a view."""
        if self.crop is not None:
            return self.crop
        return 0.08 if self.method == "simclr" else 0.2

    @property
    def resolved(self) -> dict[str, float]:
        """What is in force where the flags leave it to the method."""
        found = {"crop": self.smallest_crop}
        if self.method == "simclr":
            found["temperature"] = 0.5 if self.temperature is None else self.temperature
        return found

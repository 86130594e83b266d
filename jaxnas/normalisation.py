"""How the channels of images are normalised: as data sets are, and as given weights want it."""

from typing import NamedTuple


class Normalisation(NamedTuple):
    """Mean and deviation that images are normalised by: less the mean, divided by the deviation.

    Attributes:
      mean: of each channel, in units of 0..1.
      std: standard deviation of each channel, in units of 0..1.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]


IMAGENET = Normalisation((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
"""What torchvision's and most of timm's weights were trained with (torchvision's `transforms`)."""

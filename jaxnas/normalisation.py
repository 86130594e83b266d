"""How the channels of images are normalised: as data sets are, and as given weights want it."""

from typing import NamedTuple

_SMALLEST = 1e-9  # one pixel of a million images of a megapixel that differs by 1 / 255 is above it


class Normalisation(NamedTuple):
    """Mean and deviation that images are normalised by: less the mean, divided by the deviation.

    Attributes:
      mean: of each channel, in units of 0..1.
      std: standard deviation of each channel, in units of 0..1.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]


def refuse_other_units(normalisation: Normalisation) -> None:
    """Raises a ValueError unless these are of images in 0..1, and not, say, of bytes."""
    mean, std = (list(values) for values in normalisation)
    if not all(0 <= value <= 1 for value in mean):
        raise ValueError(f"mean {mean} is not within 0..1: divide one of 0..255 by 255")
    if not all(_SMALLEST <= value <= 1 for value in std):
        raise ValueError(f"std {std} is not within {_SMALLEST}..1: divide one of 0..255 by 255")


IMAGENET = Normalisation((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
"""What torchvision's and most of timm's weights were trained with (torchvision's `transforms`)."""

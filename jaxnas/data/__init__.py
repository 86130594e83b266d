"""What is learned from: uint8 images in memory, and their augmentation on the device."""

from jaxnas.data.augmentation import (
    Augmentation,
    cutout,
    normalise,
    prepare,
    random_crop,
    random_flip,
)
from jaxnas.data.dataset import Dataset, from_arrays
from jaxnas.data.errors import DataError
from jaxnas.data.loading import load
from jaxnas.data.order import epoch_permutation, rounds
from jaxnas.data.reader_options import Reading
from jaxnas.data.views import Views, two_views, view
from jaxnas.normalisation import IMAGENET, Normalisation

__all__ = [
    "IMAGENET",
    "Augmentation",
    "DataError",
    "Dataset",
    "Normalisation",
    "Reading",
    "Views",
    "cutout",
    "epoch_permutation",
    "from_arrays",
    "load",
    "normalise",
    "prepare",
    "random_crop",
    "random_flip",
    "rounds",
    "two_views",
    "view",
]

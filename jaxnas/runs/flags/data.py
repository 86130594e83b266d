"""The flags of the data set that a command learns from."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, Literal


@dataclasses.dataclass(frozen=True)
class ReadingFlags:
    """A data set, and how it is read."""

    dataset: str = "cifar10"
    """The data set: cifar10, cifar100, tiny_imagenet, imagenet, digits, tfds:NAME, a folder of
    class folders, or an .npz file."""
    data_dir: Path | None = None
    """The folder of data sets; by default $JAXNAS_DATA_DIR, or ./data."""
    download: bool = False
    """Fetch the data set if it is not there: CIFAR-10, CIFAR-100 and those of tfds:NAME."""
    image_size: int | None = None
    """Side in pixels of the square that every image becomes: its shorter side is resized, its
    middle cut out; by default images stay as they are, and must be of one size."""
    crop_share: float = 1.0
    """Side of that square as a share of the resized image's shorter side: 0.875 to test as ImageNet
    is."""
    rgb: bool = False
    """Give grey images three equal channels, as weights from colour images need."""
    test_share: float | None = None
    """Share of each class that is drawn to be the test part of data without one: of a folder of
    class folders, or of x and y in an .npz file."""
    test_seed: int = 0
    """Seed by which the test part is drawn; the same for all --seeds."""
    skip_broken: bool = False
    """Leave out image files that cannot be decoded, and name them, in place of stopping there."""

    @property
    def reading(self) -> dict[str, Any]:
        """The fields of `data.Reading` that these flags say."""
        names = ("image_size", "crop_share", "rgb", "test_share", "test_seed", "skip_broken")
        return {name: getattr(self, name) for name in names}


@dataclasses.dataclass(frozen=True)
class DataFlags(ReadingFlags):
    """The data set that is learned."""

    train_limit: int | None = None
    """Number of training images to use, the first ones; by default all, or those of a budget."""
    data_on: Literal["device", "host"] = "device"
    """Place of the images: device, which holds all of them, or host, for more than the memory
    holds: files are decoded step by step (needs grain; training and adaptation with labels)."""
    data_workers: int = 0
    """Number of processes that read images for --data-on host; 0 for threads of this one."""
    crop_area: float | None = None
    """Least share of a training image's area that is cut out at random and resized, 0.08 as
    ImageNet's networks learn; by default pad and crop. It is done on the host, of the whole
    image, so that --data-on is host."""
    flip: bool | None = None
    """Mirror each training image with probability 1/2; by default as suits the data set, which is
    no for digits and yes for all others."""

    @property
    def reading(self) -> dict[str, Any]:
        on_host = self.data_on == "host" or self.crop_area is not None
        return super().reading | {"on_host": on_host, "workers": self.data_workers}

    @property
    def label(self) -> str:
        """The data set's name as a part of a folder's name."""
        return self.dataset.replace(":", "-").replace("/", "-")

"""One function that loads every kind of data set."""

import os
from pathlib import Path

from jaxnas.data.arrays import load_digits, load_npz
from jaxnas.data.cifar import load_cifar
from jaxnas.data.dataset import Dataset
from jaxnas.data.errors import DataError
from jaxnas.data.folders import load_folder, load_tiny_imagenet
from jaxnas.data.tfds import load_tfds

_TFDS = "tfds:"
_CHOICES = (
    "choose cifar10, cifar100, tiny_imagenet, digits, tfds:NAME, a folder of class folders, or an "
    ".npz file"
)


def load(
    spec: str | os.PathLike[str],
    data_dir: str | os.PathLike[str] | None = None,
    *,
    download: bool = False,
) -> Dataset:
    """Loads a data set into memory.

    Args:
      spec: which one:
        "cifar10", "cifar100": from the official python or binary files, packed or unpacked;
        "tiny_imagenet": from the official folder tiny-imagenet-200, its val part as the test part;
        "digits": the 8x8 digits that scikit-learn ships;
        "tfds:NAME": any image classification data set of TensorFlow Datasets;
        the path of an .npz file with x_train, y_train, x_test, y_test (or x, y: the last tenth is
        the test part);
        the path of a folder with train/CLASS/* and test/CLASS/* (or val/CLASS/*) image files.
        A name goes before a path: write ./digits for a folder of that name.
      data_dir: where named data sets are, by default the environment's JAXNAS_DATA_DIR, else
        "data". It may also be the official folder or archive itself.
      download: whether to fetch what is not there; for CIFAR and tfds: data sets only.

    Returns:
      The data set; always in the same order.

    Raises:
      DataError: if it cannot be found, fetched, read or used.
    """
    name = os.fspath(spec)
    if not name:
        raise DataError(f"the name of the data set is empty: {_CHOICES}.")
    folder = Path(data_dir or os.environ.get("JAXNAS_DATA_DIR") or "data").expanduser()
    path = Path(name).expanduser()
    if name in ("cifar10", "cifar100"):
        return load_cifar(name, folder, download=download)
    if name == "tiny_imagenet":
        return load_tiny_imagenet(folder)
    if name == "digits":
        return load_digits()
    if name.startswith(_TFDS):
        return load_tfds(name.removeprefix(_TFDS), folder, download=download)
    if path.suffix == ".npz" and path.is_file():
        return load_npz(path)
    if path.is_dir():
        return load_folder(path)
    raise DataError(f"{name!r} is no data set and no path that exists: {_CHOICES}.")

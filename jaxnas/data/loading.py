"""One function that loads every kind of data set."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from jaxnas.data.arrays import as_read, load_digits, load_npz
from jaxnas.data.cifar import load_cifar
from jaxnas.data.dataset import Dataset
from jaxnas.data.errors import DataError
from jaxnas.data.folders import (
    SUFFIXES,
    load_folder,
    load_imagenet,
    load_tiny_imagenet,
    refuse_link_to_nothing,
)
from jaxnas.data.host import refuse_no_grain
from jaxnas.data.reader_options import Reading
from jaxnas.data.tfds import load_tfds
from jaxnas.errors import told_by_parameters
from jaxnas.hints import alike, beside
from jaxnas.normalisation import Normalisation

NAMED: dict[str, Callable[[Path, bool, Reading], Dataset]] = {
    "cifar10": lambda *how: _load_cifar("cifar10", *how),
    "cifar100": lambda *how: _load_cifar("cifar100", *how),
    "imagenet": lambda folder, _, reading: load_imagenet(folder, reading),
    "tiny_imagenet": lambda folder, _, reading: load_tiny_imagenet(folder, reading),
    "digits": lambda _, __, reading: as_read(load_digits(), reading),
}
"""Data sets with a name: (folder of data sets, whether to fetch what is not there, how to read) to
the set."""

_TFDS = "tfds:"
_CHOICES = f"choose {', '.join(NAMED)}, tfds:NAME, a folder of class folders, or an .npz file"
_ADVICE = {
    suffix: f" ({advice})"
    for suffixes, advice in (
        ((".npy", ".h5", ".hdf5", ".csv", ".mat", ".pkl", ".pt"), "save arrays by numpy.savez"),
        ((".zip", ".tar", ".gz", ".tgz", ".7z"), "unpack the archive"),
        (SUFFIXES, "give the folder of all images"),
    )
    for suffix in suffixes
}


@told_by_parameters()
def load(
    spec: str | os.PathLike[str],
    data_dir: str | os.PathLike[str] | None = None,
    *,
    download: bool = False,
    normalisation: Normalisation | None = None,
    **reading: Any,
) -> Dataset:
    """Loads a data set into memory.

    Args:
      spec: which one:
        "cifar10", "cifar100": from the official python or binary files, packed or unpacked;
        "tiny_imagenet": from the official folder tiny-imagenet-200, its val part as the test part;
        "imagenet": from folders train/ID/* and val/ID/* of WordNet ids, the latter its test part;
        "digits": the 8x8 digits that scikit-learn ships;
        "tfds:NAME": any image classification data set of TensorFlow Datasets;
        the path of an .npz file with x_train, y_train, x_test, y_test (or x, y: the last tenth is
        the test part, unless it is drawn);
        the path of a folder with train/CLASS/* and test/CLASS/* (or val/CLASS/*) image files; where
        a test part is to be drawn, with train/CLASS/* or CLASS/* alone.
        A name goes before a path: write ./digits for a folder of that name.
      data_dir: where named data sets are, by default the environment's JAXNAS_DATA_DIR, else
        "data". It may also be the official folder or archive itself.
      download: whether to fetch what is not there; for CIFAR and tfds: data sets only.
      normalisation: by what to normalise the images, as weights need that were trained on others;
        by default what the training images say.
      **reading: fields of `data.Reading`, such as image_size=160.

    Returns:
      The data set; always in the same order.

    Raises:
      DataError: if it cannot be found, fetched, read or used.
    """
    return load_by_flags(spec, data_dir, download=download, normalisation=normalisation, **reading)


def load_by_flags(
    spec: str | os.PathLike[str],
    data_dir: str | os.PathLike[str] | None = None,
    *,
    download: bool = False,
    normalisation: Normalisation | None = None,
    **reading: Any,
) -> Dataset:
    """As `load`, but errors name flags as a command's user types them."""
    name = os.fspath(spec)
    if not name:
        raise DataError(f"the name of the data set is empty: {_CHOICES}.")
    how = Reading(**reading)
    if how.on_host:
        refuse_no_grain()
    try:
        folder = Path(data_dir or os.environ.get("JAXNAS_DATA_DIR") or "data").expanduser()
        path = Path(name).expanduser()
    except RuntimeError as error:
        raise DataError(f"{name} or the folder of data sets is nowhere: {error}") from error
    try:
        if name in NAMED:
            dataset = NAMED[name](folder, download, how)
        elif name.startswith(_TFDS):
            dataset = load_tfds(name.removeprefix(_TFDS), folder, how, download=download)
        else:
            dataset = _load_path(path, name, how)
        host_workers = how.workers if how.on_host else None
        return replace(dataset, normalisation=normalisation, host_workers=host_workers)
    except OSError as error:
        where = error.filename or name
        raise DataError(f"{where} cannot be read: {error.strerror or error}.") from error
    except MemoryError as error:
        raise DataError(f"{name} needs more memory than there is: make it smaller.") from error


def _load_cifar(name: str, folder: Path, download: bool, reading: Reading) -> Dataset:
    return as_read(load_cifar(name, folder, download=download), reading)


def _load_path(path: Path, name: str, how: Reading) -> Dataset:
    refuse_link_to_nothing(path)
    if path.is_dir():
        return load_folder(path, how)
    if path.suffix.lower() == ".npz" and path.is_file():
        return load_npz(path, how)
    if path.is_file():
        advice = _ADVICE.get(path.suffix.lower(), "")
        raise DataError(f"{path} is a file, but no .npz{advice}: {_CHOICES}.")
    if path.exists():
        raise DataError(f"{path} is neither a file nor a folder: {_CHOICES}.")
    near = [each for each in beside(path) if Path(each).is_dir() or each.endswith(".npz")]
    hint = alike(name, [*NAMED, *near], f"{_CHOICES}.")
    raise DataError(f"{name!r} is no data set and no path that exists: {hint}")

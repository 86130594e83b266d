"""CIFAR-10 and CIFAR-100 from the official files, in either of their two formats."""

import tarfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from jaxnas.data.augmentation import Augmentation
from jaxnas.data.dataset import Dataset
from jaxnas.data.download import fetch
from jaxnas.data.errors import DataError
from jaxnas.data.pickles import read_batch

_PIXELS = 3 * 32 * 32


@dataclass(frozen=True)
class _Layout:
    """Where one format of a CIFAR data set keeps its parts."""

    folder: str
    archive: str
    train: tuple[str, ...]
    test: str
    names: str
    label_bytes: int  # before each binary record, the last one being the label; 0: pickled batches


@dataclass(frozen=True)
class _Cifar:
    """A CIFAR data set as published; `label_key` and `names_key` are those of its pickles."""

    num_classes: int
    layouts: tuple[_Layout, ...]
    label_key: str
    names_key: str
    url: str
    md5: str


_BATCHES = tuple(f"data_batch_{i}" for i in range(1, 6))
_SITE = "https://www.cs.toronto.edu/~kriz/"
CIFAR: Mapping[str, _Cifar] = {
    "cifar10": _Cifar(
        10,
        (
            _Layout(
                folder="cifar-10-batches-py",
                archive="cifar-10-python.tar.gz",
                train=_BATCHES,
                test="test_batch",
                names="batches.meta",
                label_bytes=0,
            ),
            _Layout(
                folder="cifar-10-batches-bin",
                archive="cifar-10-binary.tar.gz",
                train=tuple(f"{name}.bin" for name in _BATCHES),
                test="test_batch.bin",
                names="batches.meta.txt",
                label_bytes=1,
            ),
        ),
        label_key="labels",
        names_key="label_names",
        url=_SITE + "cifar-10-python.tar.gz",
        md5="c58f30108f718f92721af3b95e74349a",
    ),
    "cifar100": _Cifar(
        100,
        (
            _Layout(
                folder="cifar-100-python",
                archive="cifar-100-python.tar.gz",
                train=("train",),
                test="test",
                names="meta",
                label_bytes=0,
            ),
            _Layout(
                folder="cifar-100-binary",
                archive="cifar-100-binary.tar.gz",
                train=("train.bin",),
                test="test.bin",
                names="fine_label_names.txt",
                label_bytes=2,  # the coarse label, then the fine one
            ),
        ),
        label_key="fine_labels",
        names_key="fine_label_names",
        url=_SITE + "cifar-100-python.tar.gz",
        md5="eb9058c3a382ffc7106e4002c42a8d85",
    ),
}


def load_cifar(name: str, data_dir: Path, *, download: bool) -> Dataset:
    """Reads `name` ("cifar10" or "cifar100", with its fine labels).

    Args:
      name: which of the two.
      data_dir: the folder that holds, or itself is, an official folder or archive. Looked for in
        this order: python batches as a folder, as an archive, binary as a folder, as an archive.
      download: whether to fetch the official python archive (about 170 MB) if nothing is found.

    Returns:
      The data set, in the order of the official files.

    Raises:
      DataError: if nothing is found, the download fails, or a file is damaged or not as published.
    """
    cifar = CIFAR[name]
    found = _find(cifar, data_dir)
    if found is None and download:
        archive = fetch(cifar.url, cifar.md5, data_dir / cifar.layouts[0].archive)
        found = cifar.layouts[0], archive
    if found is None:
        looked = ", ".join(f"{layout.folder}, {layout.archive}" for layout in cifar.layouts)
        raise DataError(
            f"{name} was not found in {data_dir} (looked for {looked}): download {cifar.url} into "
            "a folder named by --data-dir or JAXNAS_DATA_DIR, or say --download."
        )
    layout, path = found
    files = _read_files(path, (*layout.train, layout.test, layout.names))
    train = [_decode(cifar, layout, path, part, files[part]) for part in layout.train]
    test_images, test_labels = _decode(cifar, layout, path, layout.test, files[layout.test])
    return Dataset(
        name=name,
        train_images=np.concatenate([images for images, _ in train]),
        train_labels=np.concatenate([labels for _, labels in train]),
        test_images=test_images,
        test_labels=test_labels,
        num_classes=cifar.num_classes,
        class_names=_class_names(cifar, layout, path, files[layout.names]),
        augmentation=Augmentation.for_side(32),
    )


def _find(cifar: _Cifar, data_dir: Path) -> tuple[_Layout, Path] | None:
    for layout in cifar.layouts:
        if data_dir.name == layout.archive and data_dir.is_file():
            return layout, data_dir
        # A test file's name tells an official folder whatever that folder is called.
        if (data_dir / layout.test).is_file() and (data_dir / layout.names).is_file():
            return layout, data_dir
        if (data_dir / layout.folder).is_dir():
            return layout, data_dir / layout.folder
        if (data_dir / layout.archive).is_file():
            return layout, data_dir / layout.archive
    return None


def _read_files(path: Path, names: tuple[str, ...]) -> dict[str, bytes]:
    """Contents of the named files of a folder or archive; nothing is unpacked to disk."""
    try:
        if path.is_dir():
            files = {name: (path / name).read_bytes() for name in names if (path / name).is_file()}
        else:
            files = {}
            with tarfile.open(path, "r|*") as archive:
                for member in archive:
                    name = Path(member.name).name
                    content = archive.extractfile(member) if name in names else None
                    if content is not None:
                        files[name] = content.read()
    except (OSError, EOFError, tarfile.TarError, zlib.error) as error:
        raise DataError(f"{path} cannot be read ({error}): download it again.") from error
    missing = [name for name in names if name not in files]
    if missing:
        raise DataError(f"{path} lacks {', '.join(missing)}: download it again.")
    return files


def _decode(
    cifar: _Cifar, layout: _Layout, path: Path, part: str, content: bytes
) -> tuple[np.ndarray, np.ndarray]:
    """Images, uint8 [N, 32, 32, 3], and labels, int32 [N], of one file."""
    where = f"{path} ({part})"
    if layout.label_bytes:
        width = layout.label_bytes + _PIXELS
        if not content or len(content) % width:
            raise DataError(
                f"{where} has {len(content)} bytes, not records of {width}: download it again."
            )
        records = np.frombuffer(content, np.uint8).reshape(-1, width)
        labels, pixels = records[:, layout.label_bytes - 1], records[:, layout.label_bytes :]
    else:
        batch = read_batch(content, where)
        pixels, labels = batch.get("data"), batch.get(cifar.label_key)
        if not (
            isinstance(pixels, np.ndarray)
            and pixels.dtype == np.uint8
            and pixels.ndim == 2
            and pixels.shape[1] == _PIXELS
            and isinstance(labels, list)
            and len(labels) == len(pixels)
            and all(isinstance(label, int) and 0 <= label < cifar.num_classes for label in labels)
        ):
            raise DataError(
                f"{where} does not hold uint8 data [N, {_PIXELS}] with N {cifar.label_key}: "
                "download it again."
            )
    images = pixels.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    return np.ascontiguousarray(images), np.asarray(labels, np.int32)


def _class_names(cifar: _Cifar, layout: _Layout, path: Path, content: bytes) -> tuple[str, ...]:
    where = f"{path} ({layout.names})"
    if layout.label_bytes:
        names = content.decode("latin1").split()
    else:
        names = read_batch(content, where).get(cifar.names_key)
    if not isinstance(names, list) or len(names) != cifar.num_classes:
        raise DataError(f"{where} does not name {cifar.num_classes} classes: download it again.")
    return tuple(str(name) for name in names)

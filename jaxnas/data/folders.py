"""Data sets kept as image files in folders, Tiny ImageNet among them."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from jaxnas.data.augmentation import Augmentation
from jaxnas.data.dataset import Dataset
from jaxnas.data.errors import DataError

_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp"})
_GREY = frozenset({"1", "L", "LA"})
_COLOUR = frozenset({"RGB", "RGBA", "P", "CMYK", "YCbCr"})

_TINY_FOLDER = "tiny-imagenet-200"
_TINY_URL = "http://cs231n.stanford.edu/tiny-imagenet-200.zip"

_Labelled = tuple[Path, int]


def load_folder(path: Path) -> Dataset:
    """Reads `path/train/CLASS/*` and `path/test/CLASS/*` (or `val` where there is no `test`).

    Classes are numbered in the order of their sorted names. Images are ordered by their place in
    their class and then by class, so that the first n hold every class about equally often. They
    are of one channel if every file is greyscale, else RGB; transparency is dropped. Files other
    than PNG, JPEG, WebP and BMP are passed over.

    Raises:
      DataError: if a folder is missing or empty, an image cannot be read, or sizes differ.
    """
    train, test = path / "train", path / "test"
    if not test.is_dir():
        test = path / "val"
    if not (train.is_dir() and test.is_dir()):
        raise DataError(
            f"{path} has no train folder with a test or val folder beside it: "
            "put one sub-folder per class into each."
        )
    classes = _subfolders(train)
    strangers = [name for name in _subfolders(test) if name not in classes]
    if strangers:
        raise DataError(
            f"{test} has a class {strangers[0]!r} that {train} lacks: give both the same classes."
        )
    return _dataset(
        path.resolve().name,
        _interleave([_images_in(train / name) for name in classes]),
        _interleave(
            [_images_in(test / name) if (test / name).is_dir() else [] for name in classes]
        ),
        tuple(classes),
    )


def load_tiny_imagenet(data_dir: Path) -> Dataset:
    """Reads Tiny ImageNet's official folder, or a part of it; its val part is the test part.

    Classes are numbered in the order of their sorted WordNet ids, and named by words.txt where it
    is there. Training images are ordered as by `load_folder`, test images as in
    val_annotations.txt. The few grey images become RGB. Reading all 100,000 takes 15 to 30 s.

    This function never downloads: no checksum of the official archive is known for certain here.

    Args:
      data_dir: the folder that holds, or itself is, tiny-imagenet-200.

    Raises:
      DataError: if it is not found, or a file is missing or damaged.
    """
    path = data_dir / _TINY_FOLDER
    if not path.is_dir():
        path = data_dir
    annotations = path / "val" / "val_annotations.txt"
    if not annotations.is_file():
        raise DataError(
            f"tiny_imagenet was not found in {data_dir} (looked for {_TINY_FOLDER} with "
            f"val/val_annotations.txt): download and unpack {_TINY_URL} into a folder named by "
            "--data-dir or JAXNAS_DATA_DIR (--download fetches CIFAR and tfds: data sets only)."
        )
    wnids = _subfolders(path / "train")
    test = []
    for line in _lines(annotations):
        file, wnid = line.split("\t")[:2] if "\t" in line else (line, "")
        if wnid not in wnids:
            raise DataError(
                f"{annotations} gives {file} the class {wnid!r}, which is not in train: "
                "unpack the archive again."
            )
        test.append((path / "val" / "images" / file, wnids.index(wnid)))
    words = path / "words.txt"
    names = dict(line.split("\t", 1) for line in _lines(words)) if words.is_file() else {}
    return _dataset(
        "tiny_imagenet",
        _interleave([_images_in(path / "train" / wnid / "images") for wnid in wnids]),
        test,
        tuple(names.get(wnid, wnid) for wnid in wnids),
        channels=3,
    )


def _lines(path: Path) -> list[str]:
    return [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


def _subfolders(path: Path) -> list[str]:
    if not path.is_dir():
        raise DataError(f"{path} is missing: give it one sub-folder of images per class.")
    names = [f.name for f in path.iterdir() if f.is_dir() and not f.name.startswith(".")]
    return sorted(names)


def _images_in(folder: Path) -> list[Path]:
    files = sorted(folder.iterdir()) if folder.is_dir() else []
    images = [f for f in files if f.suffix.lower() in _SUFFIXES and not f.name.startswith(".")]
    if not images:
        raise DataError(f"{folder} holds no PNG, JPEG, WebP or BMP image: add some or remove it.")
    return images


def _interleave(classes: Iterable[list[Path]]) -> list[_Labelled]:
    placed = [
        (place, label, path)
        for label, paths in enumerate(classes)
        for place, path in enumerate(paths)
    ]
    return [(path, label) for _, label, path in sorted(placed)]


def _dataset(
    name: str,
    train: list[_Labelled],
    test: list[_Labelled],
    class_names: tuple[str, ...],
    channels: int | None = None,
) -> Dataset:
    if not train or not test:
        raise DataError(f"{name} has no {'test' if train else 'training'} images: add some.")
    heads = [_head(path) for path, _ in train + test]
    width, height = heads[0].size
    for (path, _), head in zip(train + test, heads, strict=True):
        if head.size != heads[0].size:
            raise DataError(
                f"{path} is {head.size[0]}x{head.size[1]} pixels but {train[0][0]} is "
                f"{width}x{height}: resize all images to one size."
            )
    if channels is None:
        channels = 1 if all(head.grey for head in heads) else 3
    shape = (height, width, channels)
    return Dataset(
        name=name,
        train_images=_read(train, shape),
        train_labels=np.array([label for _, label in train], np.int32),
        test_images=_read(test, shape),
        test_labels=np.array([label for _, label in test], np.int32),
        num_classes=len(class_names),
        class_names=class_names,
        augmentation=Augmentation.for_side(min(height, width)),
    )


@dataclass(frozen=True)
class _Head:
    """What an image file says of itself before it is decoded."""

    size: tuple[int, int]  # width, height
    grey: bool


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    try:
        with Image.open(path) as image:
            yield image
    except (OSError, EOFError, SyntaxError, Image.DecompressionBombError) as error:
        raise DataError(f"{path} cannot be read as an image: replace or remove it.") from error


def _head(path: Path) -> _Head:
    with _opened(path) as image:
        if image.mode not in _GREY | _COLOUR:
            raise DataError(
                f"{path} has pixels of mode {image.mode}: save it with 8 bits per colour."
            )
        return _Head(image.size, image.mode in _GREY)


def _read(files: list[_Labelled], shape: tuple[int, int, int]) -> np.ndarray:
    """Decodes the files into uint8 [N, *shape]."""
    images = np.empty((len(files), *shape), np.uint8)
    for index, (path, _) in enumerate(files):
        with _opened(path) as image:
            # Pillow warns when a palette with transparency is not read by way of RGBA.
            whole = image.convert("RGBA") if image.mode == "P" else image
            pixels = np.asarray(whole.convert("L" if shape[2] == 1 else "RGB"))
            images[index] = pixels.reshape(shape)
    return images

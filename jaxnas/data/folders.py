"""Data sets kept as image files in folders, Tiny ImageNet among them."""

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from jaxnas import reading
from jaxnas.allocation import free_memory
from jaxnas.data.augmentation import Augmentation
from jaxnas.data.dataset import Dataset
from jaxnas.data.errors import DataError
from jaxnas.data.image_files import (
    FORMATS,
    SUFFIXES,
    read_head,
    read_pixels,
    refuse_link_to_nothing,
)
from jaxnas.hints import escaped

_TINY_FOLDER = "tiny-imagenet-200"
_TINY_LABELS = Path("val", "val_annotations.txt")
_TINY_URL = "http://cs231n.stanford.edu/tiny-imagenet-200.zip"

_MOST_NOTES = 8

_Labelled = tuple[Path, int]


def load_folder(path: Path) -> Dataset:
    """Reads the images in `path/train/CLASS` and `path/test/CLASS` (or `val` without a `test`).

    Classes are numbered in the natural order of their names: 2 comes before 10. Images, also those
    in deeper folders of a class, are ordered by their place in their class and then by class, so
    that the first n hold every class about equally often. They are of one channel if every file is
    greyscale, else RGB; transparency is dropped. `Dataset.notes` says what was left out.

    Raises:
      DataError: if a folder is missing or empty, an image cannot be read, sizes differ, or the
        memory does not suffice.
    """
    if (path / _TINY_LABELS).is_file():
        raise DataError(
            f"{path} is Tiny ImageNet as published, whose val images are in no class folders: "
            f"say tiny_imagenet, and where it is by --data-dir {path}."
        )
    train, test, val = path / "train", path / "test", path / "val"
    if not test.is_dir():
        test = val
    if not (train.is_dir() and test.is_dir()):
        there = ", ".join(_natural(each.name for each in path.iterdir())[:9]) or "nothing"
        raise DataError(
            f"{path} has no train folder with a test or val folder beside it, but {there}: "
            "put one sub-folder per class into each."
        )
    notes = _Notes()
    classes, test_classes = (_class_folders(part, notes) for part in (train, test))
    if not test_classes:
        instead = f"; to be judged by {val}, move it away" if test != val and val.is_dir() else ""
        raise DataError(
            f"{test} has no class folders, so that its images have no labels: "
            f"put one sub-folder per class into it{instead}."
        )
    strangers = [name for name in test_classes if name not in classes]
    if strangers:
        raise DataError(
            f"{test} has a class {strangers[0]!r} that {train} lacks: give both the same classes."
        )
    for each in sorted(path.iterdir()):
        if each.is_file() and each.suffix.lower() in SUFFIXES:
            notes.add("left out (in no class folder)", each)
    parts = {train.name, test.name}
    unread = [each for each in sorted(path.iterdir()) if each.is_dir() and each.name not in parts]
    return _dataset(
        path.resolve().name,
        _interleave([_images_in(train / name, notes) for name in classes]),
        _interleave(
            [_images_in(test / name, notes) if name in test_classes else [] for name in classes]
        ),
        tuple(classes),
        [
            *notes.sentences(),
            *(f"{_shown(each)} was not read." for each in unread if each.name[0] != "."),
        ],
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
    annotations = path / _TINY_LABELS
    if not annotations.is_file():
        raise DataError(
            f"tiny_imagenet was not found in {data_dir} (looked for {_TINY_FOLDER} with "
            f"{_TINY_LABELS}): download and unpack {_TINY_URL} into a folder named by "
            "--data-dir or JAXNAS_DATA_DIR (--download fetches CIFAR and tfds: data sets only)."
        )
    notes = _Notes()
    wnids = _class_folders(path / "train", notes)
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
        _interleave([_images_in(path / "train" / wnid / "images", notes) for wnid in wnids]),
        test,
        tuple(names.get(wnid, wnid) for wnid in wnids),
        notes.sentences(),
        channels=3,
    )


def _lines(path: Path) -> list[str]:
    try:
        text = reading.read_text(path)
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is damaged ({error}): unpack the archive again.") from error
    return [line for line in text.splitlines() if line.strip()]


class _Notes:
    """What became of files that a reader may not expect, counted."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._examples: dict[str, Path] = {}

    def add(self, what: str, path: Path) -> None:
        self._counts[what] += 1
        self._examples.setdefault(what, path)

    def sentences(self) -> list[str]:
        """A sentence for each, the commonest first."""
        commonest = self._counts.most_common(_MOST_NOTES)
        told = [
            f"{count:,} file{'s' * (count > 1)} {what}, such as {_shown(self._examples[what])}."
            for what, count in commonest
        ]
        more = self._counts.total() - sum(count for _, count in commonest)
        return [*told, f"{more:,} more files left out."] if more else told


def _shown(path: Path) -> str:
    """The path as one line that any terminal and file takes."""
    return escaped(str(path), ("Cc", "Cs"))


def _natural(names: Iterable[str]) -> list[str]:
    """Names sorted with their numbers as numbers: 2 before 10."""

    def key(name: str) -> tuple[list[str | int], str]:
        parts = re.split("([0-9]+)", name)  # text and digits take turns
        return [int(part) if at % 2 else part for at, part in enumerate(parts)], name

    return sorted(names, key=key)


def _class_folders(part: Path, notes: _Notes) -> list[str]:
    if not part.is_dir():
        raise DataError(f"{part} is missing: give it one sub-folder of images per class.")
    names = []
    for path in sorted(part.iterdir()):
        refuse_link_to_nothing(path)  # which might be a class
        if path.is_dir() and not path.name.startswith("."):
            if _shown(path) != str(path):
                raise DataError(
                    f"{_shown(path)} has characters that no report can hold: rename it."
                )
            names.append(path.name)
        elif path.is_dir():
            for each in _files(path):
                if each.suffix.lower() in SUFFIXES:
                    notes.add("left out (hidden)", each)
        elif not path.name.startswith("."):
            notes.add("left out (in no class folder)", path)
    return _natural(names)


def _images_in(folder: Path, notes: _Notes) -> list[Path]:
    images = []
    of_class = _Notes()
    for path in sorted(_files(folder)):
        suffix = path.suffix.lower()
        if any(part.startswith(".") for part in path.relative_to(folder).parts):
            if suffix in SUFFIXES:
                notes.add("left out (hidden)", path)
        elif path.exists() and not path.is_file():
            notes.add("left out (no regular file)", path)  # a pipe would keep its reader waiting
        elif suffix in SUFFIXES:
            images.append(path)
            if path.parent != folder:
                notes.add("read from deeper folders", path)
        else:
            for each in (notes, of_class):
                each.add(f"left out ({suffix or 'no suffix'} is not read)", path)
    if not images:
        raise DataError(
            " ".join(
                [
                    f"{folder} holds no image of {FORMATS}: add some, convert what is there, or "
                    "remove it.",
                    *of_class.sentences(),
                ]
            )
        )
    return images


def _files(folder: Path) -> Iterator[Path]:
    """All files below a folder, those in linked folders too, every folder once."""

    def fail(error: OSError) -> None:
        raise error

    seen: set[str] = set()
    for root, folders, files in os.walk(folder, onerror=fail, followlinks=True):
        real = os.path.realpath(root)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders.sort()
        yield from (Path(root, file) for file in files)


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
    notes: list[str],
    channels: int | None = None,
) -> Dataset:
    if not train or not test:
        raise DataError(f"{name} has no {'test' if train else 'training'} images: add some.")
    files = [path for path, _ in train + test]
    heads = [read_head(path) for path in files]
    for path, head in zip(files, heads, strict=True):
        # An image on its side may be turned while it is read.
        if sorted(head[:2]) != sorted(heads[0][:2]):
            raise _other_size(path, head[:2], files[0], heads[0][:2])
    if channels is None:
        channels = 1 if all(head.grey for head in heads) else 3
    several = sum(head.several for head in heads)
    if several:
        notes.append(f"{several:,} of the files hold several images, of which the first was read.")
    width, height = heads[0][:2]
    needed, free = len(files) * width * height * channels, free_memory()
    if needed > free:
        raise DataError(
            f"{name}'s {len(files):,} images of {width}x{height} pixels need "
            f"{needed / 2**30:,.1f} GiB of memory, and {free / 2**30:,.1f} GiB are free: "
            "make them smaller, or take fewer."
        )
    train_images = _read(train, channels)
    height, width = train_images.shape[1:3]
    return Dataset(
        name=name,
        train_images=train_images,
        train_labels=np.array([label for _, label in train], np.int32),
        test_images=_read(test, channels, first=(train[0][0], (width, height))),
        test_labels=np.array([label for _, label in test], np.int32),
        num_classes=len(class_names),
        class_names=class_names,
        augmentation=Augmentation.for_side(min(height, width)),
        notes=tuple(notes),
    )


def _read(
    files: list[_Labelled], channels: int, first: tuple[Path, Sequence[int]] | None = None
) -> np.ndarray:
    """Decodes the files into uint8 [N, h, w, channels], of the size of the `first`."""
    images = np.empty(0)
    for index, (path, _) in enumerate(files):
        pixels = read_pixels(path, channels)
        size = pixels.shape[1::-1]
        first = first or (path, size)
        if size != first[1]:
            raise _other_size(path, size, *first)
        if not index:
            images = np.empty((len(files), *pixels.shape), np.uint8)
        images[index] = pixels
    return images


def _other_size(path: Path, size: Sequence[int], first: Path, wanted: Sequence[int]) -> DataError:
    return DataError(
        f"{path} is {size[0]}x{size[1]} pixels but {first} is {wanted[0]}x{wanted[1]}: "
        "resize all images to one size."
    )

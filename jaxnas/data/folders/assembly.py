"""Image files with their labels to a data set."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import cast

import numpy as np

from jaxnas.data.augmentation import Augmentation
from jaxnas.data.dataset import Dataset, refuse_no_memory
from jaxnas.data.errors import BrokenImageError, DataError
from jaxnas.data.folders.file_images import FileImages, other_size
from jaxnas.data.folders.image_files import Head, read_head, read_image, read_pixels
from jaxnas.data.folders.notes import broken_files
from jaxnas.data.folders.threads import in_threads
from jaxnas.data.reader_options import Reading

Labelled = tuple[Path, int]
"""An image file and the number of its class."""


def assemble(
    name: str,
    train: list[Labelled],
    test: list[Labelled] | None,
    class_names: tuple[str, ...],
    notes: list[str],
    reading: Reading,
    channels: int | None = None,
) -> Dataset:
    """The data set of these files.

    Args:
      name: see `Dataset`.
      train: the training images, in their order; with the test images where none are given.
      test: the test images; None to draw them from the others.
      class_names: see `Dataset`.
      notes: see `Dataset`; what is found here is added.
      reading: how they are read.
      channels: 1 or 3; by default 1 if every file is grey, else 3.

    Raises:
      DataError: if a file cannot be read, sizes differ, or the memory does not suffice.
    """
    heads, broken = _heads(train + (test or []), reading.skip_broken)
    notes += broken_files(broken)
    train = [each for each in train if each[0] in heads]
    _refuse_emptied(name, train, class_names, broken)
    if test is None:
        chosen = reading.draw_test(name, labels_of(train), class_names)
        test = [each for each, drawn in zip(train, chosen, strict=True) if drawn]
        train = [each for each, drawn in zip(train, chosen, strict=True) if not drawn]
    test = [each for each in test if each[0] in heads]
    if not train or not test:
        raise DataError(f"{name} has no {'test' if train else 'training'} images: add some.")
    if channels is None:
        channels = 1 if not reading.rgb and all(head.grey for head in heads.values()) else 3
    several = sum(head.several for head in heads.values())
    if several:
        notes.append(f"{several:,} of the files hold several images, of which the first was read.")
    deep = sum(head.deep for head in heads.values())
    if deep:
        notes.append(f"{deep:,} of the files are grey of 16 bits, scaled to 8 (v / 257).")
    tested = {label for _, label in test}
    notes += [
        f"Class {each!r} has no test images, so that no score tells of it."
        for label, each in enumerate(class_names)
        if label not in tested
    ]
    side, first = reading.image_size, train[0][0]
    if side is None:
        _refuse_other_sizes(heads, first)
    height, width = (side, side) if side is not None else read_pixels(first, channels).shape[:2]
    of_one = height, width, channels
    refuse_no_memory(name, 1 if reading.on_host else len(train) + len(test), of_one)
    train_images, test_images = (
        cast(
            np.ndarray,
            FileImages(
                paths_of(part),
                np.array([heads[path].length for path, _ in part], np.int64),
                of_one,
                side,
                reading.crop_share,
                first,
            ),
        )
        for part in (train, test)
    )
    if not reading.on_host:
        train_images, test_images = np.asarray(train_images), np.asarray(test_images)
    return Dataset(
        name=name,
        train_images=train_images,
        train_labels=labels_of(train),
        test_images=test_images,
        test_labels=labels_of(test),
        num_classes=len(class_names),
        class_names=class_names,
        augmentation=Augmentation.for_side(min(train_images.shape[1:3])),
        notes=tuple(notes),
        host_workers=reading.workers if reading.on_host else None,
    )


def _heads(
    files: list[Labelled], skip_broken: bool
) -> tuple[dict[Path, Head], list[BrokenImageError]]:
    """What each file says of itself, and those left out; to find these each is decoded."""

    def head_of(labelled: Labelled) -> Head | BrokenImageError:
        path = labelled[0]
        if not skip_broken:
            return read_head(path)
        try:
            head = read_head(path)
            read_image(path, 1 if head.grey else 3)
        except BrokenImageError as error:
            return error
        return head

    found = dict(zip((path for path, _ in files), in_threads(head_of, files), strict=True))
    heads = {path: each for path, each in found.items() if isinstance(each, Head)}
    return heads, [each for each in found.values() if isinstance(each, BrokenImageError)]


def _refuse_emptied(
    name: str,
    train: list[Labelled],
    class_names: tuple[str, ...],
    broken: Sequence[BrokenImageError],
) -> None:
    """Raises a DataError if a class has lost all its training images."""
    left = {label for _, label in train}
    for label, each in enumerate(class_names):
        if broken and label not in left:
            raise DataError(
                f"{name}'s class {each!r} has no training image that can be read: add some, or "
                "remove the class."
            )


def labels_of(files: list[Labelled]) -> np.ndarray:
    """The labels of files, int32 [n]."""
    return np.array([label for _, label in files], np.int32)


def _refuse_other_sizes(heads: dict[Path, Head], first: Path) -> None:
    for path, head in heads.items():
        # An image on its side may be turned while it is read.
        if sorted(head[:2]) != sorted(heads[first][:2]):
            raise other_size(path, head[:2], first, heads[first][:2])


def paths_of(files: list[Labelled]) -> np.ndarray:
    """The paths of files, as `FileImages` takes them."""
    paths = np.empty(len(files), object)
    paths[:] = [path for path, _ in files]
    return paths

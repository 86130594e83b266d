"""Folders of image files, one for each class."""

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from jaxnas.data.dataset import Dataset
from jaxnas.data.errors import DataError
from jaxnas.data.folders.assembly import Labelled, assemble
from jaxnas.data.folders.image_files import FORMATS, SUFFIXES, refuse_link_to_nothing
from jaxnas.data.folders.notes import Notes, shown
from jaxnas.data.reader_options import Reading

TINY_LABELS = Path("val", "val_annotations.txt")
"""What is in Tiny ImageNet's folder and in no other."""


def load_folder(path: Path, reading: Reading) -> Dataset:
    """Reads the images in `path/train/CLASS` and `path/test/CLASS` (or `val` without a `test`).

    Where a test part is to be drawn, they are in `path/train/CLASS` or `path/CLASS` alone.

    Classes are numbered in the natural order of their names: 2 comes before 10. Images, also those
    in deeper folders of a class, are ordered by their place in their class and then by class, so
    that the first n hold every class about equally often. They are of one channel if every file is
    greyscale, else RGB; transparency is dropped. `Dataset.notes` says what was left out.

    Raises:
      DataError: if a folder is missing or empty, an image cannot be read, sizes differ, or the
        memory does not suffice.
    """
    if (path / TINY_LABELS).is_file():
        raise DataError(
            f"{path} is Tiny ImageNet as published, whose val images are in no class folders: "
            f"say tiny_imagenet, and where it is by --data-dir {path}."
        )
    notes = Notes()
    train, test = _parts(path, reading)
    classes = class_folders(train, notes)
    if not classes:
        raise DataError(f"{train} has no class folders: put one sub-folder per class into it.")
    found = [images_in(train / name, notes) for name in classes]
    tested = None if test is None else _test_images(test, train, classes, notes)
    if train != path:
        for each in sorted(path.iterdir()):
            if each.is_file() and each.suffix.lower() in SUFFIXES:
                notes.add("left out (in no class folder)", each)
    read = {train, test}
    unread = [each for each in sorted(path.iterdir()) if each.is_dir() and each not in read]
    if train == path:
        unread = []
    return assemble(
        path.resolve().name,
        interleave(found),
        None if tested is None else interleave(tested),
        tuple(classes),
        [
            *notes.sentences(),
            *(f"{shown(each)} was not read." for each in unread if each.name[0] != "."),
        ],
        reading,
    )


def _parts(path: Path, reading: Reading) -> tuple[Path, Path | None]:
    """The folders of the training and the test part; None for one that is to be drawn."""
    train = path / "train"
    test = next((each for each in (path / "test", path / "val") if each.is_dir()), None)
    if train.is_dir() and test is not None:
        reading.refuse_drawing(str(path))
        return train, test
    if reading.test_share is not None and test is None:
        return (train if train.is_dir() else path), None
    names = [each.name for each in path.iterdir() if each.name[0] != "."]
    there = ", ".join(natural(names)[:9]) or "nothing"
    raise DataError(
        f"{path} has no train folder with a test or val folder beside it, but {there}: "
        "put one sub-folder per class into each"
        + (", or say --test-share 0.2 to be tested on a part of them." if test is None else ".")
    )


def _test_images(test: Path, train: Path, classes: list[str], notes: Notes) -> list[list[Path]]:
    """The test images of each class, which may have none."""
    tested = class_folders(test, notes)
    val = test.parent / "val"
    if not tested:
        instead = f"; to be judged by {val}, move it away" if test != val and val.is_dir() else ""
        raise DataError(
            f"{test} has no class folders, so that its images have no labels: "
            f"put one sub-folder per class into it{instead}."
        )
    strangers = [name for name in tested if name not in classes]
    if strangers:
        raise DataError(
            f"{test} has a class {strangers[0]!r} that {train} lacks: give both the same classes."
        )
    return [images_in(test / name, notes) if name in tested else [] for name in classes]


def natural(names: Iterable[str]) -> list[str]:
    """Names sorted with their numbers as numbers: 2 before 10."""

    def key(name: str) -> tuple[list[str | int], str]:
        parts = re.split("([0-9]+)", name)  # text and digits take turns
        return [int(part) if at % 2 else part for at, part in enumerate(parts)], name

    return sorted(names, key=key)


def class_folders(part: Path, notes: Notes) -> list[str]:
    """Names of the folders in a part of a data set, each a class, in natural order."""
    if not part.is_dir():
        raise DataError(f"{part} is missing: give it one sub-folder of images per class.")
    names = []
    for path in sorted(part.iterdir()):
        refuse_link_to_nothing(path)  # which might be a class
        if path.is_dir() and not path.name.startswith("."):
            if shown(path) != str(path):
                raise DataError(f"{shown(path)} has characters that no report can hold: rename it.")
            names.append(path.name)
        elif path.is_dir():
            for each in _files(path):
                if each.suffix.lower() in SUFFIXES:
                    notes.add("left out (hidden)", each)
        elif not path.name.startswith("."):
            notes.add("left out (in no class folder)", path)
    return natural(names)


def images_in(folder: Path, notes: Notes) -> list[Path]:
    """The image files in a folder and those below it, sorted; a DataError where there are none."""
    images = []
    of_class = Notes()
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


def interleave(classes: Iterable[list[Path]]) -> list[Labelled]:
    """The files of all classes with their labels: the first of each, then the second ones..."""
    placed = [
        (place, label, path)
        for label, paths in enumerate(classes)
        for place, path in enumerate(paths)
    ]
    return [(path, label) for _, label, path in sorted(placed)]

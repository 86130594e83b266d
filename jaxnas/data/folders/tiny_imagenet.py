"""Tiny ImageNet, as published."""

from pathlib import Path

from jaxnas import reading
from jaxnas.data.dataset import Dataset
from jaxnas.data.errors import DataError
from jaxnas.data.folders.assembly import assemble
from jaxnas.data.folders.class_folders import TINY_LABELS, class_folders, images_in, interleave
from jaxnas.data.folders.notes import Notes
from jaxnas.data.reader_options import Reading

_TINY_FOLDER = "tiny-imagenet-200"
_TINY_URL = "http://cs231n.stanford.edu/tiny-imagenet-200.zip"


def load_tiny_imagenet(data_dir: Path, how: Reading) -> Dataset:
    """Reads Tiny ImageNet's official folder, or a part of it; its val part is the test part.

    Classes are numbered in the order of their sorted WordNet ids, and named by words.txt where it
    is there. Training images are ordered as by `load_folder`, test images as in
    val_annotations.txt. The few grey images become RGB. Reading all 100,000 takes 15 to 30 s.

    This function never downloads: no checksum of the official archive is known for certain here.

    Args:
      data_dir: the folder that holds, or itself is, tiny-imagenet-200.
      how: how its images are read.

    Raises:
      DataError: if it is not found, or a file is missing or damaged.
    """
    path = data_dir / _TINY_FOLDER
    if not path.is_dir():
        path = data_dir
    annotations = path / TINY_LABELS
    if not annotations.is_file():
        raise DataError(
            f"tiny_imagenet was not found in {data_dir} (looked for {_TINY_FOLDER} with "
            f"{TINY_LABELS}): download and unpack {_TINY_URL} into a folder named by "
            "--data-dir or JAXNAS_DATA_DIR (--download fetches CIFAR and tfds: data sets only)."
        )
    how.refuse_drawing("tiny_imagenet")
    notes = Notes()
    wnids = class_folders(path / "train", notes)
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
    return assemble(
        "tiny_imagenet",
        interleave([images_in(path / "train" / wnid / "images", notes) for wnid in wnids]),
        test,
        tuple(names.get(wnid, wnid) for wnid in wnids),
        notes.sentences(),
        how,
        channels=3,
    )


def _lines(path: Path) -> list[str]:
    try:
        text = reading.read_text(path)
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is damaged ({error}): unpack the archive again.") from error
    return [line for line in text.splitlines() if line.strip()]

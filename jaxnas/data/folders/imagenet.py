"""ImageNet's 1,000 classes (ILSVRC 2012), in folders that WordNet ids name."""

import re
from pathlib import Path

import numpy as np

from jaxnas.data.dataset import Dataset
from jaxnas.data.errors import DataError
from jaxnas.data.folders.assembly import labels_of, paths_of
from jaxnas.data.folders.class_folders import class_folders, images_in, load_folder
from jaxnas.data.folders.file_images import FileImages
from jaxnas.data.folders.image_files import refuse_link_to_nothing
from jaxnas.data.folders.notes import Notes
from jaxnas.data.reader_options import Reading

_WORDNET_ID = re.compile("n[0-9]{8}")


def load_imagenet(data_dir: Path, reading: Reading) -> Dataset:
    """Reads train/ID/* and val/ID/*; classes are numbered in the order of their sorted WordNet ids.

    Args:
      data_dir: the folder that holds the folder imagenet, or itself is it.
      reading: how its images, which are of all sizes, are read.

    Raises:
      DataError: if it is not found, or a file cannot be read.
    """
    path = _found(data_dir)
    dataset = load_folder(path, reading)
    _refuse_other_names(path / "val", dataset.class_names)
    return dataset


def imagenet_validation(data_dir: Path, reading: Reading) -> tuple[FileImages, np.ndarray]:
    """The images of val/ID/* in their files, and their labels int32 [n]; see `load_imagenet`.

    Raises:
      DataError: if they are not found.
    """
    if reading.image_size is None:
        raise DataError("ImageNet's images are of all sizes: give --image-size, such as 224.")
    val, notes = _found(data_dir) / "val", Notes()
    names = class_folders(val, notes)
    _refuse_other_names(val, names)
    found = [
        (path, label) for label, each in enumerate(names) for path in images_in(val / each, notes)
    ]
    for path, _ in found:
        refuse_link_to_nothing(path)
    paths, side = paths_of(found), reading.image_size
    lengths = np.array([path.stat().st_size for path, _ in found], np.int64)
    images = FileImages(paths, lengths, (side, side, 3), side, reading.crop_share, paths[0])
    return images, labels_of(found)


def _found(data_dir: Path) -> Path:
    for path in (data_dir / "imagenet", data_dir):
        if (path / "val").is_dir():
            return path
    raise DataError(
        f"imagenet was not found in {data_dir} (looked for imagenet/val and val): name by "
        "--data-dir the folder with train and val, each with a folder for each WordNet id; "
        "it cannot be downloaded without an account at image-net.org."
    )


def _refuse_other_names(part: Path, names: tuple[str, ...] | list[str]) -> None:
    other = [each for each in names if not _WORDNET_ID.fullmatch(each)]
    if other or not names:
        found = repr(other[0]) if other else "no folder"
        raise DataError(
            f"{part} holds {found}, where ImageNet has a folder for each WordNet id, such as "
            "n01440764: sort the images of the validation set into such folders."
        )

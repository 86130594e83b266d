"""Asking a trained network what images show."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jaxnas.data import DataError
from jaxnas.data.errors import BrokenImageError
from jaxnas.data.folders.image_files import FORMATS, SUFFIXES, read_head, read_pixels
from jaxnas.data.folders.image_files import read_image as decode_image
from jaxnas.data.resizing import fit_array
from jaxnas.runs.load import Trained, classifier


def image_paths(
    sources: Iterable[str | os.PathLike[str]], broken: list[BrokenImageError] | None = None
) -> list[Path]:
    """Paths of image files: those given, and of each folder given all below it but hidden ones.

    Args:
      sources: files and folders.
      broken: takes the error of each file that cannot be decoded, which is left out; None to raise
        the first of them.

    Raises:
      DataError: naming a file that is not there or is no image, or a folder that holds none.
    """
    found = []
    for source in map(Path, sources):
        own = [source]
        if source.is_dir():
            below = (path for path in sorted(source.rglob("*")) if path.suffix.lower() in SUFFIXES)
            own = [each for each in below if not (each.is_dir() or _hidden(each, source))]
            if not own:
                raise DataError(f"{source} holds no image of {FORMATS}.")
        found += own
    kept = []
    for path in found:  # what is none is refused before the first is classified
        try:
            head = read_head(path)
            if broken is not None:
                decode_image(path, 1 if head.grey else 3)
            kept.append(path)
        except BrokenImageError as error:
            if broken is None:
                raise
            broken.append(error)
    if not kept:
        raise DataError(f"all {len(found)} images are broken, such as {found[0]}: give others.")
    return kept


def predict(
    trained: Trained,
    paths: Sequence[Path],
    most: int = 5,
    batch_size: int = 100,
    crop_share: float = 1.0,
) -> Iterator[dict[str, Any]]:
    """What a network takes images for, one after the other.

    Args:
      trained: the network; without class names its classes are their numbers.
      paths: of the images.
      most: number of likeliest classes that are told of each.
      batch_size: images that are classified at once.
      crop_share: side of the square that is seen, as a share of the resized image's shorter side.

    Yields:
      ``image``, the path, and ``classes``, a list of ``class`` and ``probability``, likeliest
      first.

    Raises:
      DataError: naming an image that cannot be read; see `read_image`.
      OutputsError: if the network says no numbers of an image.
    """
    size = min(batch_size, len(paths))
    classify = classifier(trained, size)
    for start in range(0, len(paths), size):
        batch = paths[start : start + size]
        shape = trained.input_shape
        logits = classify(np.stack([read_image(path, shape, crop_share) for path in batch]))
        names = trained.class_names or tuple(map(str, range(logits.shape[1])))
        for path, shares in zip(batch, probabilities(logits), strict=True):
            likeliest = np.argsort(-shares, kind="stable")[:most]
            classes = [
                {"class": names[index], "probability": float(shares[index])} for index in likeliest
            ]
            yield {"image": str(path), "classes": classes}


def read_image(path: Path, shape: tuple[int, int, int], crop_share: float = 1.0) -> np.ndarray:
    """The pixels of a file, uint8 of `shape` [h, w, c]; fitted where that is a square.

    See `data.resizing.fit` for `crop_share`.

    Raises:
      DataError: if it cannot be read, or is of another size and the network takes no square.
    """
    height, width, channels = shape
    pixels = read_pixels(path, channels)
    if height == width:
        return fit_array(pixels[None], height, crop_share)[0]
    if pixels.shape != shape:
        raise DataError(
            f"{path} is {pixels.shape[1]}x{pixels.shape[0]} pixels, and the network takes "
            f"{width}x{height}: resize it."
        )
    return pixels


def probabilities(logits: np.ndarray) -> np.ndarray:
    """Softmax over the last axis, float64, of finite logits float32 [n, classes]."""
    raised = np.exp(logits.astype(np.float64) - logits.max(-1, keepdims=True))
    return raised / raised.sum(-1, keepdims=True)


def as_csv(rows: Iterable[dict[str, Any]]) -> str:
    """Predictions as lines of image, rank (from 1), class and probability, under a heading."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("image", "rank", "class", "probability"))
    for row in rows:
        for rank, each in enumerate(row["classes"], start=1):
            writer.writerow((row["image"], rank, each["class"], f"{each['probability']:.6f}"))
    return text.getvalue()


def _hidden(path: Path, folder: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(folder).parts)

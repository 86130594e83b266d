"""Images in files that are decoded when they are asked for."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from jaxnas.data.errors import ChangedFileError, DataError
from jaxnas.data.folders.image_files import read_image, read_pixels
from jaxnas.data.folders.threads import in_threads


@dataclass(frozen=True, eq=False)
class FileImages:
    """The images of files, as an array uint8 [n, h, w, c] would hold them.

    A slice or an array of indices takes some of the files and decodes none; `numpy.asarray` decodes
    all that are left.

    Attributes:
      paths: the files; an array of `Path` objects [n].
      lengths: of the files when they were listed, in bytes; int64 [n].
      one: (height, width, channels) of every image.
      side: see `Reading.image_size`; None where the files have the one size.
      crop_share: see `Reading`.
      first: the file that the others are compared with where sizes differ.
    """

    paths: np.ndarray
    lengths: np.ndarray
    one: tuple[int, int, int]
    side: int | None
    crop_share: float
    first: Path

    dtype = np.dtype(np.uint8)
    ndim = 4

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """[n, height, width, channels]."""
        return (len(self.paths), *self.one)

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, rows: Any) -> FileImages:
        return replace(self, paths=self.paths[rows], lengths=self.lengths[rows])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        images = np.empty(self.shape, np.uint8)
        for index, pixels in enumerate(in_threads(self.decoded, range(len(self)))):
            images[index] = pixels
        return images if dtype is None else images.astype(dtype)

    def decoded(self, index: int) -> np.ndarray:
        """uint8 [h, w, c] of one file.

        Raises:
          DataError: if it cannot be read, has changed since it was listed, or is of another size.
        """
        with self._unchanged(index) as path:
            pixels = read_pixels(path, self.one[2], self.side, self.crop_share)
            if pixels.shape != self.one:
                raise other_size(path, pixels.shape[1::-1], self.first, self.one[1::-1])
            return pixels

    def whole(self, index: int) -> Image.Image:
        """The image of a file before it is resized, of mode L or RGB; raises as `decoded`."""
        with self._unchanged(index) as path:
            return read_image(path, self.one[2])

    @contextlib.contextmanager
    def _unchanged(self, index: int) -> Iterator[Path]:
        """Gives the path of a file, if that is as long as it was; looks again where to read fails,
        since it may change in between."""
        path = self._as_listed(index)
        try:
            yield path
        except DataError:
            self._as_listed(index)
            raise

    def _as_listed(self, index: int) -> Path:
        path, length = self.paths[index], self.lengths[index]
        try:
            found = path.stat().st_size
        except OSError as error:
            raise _changed(path, f"can no longer be found ({error.strerror or error})") from error
        if found != length:
            raise _changed(path, f"has {found:,} bytes, and {length:,} when it was listed")
        return path


def _changed(path: Path, how: str) -> ChangedFileError:
    return ChangedFileError(
        f"{path} {how}: put it back as it was; a run that it ended can then be resumed."
    )


def other_size(path: Path, size: Sequence[int], first: Path, wanted: Sequence[int]) -> DataError:
    """The error of a file that is not (width, height) pixels as the first one is."""
    return DataError(
        f"{path} is {size[0]}x{size[1]} pixels but {first} is {wanted[0]}x{wanted[1]}: "
        "resize all images to one size, or say --image-size N to have it done."
    )

"""Image files: their pixels as a viewer shows them, or why they cannot be read."""

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageFile, ImageOps, TiffImagePlugin, UnidentifiedImageError

from jaxnas import reading
from jaxnas.data.errors import BrokenImageError, DataError
from jaxnas.data.resizing import fit

SUFFIXES = frozenset(
    {
        *(".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".bmp", ".gif"),
        *(".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm"),
    }
)
"""What the names of files that are read end in, in lower case."""

FORMATS = "PNG, JPEG, WebP, BMP, GIF, TIFF and PPM"

_DECODERS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF", "PPM")
_GREY = frozenset({"1", "L", "LA"})
_COLOUR = frozenset({"RGB", "RGBA", "RGBX", "P", "CMYK", "YCbCr"})
_BITS_PER_SAMPLE, _PHOTOMETRIC, _SAMPLE_FORMAT = 258, 262, 339  # TIFF tags


class Head(NamedTuple):
    """What an image file says of itself before it is decoded.

    Attributes:
      width: pixels, before the image is turned.
      height: likewise.
      grey: whether it has no colours.
      several: whether it holds more than one image, as an animation does.
      deep: whether it is grey of 16 bits, which `read_image` scales to 8.
      length: of the file, in bytes.
    """

    width: int
    height: int
    grey: bool
    several: bool
    deep: bool
    length: int


def read_head(path: Path) -> Head:
    """What the file says of itself.

    Raises:
      DataError: if it is no image that can be read, with the reason, or has more than 8 bits for a
        colour and is no grey of 16, so that Pillow would cut off the lower ones.
    """
    with _opened(path) as image:
        deep = _deep_grey(image)
        if not deep and _deep(image):
            raise DataError(
                f"{path} has more than 8 bits for a colour: scale it to 0..255 and save it with 8."
            )
        if not deep and image.mode not in _GREY | _COLOUR:
            raise DataError(
                f"{path} has pixels of mode {image.mode}: save it in grey or RGB of 8 bits."
            )
        grey = deep or image.mode in _GREY
        several = getattr(image, "n_frames", 1) > 1
        return Head(*image.size, grey, several, deep, path.stat().st_size)


def read_image(path: Path, channels: int) -> Image.Image:
    """The first image of a file, turned as its EXIF orientation says, without transparency.

    Grey of 0 to 65535 is divided by 257 and rounded.

    Args:
      path: the file.
      channels: 1 for grey (mode L), 3 for RGB.

    Raises:
      DataError: if it cannot be decoded, with the reason.
    """
    with _opened(path) as image:
        if image.format == "PNG":
            image.verify()  # the sums of its parts, which decoding does not check
    with _opened(path) as image:
        turned = ImageOps.exif_transpose(image)
        if turned.mode.startswith("I"):
            of_8_bits = (np.asarray(turned).astype(np.int32) + 128) // 257
            turned = Image.fromarray(of_8_bits.astype(np.uint8))
        # Pillow warns when a palette with transparency is not read by way of RGBA.
        whole = turned.convert("RGBA") if turned.mode == "P" else turned
        return whole.convert("L" if channels == 1 else "RGB")


def read_pixels(
    path: Path, channels: int, side: int | None = None, crop_share: float = 1.0
) -> np.ndarray:
    """The image of `read_image`, of its own size or, with a side, as `resizing.fit` makes it.

    Returns:
      uint8 [h, w, channels].
    """
    image = read_image(path, channels)
    pixels = np.asarray(image if side is None else fit(image, side, crop_share))
    return pixels.reshape(*pixels.shape[:2], channels)


def refuse_link_to_nothing(path: Path) -> None:
    """Raises DataError if `path` is a link to what is not there."""
    if told := reading.link_to_nothing(path):
        raise DataError(f"{told}: mend or remove it.")


class _Quiet:
    """Keeps warnings of damaged EXIF fields and of sizes away while any thread is inside.

    `warnings.catch_warnings` is the process's: two threads that leave it in the order in which they
    came would leave the first one's filters behind.
    """

    def __init__(self) -> None:
        self._lock, self._inside = threading.Lock(), 0

    def __enter__(self) -> None:
        with self._lock:
            if not self._inside:
                self._caught = warnings.catch_warnings()
                self._caught.__enter__()
                warnings.simplefilter("ignore")
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside:
                self._caught.__exit__(None, None, None)


_QUIET = _Quiet()
_SKIP = "or leave out all such files by --skip-broken"


@contextmanager
def _opened(path: Path) -> Iterator[ImageFile.ImageFile]:
    refuse_link_to_nothing(path)
    try:
        # Not by its name: Pillow 13 maps raw TIFFs into memory then, and mixes up the pixels of
        # those that lie on their side.
        with _QUIET, reading.regular(path).open("rb") as file:
            with Image.open(file, formats=_DECODERS) as image:
                yield image
    except DataError:
        raise
    except PermissionError as error:
        raise DataError(f"{path} cannot be read: you have no permission to read it.") from error
    except FileNotFoundError as error:
        raise DataError(f"{path} does not exist: add it, or remove its entry.") from error
    except UnidentifiedImageError as error:
        cause = f"its content is none of {FORMATS}" if path.stat().st_size else "it is empty"
        raise BrokenImageError(path, cause, f"replace it, remove it, {_SKIP}") from error
    except Exception as error:  # a damaged file can raise almost anything
        if not path.is_file():
            raise DataError(f"{path} cannot be read: {error}.") from error
        cause = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
        raise BrokenImageError(path, cause, f"save it anew, remove it, {_SKIP}") from error


def _deep_grey(image: ImageFile.ImageFile) -> bool:
    """Whether the file is grey of 0 (black) to 65535, which Pillow keeps whole."""
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        tags = image.tag_v2
        form = [tags.get(tag) for tag in (_BITS_PER_SAMPLE, _PHOTOMETRIC)]
        return form == [(16,), 1] and tags.get(_SAMPLE_FORMAT, (1,)) == (1,)
    # A PGM of fewer values is spread to 65535.
    return image.format in ("PNG", "PPM") and image.mode.startswith("I")


def _deep(image: ImageFile.ImageFile) -> bool:
    """Whether a colour of the file has more bits than the 8 that Pillow keeps of it."""
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        return max(image.tag_v2.get(_BITS_PER_SAMPLE, (1,))) > 8
    if image.mode.startswith("I"):
        return True
    pieces = [piece for tile in image.tile for piece in _pieces(tile[3])]
    if image.format == "PNG":
        return any(str(piece).endswith(";16B") for piece in pieces)
    # PPM names the largest value.
    return image.format == "PPM" and any(isinstance(each, int) and each > 255 for each in pieces)


def _pieces(arguments: object) -> tuple[object, ...]:
    return arguments if isinstance(arguments, tuple) else (arguments,)

"""A data set: two sets of uint8 images with their labels, held in memory."""

import hashlib
import json
import math
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from jaxnas.allocation import free_memory
from jaxnas.data.augmentation import Augmentation
from jaxnas.data.errors import DataError
from jaxnas.errors import refuse_other_bytes
from jaxnas.normalisation import Normalisation, refuse_other_units
from jaxnas.reading import repeated

_AT_ONCE = 1000
"""Images that are scanned together; more would copy much memory, and decode much of it."""


@dataclass(frozen=True, eq=False)
class Dataset:
    """Images to learn from (train) and to be judged on (test).

    Other libraries' arrays become plain ones of NumPy.

    Attributes:
      name: what the data set is called in tables and messages.
      train_images: uint8 [N, H, W, C].
      train_labels: int32 [N], from 0 to num_classes - 1.
      test_images: uint8 [M, H, W, C].
      test_labels: int32 [M].
      num_classes: number of classes, at least 2, each with training images.
      class_names: one name per class.
      augmentation: what suits these images while training.
      notes: what was left out or decided while they were read, a sentence each.
      normalisation: of other images, as weights need that were trained on these; None to compute
        it from the training images.
      host_workers: number of processes (0 for threads) that read images, which are arrays or
        `FileImages` then, step by step while they are learned; None to hold all on the device.

    Raises:
      DataError: on construction, if the fields do not fit the above or each other.
    """

    name: str
    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray
    num_classes: int
    class_names: tuple[str, ...]
    augmentation: Augmentation
    notes: tuple[str, ...] = ()
    normalisation: Normalisation | None = None
    host_workers: int | None = None

    def __post_init__(self) -> None:
        for field in ("train_images", "train_labels", "test_images", "test_labels"):
            what = f"{self.name}'s {field.replace('train', 'training').replace('_', ' ')}"
            given = getattr(self, field)
            if self.host_workers is None or isinstance(given, np.ndarray):
                object.__setattr__(self, field, _plain(given, what))
        if self.num_classes < 2:
            raise DataError(
                f"{self.name} has {self.num_classes} class: to classify, give at least 2 classes."
            )
        if not isinstance(self.class_names, tuple | list) or not all(
            isinstance(name, str) for name in (self.name, *self.class_names)
        ):
            raise DataError(f"{self.name}'s name and class names must be text: give a tuple of it.")
        if len(self.class_names) != self.num_classes:
            raise DataError(
                f"{self.name} has {self.num_classes} classes but {len(self.class_names)} class "
                "names: give one name per class."
            )
        for name in (self.name, *self.class_names):
            refuse_other_bytes(name, DataError)
        if (twice := repeated(self.class_names)) is not None:
            raise DataError(f"{self.name} has two classes of the name {twice!r}: rename one.")
        self._check_part("training", self.train_images, self.train_labels)
        self._check_part("test", self.test_images, self.test_labels)
        if self.train_images.shape[1:] != self.test_images.shape[1:]:
            raise DataError(
                f"{self.name}'s training images are {self.train_images.shape[1:]} and its test "
                f"images {self.test_images.shape[1:]} (height, width, channels): make them equal."
            )
        _refuse_missing_classes(self.name, self.train_labels, self.num_classes, self.class_names)
        if self.augmentation.crop_area is not None and self.host_workers is None:
            raise DataError(
                f"{self.name}'s images are on the device, and random crops are made on the host: "
                "load them with on_host=True."
            )
        channels = self.train_images.shape[3]
        if self.normalisation is not None and any(
            len(each) != channels for each in self.normalisation
        ):
            raise DataError(
                f"{self.name}'s images have {channels} channel{'s' * (channels > 1)} and its "
                f"normalisation {len(self.normalisation.mean)} means and "
                f"{len(self.normalisation.std)} deviations: give one of each per channel."
            )
        if self.normalisation is not None:
            try:
                refuse_other_units(self.normalisation)
            except ValueError as error:
                raise DataError(f"{self.name}'s normalisation cannot be: {error}.") from error

    def _check_part(self, part: str, images: np.ndarray, labels: np.ndarray) -> None:
        _refuse_no_images(images, f"{self.name}'s {part} images")
        if question := _misplaced_axes(images.shape, labels.size):
            raise DataError(
                f"{self.name}'s {part} images are {list(images.shape)}, as [N, height, width, "
                f"channels]: {question}"
            )
        if labels.dtype != np.int32 or labels.shape != images.shape[:1]:
            raise DataError(
                f"{self.name}'s {part} labels are {labels.dtype} {list(labels.shape)}: "
                f"give int32 [{len(images)}], one per image."
            )
        low, high = int(labels.min()), int(labels.max())
        if low < 0 or high >= self.num_classes:
            raise DataError(
                f"{self.name}'s {part} labels run from {low} to {high}: "
                f"number its {self.num_classes} classes from 0 to {self.num_classes - 1}."
            )

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256, as hex digits, of images, labels and class names; computed once."""
        return self._scanned[0]

    @cached_property
    def _scanned(self) -> tuple[str, np.ndarray]:
        """The fingerprint, and int64 [C, 256], how often each channel of the training images has
        each value: both in one pass, since it may decode all files."""
        sha256 = hashlib.sha256(json.dumps(self.class_names).encode())
        counts = np.zeros((self.train_images.shape[3], 256), np.int64)
        for array in (self.train_images, self.train_labels, self.test_images, self.test_labels):
            sha256.update(str(array.shape).encode())
            for start in range(0, len(array), _AT_ONCE):
                chunk = np.ascontiguousarray(array[start : start + _AT_ONCE])
                sha256.update(chunk)
                if array is self.train_images:
                    for channel, row in enumerate(counts):
                        row += np.bincount(chunk[..., channel].ravel(), minlength=256)
        return sha256.hexdigest(), counts

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(height, width, channels) of every image."""
        height, width, channels = self.train_images.shape[1:]
        return height, width, channels

    @property
    def described(self) -> str:
        """How many images of what size, and which classes, were read; then the notes."""
        height, width, channels = self.input_shape
        names = [*self.class_names[:3], "...", self.class_names[-1]]
        if self.num_classes <= 4:
            names = self.class_names
        read = (
            f"{self.name}: {len(self.train_images):,} training and {len(self.test_images):,} test "
            f"images of {width}x{height} pixels in {channels} "
            f"channel{'s' * (channels > 1)}, {self.num_classes:,} classes ({', '.join(names)})."
        )
        return "\n".join([read, *self.notes])

    def limit(self, n: int) -> "Dataset":
        """The same data set with its first `n` training images only; the test part is kept whole.

        Raises:
          DataError: if n is below 1 or above the number of training images, or if a class has none
            of those images.
        """
        count = len(self.train_images)
        if not 1 <= n <= count:
            raise DataError(
                f"{self.name} cannot be limited to {n} training images: it has {count}, "
                f"so choose from 1 to {count}."
            )
        return replace(self, train_images=self.train_images[:n], train_labels=self.train_labels[:n])

    def channel_mean(self) -> np.ndarray:
        """Mean of each channel over the training images: float32 [C], in units of 0..1.

        A `normalisation` that was given takes its place, as it does in `channel_std`.
        """
        if self.normalisation is not None:
            return np.asarray(self.normalisation.mean, np.float32)
        means = [mean for mean, _ in self._channel_moments]
        return np.asarray(means, np.float32)

    def channel_std(self) -> np.ndarray:
        """Standard deviation of each channel over the training images: float32 [C], in 0..1.

        It is 1 for a channel that never changes, so that normalising leaves that channel at 0.
        """
        if self.normalisation is not None:
            return np.asarray(self.normalisation.std, np.float32)
        deviations = [std or 1.0 for _, std in self._channel_moments]
        return np.asarray(deviations, np.float32)

    @cached_property
    def _channel_moments(self) -> list[tuple[float, float]]:
        # Whole-number histograms make the result independent of the order of summation.
        moments = []
        values = range(256)
        for row in self._scanned[1].tolist():
            n = sum(row)
            first = sum(v * c for v, c in zip(values, row, strict=True))
            second = sum(v * v * c for v, c in zip(values, row, strict=True))
            variance = n * second - first * first  # times n^2, exact
            moments.append((first / (255 * n), math.sqrt(variance) / (255 * n)))
        return moments


def from_arrays(
    x_train: np.ndarray,
    y_train: np.ndarray,
    x_test: np.ndarray,
    y_test: np.ndarray,
    *,
    name: str = "arrays",
) -> Dataset:
    """Makes a data set of arrays; the number of classes is the largest label plus one.

    The augmentation is the default for the images' side; to change it, use
    `dataclasses.replace(dataset, augmentation=...)`.

    Args:
      x_train: uint8 [N, H, W, C], or [N, H, W] for one channel.
      y_train: integers [N], classes numbered from 0.
      x_test: uint8 [M, H, W, C] or [M, H, W].
      y_test: integers [M].
      name: what to call it.

    Returns:
      The data set.

    Raises:
      DataError: if the arrays are of another dtype or shape, are empty, or do not fit together.
    """
    train_images = _as_images(x_train, f"{name}'s training images")
    test_images = _as_images(x_test, f"{name}'s test images")
    train_labels = as_labels(y_train, f"{name}'s training labels")
    test_labels = as_labels(y_test, f"{name}'s test labels")
    num_classes = 1 + max(int(train_labels.max()), int(test_labels.max()))
    if num_classes > len(train_labels) + len(test_labels):  # before there are as many names
        _refuse_missing_classes(name, train_labels, num_classes)
    return Dataset(
        name=name,
        train_images=train_images,
        train_labels=train_labels,
        test_images=test_images,
        test_labels=test_labels,
        num_classes=num_classes,
        class_names=tuple(str(label) for label in range(num_classes)),
        augmentation=Augmentation.for_side(min(train_images.shape[1:3])),
    )


def _misplaced_axes(shape: tuple[int, ...], labels: int) -> str:
    """A question, where axes of images [N, height, width, channels] seem to be in another order."""
    count, height, width, channels = shape
    if channels > 4 and height <= 4:
        return "channels first? transpose them by images.transpose(0, 2, 3, 1)."
    if channels > 4 and width <= 4:
        return "images last? transpose them by images.transpose(3, 0, 1, 2)."
    if count == height and labels == width * channels != count:  # of grey images
        return "images last? transpose them by images.transpose(2, 0, 1)."
    return ""


def _refuse_missing_classes(
    name: str, train_labels: np.ndarray, num_classes: int, class_names: tuple[str, ...] = ()
) -> None:
    """Raises a DataError unless every class has training images."""
    present = set(train_labels.tolist())
    if len(present) == num_classes:
        return
    missing = next(each for each in range(num_classes) if each not in present)
    which = f"{class_names[missing]!r} (number {missing})" if class_names else f"number {missing}"
    raise DataError(
        f"{name} has no training image of {num_classes - len(present)} of its {num_classes} "
        f"classes, such as {which}: number classes from 0 without gaps, as "
        "np.unique(labels, return_inverse=True)[1] does; shuffle images that are sorted by class "
        "before they are cut or limited."
    )


def _plain(array: object, what: str) -> np.ndarray:
    """What a user gave as an array; a DataError where NumPy would guess or drop something."""
    parts = array if isinstance(array, list | tuple) else [array]
    if any(map(np.ma.is_masked, parts)):
        raise DataError(
            f"{what} are masked in places, and a network sees every value: "
            "leave out what is masked, or fill it by numpy.ma.filled."
        )
    try:
        plain = np.asarray(array)
    except (TypeError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise DataError(f"{what} make no array ({reason}): give all of them one shape.") from error
    if plain.dtype.hasobject:
        kind = type(next(iter(plain.flat), None)).__name__
        raise DataError(f"{what} are Python objects ({kind}): give an array of numbers.")
    return plain


def _refuse_no_images(array: np.ndarray, what: str) -> None:
    if array.dtype != np.uint8 or array.ndim != 4 or 0 in array.shape:
        raise DataError(
            f"{what} are {array.dtype} {list(array.shape)}: "
            "give a non-empty uint8 array [N, height, width, channels]."
        )


def _as_images(images: object, what: str) -> np.ndarray:
    array = _plain(images, what)
    if array.dtype != np.uint8:
        raise DataError(
            f"{what} are {array.dtype}: convert them to uint8 from 0 to 255, "
            "for values from 0 to 1 by np.round(images * 255).astype(np.uint8)."
        )
    array = array[..., None] if array.ndim == 3 else array
    _refuse_no_images(array, what)
    return array


def as_labels(labels: object, what: str) -> np.ndarray:
    """Labels int32 [n] of an array of whole numbers; a DataError that says `what` they are else."""
    array = _plain(labels, what)
    # By kind, as NumPy counts time spans among the integers.
    if array.dtype.kind not in "iu" or array.ndim != 1 or not array.size:
        raise DataError(
            f"{what} are {array.dtype} {list(array.shape)}: "
            "give a non-empty one-dimensional array of whole numbers, one class per image."
        )
    if int(array.min()) < 0 or int(array.max()) > np.iinfo(np.int32).max:
        raise DataError(
            f"{what} run from {array.min()} to {array.max()}: number the classes from 0."
        )
    return array.astype(np.int32)


def refuse_no_memory(name: str, count: int, shape: tuple[int, int, int]) -> None:
    """Raises a DataError if so many images of shape [h, w, c] are more than the free memory."""
    height, width, channels = shape
    needed, free = count * height * width * channels, free_memory()
    if needed > free:
        raise DataError(
            f"{name}'s {count:,} images of {width}x{height} pixels need "
            f"{needed / 2**30:,.1f} GiB of memory, and {free / 2**30:,.1f} GiB are free: "
            "make them smaller, or take fewer."
        )

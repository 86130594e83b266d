"""Data sets kept as arrays: an .npz file, and the digits shipped with scikit-learn."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from jaxnas import reading
from jaxnas.data.augmentation import Augmentation
from jaxnas.data.dataset import Dataset, as_labels, from_arrays, refuse_no_memory
from jaxnas.data.errors import DataError
from jaxnas.data.reader_options import Reading
from jaxnas.data.resizing import fit_array

_PARTS = ("x_train", "y_train", "x_test", "y_test")
_DIGITS_TRAIN = 1437  # the first four fifths of 1,797


def load_npz(path: Path, how: Reading) -> Dataset:
    """Reads an .npz file that holds x_train, y_train, x_test and y_test, as `from_arrays` takes.

    If it holds x and y instead, the last tenth (at least one image) is the test part: shuffle
    before saving if the images are sorted by class, or have the test part drawn. The data set has
    the file's name.

    Raises:
      DataError: if the file is damaged, lacks these arrays, or holds Python objects.
    """
    try:
        # Opened here, as NumPy leaves a damaged file open.
        with reading.regular(path).open("rb") as file, np.load(file, allow_pickle=False) as archive:
            names = set(archive.files)
            if names.issuperset(_PARTS):
                how.refuse_drawing(str(path))
                x_train, y_train, x_test, y_test = (archive[part] for part in _PARTS)
            elif {"x", "y"} <= names:
                x, y = np.atleast_1d(archive["x"], archive["y"])
                if len(x) != len(y):
                    raise DataError(
                        f"{path} holds {len(x)} images in x but {len(y)} labels in y: "
                        "save one label per image."
                    )
                if len(x) < 2:
                    raise DataError(
                        f"{path} holds {len(x)} image{'s' * (len(x) != 1)} in x: save at least 2, "
                        "as one is for the test."
                    )
                test = np.arange(len(x)) >= len(x) - max(1, len(x) // 10)
                if how.test_share is not None:
                    labels = as_labels(y, f"{path}'s labels")
                    names = tuple(str(each) for each in range(1 + labels.max()))
                    test = how.draw_test(str(path), labels, names)
                x_train, y_train, x_test, y_test = x[~test], y[~test], x[test], y[test]
            else:
                raise DataError(
                    f"{path} holds {sorted(names)}: save x_train, y_train, x_test and y_test, "
                    "or x and y."
                )
    except DataError:
        raise
    except Exception as error:  # a damaged file can raise almost anything
        raise DataError(
            f"{path} cannot be read ({error}): save plain arrays with numpy.savez."
        ) from error
    dataset = from_arrays(x_train, y_train, x_test, y_test, name=path.stem)
    return as_read(dataset, replace(how, test_share=None))


def as_read(dataset: Dataset, how: Reading) -> Dataset:
    """A data set of arrays, with images of the size and the channels that are wanted.

    Pads of the augmentation grow with the images.

    Raises:
      DataError: if the memory does not suffice, or a test part is to be drawn though it has one.
    """
    how.refuse_drawing(dataset.name)
    side, channels = how.image_size, dataset.input_shape[2]
    train, test, augmentation = dataset.train_images, dataset.test_images, dataset.augmentation
    if side is not None:
        wanted = 3 if how.rgb and channels == 1 else channels
        refuse_no_memory(dataset.name, len(train) + len(test), (side, side, wanted))
        train, test = (fit_array(each, side, how.crop_share) for each in (train, test))
        grown = side / min(dataset.input_shape[:2])
        augmentation = replace(augmentation, pad=round(augmentation.pad * grown))
    if how.rgb and channels == 1:
        train, test = (np.repeat(each, 3, 3) for each in (train, test))
    return replace(dataset, train_images=train, test_images=test, augmentation=augmentation)


def load_digits() -> Dataset:
    """Handwritten digits, 8x8x1, from scikit-learn: no file and no network needed.

    The values 0..16 are scaled by 15 to 0..240. The first 1,437 images are for training, the last
    360 for the test. A mirrored digit is another sign, so the augmentation is a pad of 1 without
    flips.
    """
    from sklearn import datasets  # here, as importing it takes a second that few runs need

    images, labels = datasets.load_digits(return_X_y=True)
    images = (images * 15).astype(np.uint8).reshape(-1, 8, 8, 1)
    labels = labels.astype(np.int32)
    return Dataset(
        name="digits",
        train_images=images[:_DIGITS_TRAIN],
        train_labels=labels[:_DIGITS_TRAIN],
        test_images=images[_DIGITS_TRAIN:],
        test_labels=labels[_DIGITS_TRAIN:],
        num_classes=10,
        class_names=tuple(str(digit) for digit in range(10)),
        augmentation=Augmentation(pad=1, flip=False),
    )

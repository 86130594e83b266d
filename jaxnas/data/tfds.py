"""Any image classification data set of TensorFlow Datasets (TFDS)."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from jaxnas.data.arrays import as_read
from jaxnas.data.augmentation import Augmentation
from jaxnas.data.dataset import Dataset, refuse_no_memory
from jaxnas.data.errors import DataError, DownloadError
from jaxnas.data.reader_options import Reading
from jaxnas.data.resizing import fit_array

_BATCH = 500


def load_tfds(name: str, data_dir: Path, how: Reading, *, download: bool) -> Dataset:
    """Reads a TFDS data set that has `image` and `label` and the parts train and test.

    Where there is no test part, validation is the test part, and where there is neither, it is
    drawn if a share is given. The order is TFDS's own, which is fixed but is not that of the
    original files.

    Args:
      name: TFDS's name of it, with a config or version if need be ("emnist/letters").
      data_dir: TFDS keeps its files in the sub-folder tensorflow_datasets.
      how: how it is read; images of many sizes need its `image_size`.
      download: whether TFDS may download and prepare it if it is not there yet.

    Returns:
      The data set, named tfds:NAME.

    Raises:
      DataError: if TFDS is not installed, does not know the name or cannot prepare it, or if the
        images are not uint8, or of many sizes and no size is given.
    """
    what = f"tfds:{name}"
    folder = data_dir / "tensorflow_datasets"
    with _quiet():
        try:
            # TFDS imports TensorFlow only at its first use, too late for this message.
            import_module("tensorflow")
            tfds = import_module("tensorflow_datasets")
        except ImportError as error:
            raise DataError(
                f'{what} needs TensorFlow Datasets ({error}): pip install "jaxnas[tfds]".'
            ) from error
        try:
            builder = tfds.builder(name, data_dir=folder)
            features = builder.info.features
        except Exception as error:  # TFDS raises many kinds; the message carries the reason
            raise DataError(
                f"TFDS has no data set that can be used as {name!r} ({_first_line(error)}): "
                "choose one listed at https://www.tensorflow.org/datasets/catalog/overview."
            ) from error
        _check_features(tfds, features, what, how)  # before a download in vain
        if not builder.is_prepared():
            if not download:
                raise DataError(
                    f"{what} is not prepared in {folder}: say --download, or name by --data-dir "
                    "or JAXNAS_DATA_DIR the folder that holds tensorflow_datasets."
                )
            _prepare(tfds, builder, what)
        parts = builder.info.splits
        test = next((part for part in ("test", "validation") if part in parts), None)
        if "train" not in parts or (test is None and how.test_share is None):
            raise DataError(
                f"{what} has the parts {sorted(parts)}: choose one with train, and test or "
                "validation"
                + (", or say --test-share 0.2 to be tested on a part." if "train" in parts else ".")
            )
        try:
            images, labels = _read(tfds, builder, "train", what, how)
            tested = None if test is None else _read(tfds, builder, test, what, how)
        except DataError:
            raise
        except Exception as error:  # TensorFlow's errors share no narrower base
            raise DataError(
                f"{what} cannot be read ({_first_line(error)}): delete {builder.data_dir} and "
                "prepare it again with --download."
            ) from error
    label = builder.info.features["label"]  # some names are known only once it is prepared
    names = tuple(label.names)
    if tested is None:
        drawn = how.draw_test(what, labels, names)
        tested = images[drawn], labels[drawn]
        images, labels = images[~drawn], labels[~drawn]
        how = replace(how, test_share=None)
    if _of_many_sizes(features):
        how = replace(how, image_size=None, crop_share=1.0)  # that is done
    dataset = Dataset(
        name=what,
        train_images=images,
        train_labels=labels,
        test_images=tested[0],
        test_labels=tested[1],
        num_classes=label.num_classes,
        class_names=names,
        augmentation=Augmentation.for_side(min(images.shape[1:3])),
    )
    return as_read(dataset, how)


def _prepare(tfds: Any, builder: Any, what: str) -> None:
    # From the original files, whose checksums TFDS verifies, not from its bucket of prepared data.
    config = tfds.download.DownloadConfig(try_download_gcs=False)
    try:
        builder.download_and_prepare(download_config=config)
    except Exception as error:  # the network, a checksum, a missing package, ...
        raise DownloadError(
            f"TFDS could not prepare {what} ({_first_line(error)}): check the network, "
            "or see what the data set asks for in the TFDS catalogue."
        ) from error


def _of_many_sizes(features: Any) -> bool:
    return None in features["image"].shape[:2]


def _check_features(tfds: Any, features: Any, what: str, how: Reading) -> None:
    needed = {"image": tfds.features.Image, "label": tfds.features.ClassLabel}
    found = dict(features) if isinstance(features, tfds.features.FeaturesDict) else {}
    if not all(isinstance(found.get(name), kind) for name, kind in needed.items()):
        raise DataError(
            f"{what} has the features {sorted(found)}: "
            "choose a data set for classification, with one image and one label."
        )
    image = found["image"]
    dtype = np.dtype(image.np_dtype)
    if image.shape[2] is None or dtype != np.uint8:
        raise DataError(
            f"{what} has images of shape {image.shape} and dtype {dtype.name}: "
            "only uint8 images can be used, so save them into an .npz file."
        )
    if _of_many_sizes(features) and how.image_size is None:
        raise DataError(
            f"{what} has images of many sizes: say --image-size N to have them resized to one."
        )


def _read(
    tfds: Any, builder: Any, part: str, what: str, how: Reading
) -> tuple[np.ndarray, np.ndarray]:
    """Images uint8 [n, h, w, c] of one size, and labels int32 [n]."""
    side = how.image_size if _of_many_sizes(builder.info.features) else None
    batches = builder.as_dataset(
        split=part,
        batch_size=_BATCH if side is None else None,
        shuffle_files=False,
        decoders=tfds.decode.PartialDecoding({"image": True, "label": True}),
        # One file after another: the default reads several at once.
        read_config=tfds.ReadConfig(interleave_cycle_length=1),
    )
    images, labels = [], []
    if side is not None:
        shape = side, side, builder.info.features["image"].shape[2]
        refuse_no_memory(f"{what}'s {part} part", builder.info.splits[part].num_examples, shape)
    for batch in tfds.as_numpy(batches):
        found = batch["image"]
        images.append(found if side is None else fit_array(found[None], side, how.crop_share))
        labels.append(np.atleast_1d(batch["label"]))
    return np.concatenate(images), np.concatenate(labels).astype(np.int32)


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


@contextmanager
def _quiet() -> Iterator[None]:
    """Keeps TFDS's and TensorFlow's warnings and progress notes off the screen, for a while."""
    logger = logging.getLogger("absl")
    level = logger.level
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            logger.setLevel(level)

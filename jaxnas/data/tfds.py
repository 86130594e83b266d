"""Any image classification data set of TensorFlow Datasets (TFDS)."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from jaxnas.data.augmentation import Augmentation
from jaxnas.data.dataset import Dataset
from jaxnas.data.errors import DataError

_BATCH = 500


def load_tfds(name: str, data_dir: Path, *, download: bool) -> Dataset:
    """Reads a TFDS data set that has `image` and `label` and the parts train and test.

    Where there is no test part, validation is the test part. The order is TFDS's own, which is
    fixed but is not that of the original files.

    Args:
      name: TFDS's name of it, with a config or version if need be ("emnist/letters").
      data_dir: TFDS keeps its files in the sub-folder tensorflow_datasets.
      download: whether TFDS may download and prepare it if it is not there yet.

    Returns:
      The data set, named tfds:NAME.

    Raises:
      DataError: if TFDS is not installed, does not know the name or cannot prepare it, or if the
        images are not of one size and uint8.
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
        _check_features(tfds, features, what)  # before a download in vain
        if not builder.is_prepared():
            if not download:
                raise DataError(
                    f"{what} is not prepared in {folder}: say --download, or name by --data-dir "
                    "or JAXNAS_DATA_DIR the folder that holds tensorflow_datasets."
                )
            _prepare(tfds, builder, what)
        test = next((part for part in ("test", "validation") if part in builder.info.splits), None)
        if test is None or "train" not in builder.info.splits:
            raise DataError(
                f"{what} has the parts {sorted(builder.info.splits)}: "
                "choose one with train, and test or validation."
            )
        try:
            train_images, train_labels = _read(tfds, builder, "train")
            test_images, test_labels = _read(tfds, builder, test)
        except Exception as error:  # TensorFlow's errors share no narrower base
            raise DataError(
                f"{what} cannot be read ({_first_line(error)}): delete {builder.data_dir} and "
                "prepare it again with --download."
            ) from error
    label = builder.info.features["label"]  # some names are known only once it is prepared
    return Dataset(
        name=what,
        train_images=train_images,
        train_labels=train_labels,
        test_images=test_images,
        test_labels=test_labels,
        num_classes=label.num_classes,
        class_names=tuple(label.names),
        augmentation=Augmentation.for_side(min(train_images.shape[1:3])),
    )


def _prepare(tfds: Any, builder: Any, what: str) -> None:
    # From the original files, whose checksums TFDS verifies, not from its bucket of prepared data.
    config = tfds.download.DownloadConfig(try_download_gcs=False)
    try:
        builder.download_and_prepare(download_config=config)
    except Exception as error:  # the network, a checksum, a missing package, ...
        raise DataError(
            f"TFDS could not prepare {what} ({_first_line(error)}): check the network, "
            "or see what the data set asks for in the TFDS catalogue."
        ) from error


def _check_features(tfds: Any, features: Any, what: str) -> None:
    needed = {"image": tfds.features.Image, "label": tfds.features.ClassLabel}
    found = dict(features) if isinstance(features, tfds.features.FeaturesDict) else {}
    if not all(isinstance(found.get(name), kind) for name, kind in needed.items()):
        raise DataError(
            f"{what} has the features {sorted(found)}: "
            "choose a data set for classification, with one image and one label."
        )
    image = found["image"]
    dtype = np.dtype(image.np_dtype)
    if None in image.shape or dtype != np.uint8:
        raise DataError(
            f"{what} has images of shape {image.shape} and dtype {dtype.name}: "
            "only uint8 images of one fixed size can be used, so resize them into an .npz file."
        )


def _read(tfds: Any, builder: Any, part: str) -> tuple[np.ndarray, np.ndarray]:
    batches = builder.as_dataset(
        split=part,
        batch_size=_BATCH,
        shuffle_files=False,
        decoders=tfds.decode.PartialDecoding({"image": True, "label": True}),
        # One file after another: the default reads several at once.
        read_config=tfds.ReadConfig(interleave_cycle_length=1),
    )
    images, labels = [], []
    for batch in tfds.as_numpy(batches):
        images.append(batch["image"])
        labels.append(batch["label"])
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

"""Judging a trained network on the test images of a data set."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from jaxnas.data import Dataset
from jaxnas.reports.classification import Classification, classification
from jaxnas.runs.config import ConfigError
from jaxnas.runs.load import Trained, classifier


def evaluate(trained: Trained, dataset: Dataset, batch_size: int = 100) -> Classification:
    """How well a network classifies the test images of a data set.

    Classes are told by their names: a data set may have them in another order, or only some of
    them. Where the network, or the data set, has no names, they are told by their numbers.

    Args:
      trained: the network.
      dataset: whose images have the size and the channels of those it was trained on.
      batch_size: images that are classified at once.

    Raises:
      ConfigError: if images or classes do not fit the network.
      OutputsError: if the network says no numbers of an image.
    """
    if dataset.input_shape != trained.input_shape:
        height, width, channels = trained.input_shape
        own = dataset.input_shape
        advice = "; --rgb gives grey images three" if (own[2], channels) == (1, 3) else ""
        raise ConfigError(
            f"the network takes images of {width}x{height} pixels in {channels} "
            f"channel{'s' * (channels > 1)}, and those of {dataset.name} are {own[1]}x{own[0]} in "
            f"{own[2]}{advice}"
        )
    classify = classifier(trained, min(batch_size, len(dataset.test_images)))
    images = dataset.test_images
    logits = np.concatenate(
        [classify(images[at : at + batch_size]) for at in range(0, len(images), batch_size)]
    )
    names = trained.class_names or dataset.class_names
    if trained.class_names is None and logits.shape[1] != dataset.num_classes:
        raise ConfigError(
            f"the network has {logits.shape[1]} classes without names and {dataset.name} has "
            f"{dataset.num_classes}, so that none can be told"
        )
    numbers = _numbers(dataset, names)
    return classification(logits, numbers[dataset.test_labels], names)


def _numbers(dataset: Dataset, names: Sequence[str]) -> np.ndarray:
    """The network's number of each class of the data set."""
    own = dataset.class_names
    if set(own) <= set(names):
        return np.array([names.index(name) for name in own])
    if own == tuple(map(str, range(len(names)))):  # arrays, which have no names
        return np.arange(len(own))
    strange = [name for name in own if name not in names]
    known = f"{', '.join(names[:9])}{', ...' if len(names) > 9 else ''}"
    raise ConfigError(
        f"{dataset.name} has a class {strange[0]!r} that the network does not know; it knows "
        f"{known}"
    )

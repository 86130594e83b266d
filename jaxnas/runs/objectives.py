"""What a network learns of a data set, and by what it is judged: with labels, or without."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxnas import nn, tasks, training
from jaxnas.data import Dataset, Views
from jaxnas.randomness import stream
from jaxnas.runs.config import ConfigError, Training
from jaxnas.runs.flags.self_supervision import SelfSupervision
from jaxnas.spaces import Genotype
from jaxnas.tasks.task import Scores
from jaxnas.training.loop import Data
from jaxnas.training.train import Apply

_PROBE_BATCH = 256

Evaluate = Callable[[Any, jax.Array | None], Scores]
"""(variables, gates) of a network, or of several on a leading axis, to their scores."""


class Judged(NamedTuple):
    """A trained network with a classifier.

    Attributes:
      variables: ``params`` and ``batch_stats`` of the network for classification.
      scores: ``test_accuracy`` (a share) and ``test_loss``, and what else it is judged by.
      notes: what a reader of the scores should know.
    """

    variables: Any
    scores: dict[str, float]
    notes: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Supervised:
    """Classification, of images with labels.

    Attributes:
      dataset: what is learned.
      settings: how.
      headline: the score by which epochs are compared.
      judges_untrained: whether a network's scores before its first step say something.
    """

    dataset: Dataset
    settings: Training
    headline = "test_accuracy"
    judges_untrained = False

    @property
    def outputs(self) -> int:
        """The classes."""
        return self.dataset.num_classes

    @cached_property
    def task(self) -> tasks.Task:
        """Cross-entropy on augmented images."""
        settings, labels = self.settings, self.dataset.train_labels
        classes, balanced = self.dataset.num_classes, settings.class_weights == "balanced"
        augmentation = dataclasses.replace(
            self.dataset.augmentation,
            cutout=settings.cutout,
            operations=settings.rand_augment,
            magnitude=settings.rand_magnitude,
        )
        return tasks.supervised(
            classes,
            self.dataset.channel_mean(),
            self.dataset.channel_std(),
            augmentation,
            label_smoothing=settings.label_smoothing,
            class_weights=tasks.balanced_class_weights(labels, classes) if balanced else None,
            mixup=settings.mixup,
            cutmix=settings.cutmix,
            dtype=jnp.dtype(settings.precision),
        )

    def evaluator(self, apply: Apply, data: Data, *, wide: bool) -> Evaluate:
        """Loss and accuracy on the images of the parts ``test`` and, where there are held-out ones,
        ``validation`` of `data`."""
        evaluate = training.evaluator(apply, self.task, wide=wide)

        def scores(variables: Any, gates: jax.Array | None) -> Scores:
            return {
                f"{part}_{name}": score
                for part in ("test", "validation")
                if part in data
                for name, score in evaluate(variables, gates, *data[part]).items()
            }

        return scores

    def judge(
        self,
        key: jax.Array,
        genotype: Genotype,
        variables: Any,
        scores: Mapping[str, float],
        first: Mapping[str, float],
        data: Data,
    ) -> Judged:
        """The last word on a network: it is a classifier already.

        Args:
          key: of the seed.
          genotype: the network.
          variables: of the network that ends in `outputs`.
          scores: by its evaluator.
          first: by its evaluator, before the first step; empty where that says nothing.
          data: parts ``train`` and ``test``.
        """
        labels = self.dataset.test_labels
        return Judged(variables, dict(scores), _hopeless(scores["test_accuracy"], labels))


def _hopeless(accuracy: float, labels: np.ndarray) -> tuple[str, ...]:
    """A sentence where an accuracy, a share, is by two standard errors not above the share of the
    commonest of the test images' labels; else none."""
    share = np.unique(labels, return_counts=True)[1].max() / len(labels)
    if accuracy > share + 2 * math.sqrt(share * (1 - share) / len(labels)):
        return ()
    return (
        f"the accuracy is not above that of naming the commonest class always ({100 * share:.2f}%):"
        " nothing was learned that these test images show; often --learning-rate is too high, or "
        "--epochs are too few.",
    )


@dataclasses.dataclass(frozen=True)
class SelfSupervised:
    """Two views of an image and no label, judged by what the features tell of the labels.

    Attributes:
      dataset: what is learned.
      settings: how.
      supervision: by which method, and how it is judged.
      headline: the score by which epochs are compared.
      judges_untrained: whether a network's scores before its first step say something.
    """

    dataset: Dataset
    settings: Training
    supervision: SelfSupervision
    headline = "knn_accuracy"
    judges_untrained = True

    def __post_init__(self) -> None:
        neighbours, count = self.supervision.neighbours, len(self.dataset.train_images)
        if neighbours > count:
            raise ConfigError(
                f"--neighbours {neighbours} is more than the {count} training images there are"
            )
        if self.supervision.method == "simclr" and self.settings.batch_size < 2:
            raise ConfigError(
                "--batch-size 1 leaves SimCLR no other image to tell one from; give at least 2"
            )
        if self.dataset.host_workers is not None:
            raise ConfigError(
                "--data-on host is for training with labels: features of all images are compared "
                "without; leave it out, and --crop-area, for which views have --crop"
            )
        channels = self.dataset.input_shape[-1]
        if channels not in (1, 3):
            raise ConfigError(
                f"views are for images of 1 or 3 channels; {self.dataset.name} has {channels}"
            )
        for name in (
            *("label_smoothing", "auxiliary_weight", "cutout", "mixup", "cutmix", "rand_augment"),
            *("early_stopping", "class_weights"),
        ):
            if getattr(self.settings, name) != getattr(Training(), name):
                raise ConfigError(
                    f"--{name.replace('_', '-')} is for training with labels; leave it out"
                )

    @property
    def outputs(self) -> nn.Projector:
        """The heads."""
        return self.task.outputs  # pyright: ignore[reportReturnType]

    @cached_property
    def task(self) -> tasks.Task:
        """SimCLR or SimSiam."""
        chosen = self.supervision
        views = dataclasses.replace(
            Views.simclr(chosen.jitter),
            crop_area=(chosen.smallest_crop, 1.0),
            blur=chosen.blur,
            solarize=chosen.solarize,
        )
        drawing = self.dataset.channel_mean(), self.dataset.channel_std(), views
        dtype = jnp.dtype(self.settings.precision)
        if chosen.method == "simclr":
            return tasks.simclr(*drawing, temperature=chosen.resolved["temperature"], dtype=dtype)
        return tasks.simsiam(*drawing, dtype=dtype)

    def evaluator(self, apply: Apply, data: Data, *, wide: bool) -> Evaluate:
        """What frozen features tell of the test images' labels, and whether they collapse."""
        extract = training.extractor(apply, self.task, wide=wide)
        classes, neighbours = self.dataset.num_classes, self.supervision.neighbours
        train_labels, test_labels = data["train"][1], data["test"][1]

        def of_features(train: jax.Array, test: jax.Array) -> Scores:
            labelled = train, train_labels, test, test_labels, classes
            statistics = training.feature_statistics(test)
            return {
                "knn_accuracy": training.knn_accuracy(*labelled, k=neighbours),
                "ridge_accuracy": training.ridge_accuracy(*labelled),
                "feature_std": statistics.std,
                "feature_rank": statistics.rank,
            }

        judged = jax.jit(jax.vmap(of_features) if wide else of_features)

        def scores(variables: Any, gates: jax.Array | None) -> Scores:
            parts = [extract(variables, gates, data[part][0]) for part in ("train", "test")]
            return judged(*parts)

        return scores

    def judge(
        self,
        key: jax.Array,
        genotype: Genotype,
        variables: Any,
        scores: Mapping[str, float],
        first: Mapping[str, float],
        data: Data,
    ) -> Judged:
        """A linear classifier of the frozen features takes the heads' place."""
        network = nn.build(genotype, self.outputs, jnp.dtype(self.settings.precision))
        extract = training.extractor(training.flax_apply(network), self.task)
        train, test = (extract(variables, None, data[part][0]) for part in ("train", "test"))
        classifying = nn.build(genotype, self.dataset.num_classes)
        wanted = nn.abstract_variables(classifying, self.dataset.input_shape)["params"]
        probe = training.linear_probe(
            stream(key, "probe"),
            train,
            data["train"][1],
            test,
            data["test"][1],
            self.dataset.num_classes,
            epochs=self.supervision.probe_epochs,
            batch_size=min(_PROBE_BATCH, len(train)),
            has_bias="bias" in wanted["classifier"],
        )
        parts = {
            collection: {name: tree for name, tree in modules.items() if name not in nn.HEADS}
            for collection, modules in variables.items()
        }
        parts["params"]["classifier"] = probe.classifier
        found = {
            "test_accuracy": float(probe.accuracy),
            "test_loss": float(probe.loss),
            **scores,
            "untrained_knn_accuracy": first["knn_accuracy"],
            "untrained_ridge_accuracy": first["ridge_accuracy"],
        }
        note = (
            f"kNN accuracy {100 * scores['knn_accuracy']:.2f}% (untrained "
            f"{100 * first['knn_accuracy']:.2f}%), ridge accuracy "
            f"{100 * scores['ridge_accuracy']:.2f}% (untrained "
            f"{100 * first['ridge_accuracy']:.2f}%); standard deviation of the features "
            f"{scores['feature_std']:.2f} (untrained {first['feature_std']:.2f}; 1 for an even "
            f"spread, 0 in collapse), effective rank {scores['feature_rank']:.1f} of "
            f"{train.shape[-1]} (untrained {first['feature_rank']:.1f})."
        )
        return Judged(parts, found, (note,))


Objective = Supervised | SelfSupervised
"""What a method's networks learn, and how they are judged."""


def as_lists(scores: dict[str, jax.Array]) -> dict[str, Any]:
    """Scores, scalar or [seeds], for JSON; exactly, since every float32 is a float64."""
    return {name: np.asarray(each).tolist() for name, each in scores.items()}


def of_seed(scores: dict[str, Any], index: int) -> dict[str, float]:
    """The scores of one seed, of scores that are scalar or [seeds]."""
    return {name: float(np.atleast_1d(each)[index]) for name, each in scores.items()}


def readable(scores: dict[str, float]) -> dict[str, float]:
    """Scores with accuracies in percent."""
    return {
        # float32 has no more digits
        name: round(100 * score, 4) if name.endswith("accuracy") else score
        for name, score in scores.items()
    }

"""How well a network classifies: overall, by class, and what it takes for what."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
from matplotlib.ticker import MaxNLocator

from jaxnas.errors import SettingsError
from jaxnas.reports import style
from jaxnas.reports.tables import Column, Table

_NAMED = 40  # classes whose names a picture has room for
_COUNTED = 20  # classes whose counts a picture has room for


@dataclasses.dataclass(frozen=True, eq=False)
class Classification:
    """What a network made of images whose classes are known.

    Attributes:
      ranks: int [n], the `label_ranks`.
      loss: mean cross-entropy, in nats.
      confusion: int [classes, classes], number of images of each class (rows) by the class that
        the network took them for (columns).
      class_names: in the order of both axes.
    """

    ranks: np.ndarray
    loss: float
    confusion: np.ndarray
    class_names: tuple[str, ...]

    def accuracy(self, most: int = 1) -> float:
        """Percent of the images whose class is among the `most` likeliest ones: top-k accuracy."""
        return 100 * float((self.ranks < most).mean())

    @cached_property
    def rows(self) -> list[dict[str, Any]]:
        """A class each: its ``name``, number of ``images``, ``accuracy`` (recall) and ``precision``
        in percent, None where there are no such images, and what it is ``mostly_taken_for`` else.
        """
        rows = []
        for index, name in enumerate(self.class_names):
            images, taken = self.confusion[index].sum(), self.confusion[:, index].sum()
            right = int(self.confusion[index, index])
            others = self.confusion[index].copy()
            others[index] = 0
            wrong = self.class_names[others.argmax()] if others.any() else None
            rows.append(
                {
                    "name": name,
                    "images": int(images),
                    "accuracy": _percent(right, images),
                    "precision": _percent(right, taken),
                    "mostly_taken_for": wrong,
                }
            )
        return rows

    @property
    def mean_class_accuracy(self) -> float:
        """Mean over the classes that have images of their accuracies, in percent."""
        own = [row["accuracy"] for row in self.rows if row["accuracy"] is not None]
        return float(np.mean(own))

    def as_json(self) -> dict[str, Any]:
        """All of it but for single images; accuracies in percent, to 4 decimals as in a run.

        ``top5_accuracy`` is None of five classes or fewer, where it says nothing.
        """
        few = len(self.class_names) <= 5
        return {
            "images": len(self.ranks),
            "top1_accuracy": round(self.accuracy(), 4),
            "top5_accuracy": None if few else round(self.accuracy(5), 4),
            "mean_class_accuracy": round(self.mean_class_accuracy, 4),
            "loss": self.loss,
            "classes": self.rows,
            "confusion": self.confusion.tolist(),
        }

    def table(self) -> Table:
        """A row for each class."""
        columns = [
            Column("class", left=True),
            Column("images", ","),
            Column("accuracy %", ".2f"),
            Column("precision %", ".2f"),
            Column("mostly taken for", left=True),
        ]
        return Table(columns, [list(row.values()) for row in self.rows])

    def draw(self, path: str | os.PathLike[str]) -> None:
        """Draws the confusion matrix to `path`.svg and `path`.png: shares of each class's images.

        Raises:
          RunError: if a file cannot be written.
        """
        count = len(self.class_names)
        shares = self.confusion / np.maximum(self.confusion.sum(1, keepdims=True), 1)
        side = min(9.0, 2.2 + 0.32 * min(count, _NAMED))
        with style.picture(path, side + 0.8, side) as figure:
            axes = figure.subplots()
            image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, interpolation="nearest")
            axes.grid(False)
            axes.set_xlabel("taken for")
            axes.set_ylabel("class")
            if count <= _NAMED:
                axes.set_xticks(range(count), [_short(name) for name in self.class_names], size=7)
                axes.tick_params(axis="x", rotation=90)
                axes.set_yticks(range(count), [_short(name) for name in self.class_names], size=7)
            else:
                for axis in (axes.xaxis, axes.yaxis):
                    axis.set_major_locator(MaxNLocator(integer=True))
            if count <= _COUNTED:
                for row, column in np.argwhere(self.confusion):
                    colour = style.PAPER if shares[row, column] > 0.6 else style.INK
                    text, at = f"{self.confusion[row, column]}", (column, row)
                    axes.annotate(text, at, ha="center", va="center", size=6, color=colour)
            bar = figure.colorbar(image, ax=axes, fraction=0.045, pad=0.03)
            bar.set_label("share of the class's images")
            bar.outline.set_visible(False)  # pyright: ignore[reportCallIssue]


def classification(
    logits: np.ndarray, labels: np.ndarray, class_names: Sequence[str]
) -> Classification:
    """Judges logits by the images' labels.

    Args:
      logits: float32 [n, classes], n at least 1.
      labels: int [n], from 0 to classes - 1.
      class_names: one a class.

    Raises:
      SettingsError: if the shapes do not fit.
    """
    logits, count = np.asarray(logits, np.float64), len(class_names)
    if not len(labels) or logits.shape != (len(labels), count):
        raise SettingsError(
            f"logits {list(logits.shape)} are not one for each of {count} classes and each of "
            f"{len(labels)} images"
        )
    own = logits[np.arange(len(labels)), labels]
    peak = logits.max(1)
    loss = np.log(np.exp(logits - peak[:, None]).sum(1)) + peak - own
    confusion = np.zeros((count, count), int)
    np.add.at(confusion, (labels, logits.argmax(1)), 1)
    ranks = label_ranks(logits, np.asarray(labels))
    return Classification(ranks, float(loss.mean()), confusion, tuple(class_names))


def label_ranks(logits: Any, labels: Any) -> Any:
    """Number of classes that count as likelier than an image's own, int [n].

    Of equally likely classes the first counts as the likelier, and what is no number as likelier
    than all.

    Args:
      logits: float [n, classes], of NumPy or JAX.
      labels: int [n], of the same.
    """
    arrays = logits.__array_namespace__()
    own = arrays.take_along_axis(logits, labels[:, None], axis=1)
    before = arrays.arange(logits.shape[1]) < labels[:, None]
    return (~(logits <= own)).sum(1) + ((logits == own) & before).sum(1)


def _percent(part: int, whole: int) -> float | None:
    return round(100 * float(part / whole), 4) if whole else None


def _short(name: str) -> str:
    """What a tick has room for; a dollar sign would begin a formula."""
    return (name if len(name) <= 18 else f"{name[:17]}…").replace("$", r"\$")

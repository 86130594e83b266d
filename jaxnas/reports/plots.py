"""Curves over the epochs, and architecture parameters over the epochs."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize, TwoSlopeNorm
from matplotlib.ticker import MaxNLocator

from jaxnas.reports import style
from jaxnas.spaces.adaptation import CANDIDATES
from jaxnas.storage.files import RunError, WriteError


def learning_curves(
    series: Mapping[str, Sequence[Mapping[str, Any]]], path: str | os.PathLike[str]
) -> None:
    """Draws train loss and an accuracy by epoch to `path`.svg and `path`.png.

    Args:
      series: rows of metrics by name, each row with ``epoch`` and any of ``train_loss`` and
        ``test_accuracy``, or without labels ``knn_accuracy`` (percent). What stands before a ``/``
        in a name is the method: the seeds of one method (``adaptation/0``, ``adaptation/1``) share
        a colour and a legend entry. A dotted vertical line follows the last row whose ``phase`` is
        ``adaptation``.
      path: where the pictures go, without suffix.

    Raises:
      RunError: if there is no row with either metric, or a file cannot be written.
    """
    logged = {name for rows in series.values() for row in rows for name in row}
    if not logged & {"train_loss", "test_accuracy", "knn_accuracy"}:
        raise RunError("there are no metrics to draw; log 'train_loss' or 'test_accuracy'")
    panels = [
        ("train_loss", "train loss"),
        ("knn_accuracy", "kNN accuracy, %")
        if "knn_accuracy" in logged
        else ("test_accuracy", "test accuracy, %"),
    ]
    methods = list(dict.fromkeys(name.split("/")[0] for name in series))
    ends = {
        max(row["epoch"] for row in rows if row.get("phase") == "adaptation")
        for rows in series.values()
        if any(row.get("phase") == "adaptation" for row in rows)
    }
    with style.style():
        figure = style.figure(8.6, 3.3)
        for place, (metric, title) in enumerate(panels, start=1):
            axes = figure.add_subplot(1, 2, place)
            for name, rows in series.items():
                method = name.split("/")[0]
                known = method in axes.get_legend_handles_labels()[1]
                colour = style.LINES[methods.index(method) % len(style.LINES)]
                _curve(axes, rows, metric, colour, alpha=0.85, label=None if known else method)
            axes.set_title(title)
            axes.set_xlabel("epoch")
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
            _mark_adaptation(axes, sorted(ends))
        handles, labels = figure.axes[0].get_legend_handles_labels()
        figure.tight_layout(rect=(0, 0.07, 1, 1), w_pad=2.5)
        figure.legend(handles, labels, loc="lower center", ncols=min(len(labels), 6))
        style.save(figure, path)


def search_curves(rows: Sequence[Mapping[str, Any]], path: str | os.PathLike[str]) -> None:
    """Draws what a search measured by epoch to `path`.svg and `path`.png, a panel each.

    Args:
      rows: of metrics, each with ``epoch``; every other number but ``seed`` and ``seconds`` is
        drawn, where a row has it.
      path: where the pictures go, without suffix.

    Raises:
      RunError: if there is no such number, or a file cannot be written.
    """
    logged = dict.fromkeys(name for row in rows for name in row)
    names = [name for name in logged if name not in ("epoch", "seed", "seconds")]
    if not names:
        raise RunError("there are no metrics of the search to draw")
    columns = min(len(names), 3)
    lines = math.ceil(len(names) / columns)
    with style.picture(path, 2.9 * columns, 1.7 * lines + 0.4) as figure:
        grid = figure.subplots(lines, columns, squeeze=False, sharex=True)
        for axes in grid.flat[len(names) :]:
            axes.set_axis_off()
        for place, (axes, name) in enumerate(zip(grid.flat, names, strict=False)):
            _curve(axes, rows, name, style.LINES[0])
            axes.set_title(name.replace("_", " "))
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
            if place + columns >= len(names):  # the lowest of its column
                axes.set_xlabel("epoch")
                axes.tick_params(labelbottom=True)


def _curve(
    axes: Axes, rows: Sequence[Mapping[str, Any]], name: str, colour: str, **options: Any
) -> None:
    """A metric by epoch, where rows have it; a single point as a dot."""
    points = [(row["epoch"], row[name]) for row in rows if row.get(name) is not None]
    axes.plot(
        [x for x, _ in points],
        [y for _, y in points],
        color=colour,
        linewidth=1.4,
        marker="o" if len(points) == 1 else "",
        markersize=3,
        **options,
    )


def _mark_adaptation(axes: Axes, ends: list[int]) -> None:
    for index, end in enumerate(ends):
        axes.axvline(end + 0.5, color=style.GREY, linestyle=":", linewidth=1.0, zorder=1)
        if index == 0:
            axes.annotate(
                "adaptation ends",
                (end + 0.5, 1.0),
                xycoords=("data", "axes fraction"),
                xytext=(3, -2),
                textcoords="offset points",
                size=7,
                color=style.GREY,
                va="top",
                bbox={"facecolor": style.PAPER, "edgecolor": "none", "pad": 1.0, "alpha": 0.8},
            )


def theta_heatmap(
    theta: np.ndarray, tables: Mapping[str, Sequence[str]], path: str | os.PathLike[str]
) -> None:
    """Draws architecture parameters over the epochs to `path`.svg and `path`.png.

    Args:
      theta: [epochs, tables, edges, 3], the last axis in the order of `CANDIDATES`; the first row
        is what it was before the first epoch or after it, as the caller likes.
      tables: name of each table and of its edges; a table of fewer edges than the array has room
        for shows as many as it has names.
      path: where the pictures go, without suffix.

    Raises:
      RunError: if the shapes do not fit or a number is not finite, or a file cannot be written.
    """
    theta = np.asarray(theta, np.float64)
    if theta.ndim != 4 or theta.shape[-1] != len(CANDIDATES) or 0 in theta.shape:
        raise RunError(f"θ must be [epochs, tables, edges, 3] to be drawn, not {theta.shape}")
    if len(tables) != theta.shape[1] or not all(
        0 < len(labels) <= theta.shape[2] for labels in tables.values()
    ):
        raise RunError(
            f"θ has {theta.shape[1]} tables of up to {theta.shape[2]} edges, but the labels are "
            f"for {[len(labels) for labels in tables.values()]} edges"
        )
    if not np.isfinite(theta).all():
        raise WriteError("θ is not finite; the run diverged, so lower its learning rate")
    columns = min(len(tables), 3)
    rows = math.ceil(len(tables) / columns)
    lines = len(CANDIDATES) * max(map(len, tables.values()))
    norm, colours = _scale(theta)
    with style.style():
        figure = style.figure(3.5 * columns + 0.9, rows * (0.105 * lines + 0.62) + 0.25)
        figure.set_layout_engine("constrained")
        grid = figure.subplots(rows, columns, squeeze=False)
        image = None
        for axes in grid.flat[len(tables) :]:
            axes.set_axis_off()
        for table, (name, labels) in enumerate(tables.items()):
            axes = grid.flat[table]
            values = theta[:, table, : len(labels)].reshape(len(theta), -1).T
            image = axes.imshow(
                values, aspect="auto", norm=norm, cmap=colours, interpolation="nearest"
            )
            axes.set_ylim(lines - 0.5, -0.5)  # rows of one height in every table
            _label_edges(axes, labels)
            axes.set_title(name)
            axes.set_xlabel("epoch")
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        assert image is not None  # there is at least one table
        bar = figure.colorbar(image, ax=grid, fraction=0.03, pad=0.015)
        bar.set_label("θ")
        bar.outline.set_visible(False)  # pyright: ignore[reportCallIssue]
        style.save(figure, path)


def _scale(theta: np.ndarray) -> tuple[Normalize, str]:
    """Diverging around 0 for logits; sequential from 0 for what is never negative."""
    limit = float(np.abs(theta).max()) or 1.0
    if theta.min() < 0:
        return TwoSlopeNorm(0.0, -limit, limit), "RdBu_r"
    return Normalize(0.0, limit), "Blues"


def _label_edges(axes: Axes, labels: Sequence[str]) -> None:
    """Names every row by its candidate and every group of three by its edge."""
    count = len(CANDIDATES)
    axes.set_yticks(range(count * len(labels)), list(CANDIDATES) * len(labels), size=5.5)
    axes.tick_params(axis="y", length=0, pad=2)
    axes.grid(False)
    for spine in axes.spines.values():
        spine.set_visible(False)
    for index, label in enumerate(labels):
        if index:
            axes.axhline(count * index - 0.5, color=style.PAPER, linewidth=2.5)
        axes.annotate(
            label,
            (0, count * index + 1),
            xycoords=("axes fraction", "data"),
            xytext=(-24, 0),
            textcoords="offset points",
            size=6.5,
            ha="right",
            va="center",
            annotation_clip=False,
        )

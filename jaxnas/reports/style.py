"""How every picture looks, and how it is written: SVG and PNG, the same bytes every time."""

from __future__ import annotations

import colorsys
import contextlib
import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.figure import Figure

from jaxnas.storage import files

INK = "#22272e"
GREY = "#8b929b"
FAINT = "#c3c8ce"
ACCENT = "#d1345b"
PAPER = "#ffffff"

LINES = ("#2f6fb3", "#d1345b", "#2a9d6f", "#e08e1b", "#7b5cb8", "#5f6b78")
"""Colours of methods, in the order of their first appearance."""

RC: dict[str, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 8.0,
    "axes.edgecolor": GREY,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.8,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 9.0,
    "axes.titlelocation": "left",
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e6e9ec",
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "legend.fontsize": 8.0,
    "text.color": INK,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "svg.fonttype": "none",  # text stays text: searchable, and small files
    "svg.hashsalt": "jaxnas",
}


def style() -> Any:
    """A context in which figures are drawn; nothing global changes behind it."""
    settings: Any = {**matplotlib.rcParamsDefault, **RC}
    del settings["backend"]  # a figure of its own asks for none
    return matplotlib.rc_context(settings)


def figure(width: float, height: float) -> Figure:
    """An empty figure of that size in inches, tied to no window and no global state."""
    return Figure(figsize=(width, height), facecolor=PAPER)


@contextlib.contextmanager
def picture(path: str | os.PathLike[str], width: float, height: float) -> Iterator[Figure]:
    """A figure to draw on, of that size in inches, which is then saved; see `save`."""
    with style():
        drawn = figure(width, height)
        yield drawn
        drawn.tight_layout()
        save(drawn, path)


def tint(index: int, count: int) -> tuple[float, float, float]:
    """A pale colour, different for each of `count` things."""
    return colorsys.hsv_to_rgb((0.58 + index / max(count, 1)) % 1.0, 0.17, 0.97)


def render(drawn: Figure, form: str) -> bytes:
    """The figure as ``svg`` or ``png``; to be called in the context `style`."""
    content = io.BytesIO()
    if form == "svg":
        drawn.savefig(content, format="svg", metadata={"Date": None})
    else:
        drawn.savefig(content, format="png", dpi=160)
    return content.getvalue()


def save(drawn: Figure, path: str | os.PathLike[str]) -> None:
    """Writes `path` as .svg and as .png, each whole or not at all; a suffix of either is dropped.

    Raises:
      RunError: if a file cannot be written.
    """
    path = Path(path)
    stem = path.name.removesuffix(".svg").removesuffix(".png")
    contents = {form: render(drawn, form) for form in ("svg", "png")}
    for form, content in contents.items():
        files.write_bytes(path.with_name(f"{stem}.{form}"), content)

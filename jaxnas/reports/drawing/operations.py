"""How drawings name and colour operations."""

from __future__ import annotations

import re

from jaxnas.spaces.families import NULL, SKIP, Family

COLOURS = {
    "separable": "#a8c8ee",
    "dilated": "#cbb9ec",
    "convolution": "#f7c797",
    "depthwise": "#9fdad0",
    "pooling": "#b5dda0",
    "squeeze-excite": "#f4b6c8",
    "skip": "#e4e7eb",
    "null": "#ffffff",
}
"""Kinds of operations, and the colours of their boxes."""


def kind(op: str) -> str:
    """One of `COLOURS`."""
    if op in (SKIP, "pad_shortcut"):
        return "skip"
    if op == NULL:
        return "null"
    for part, found in (
        ("pool", "pooling"),
        ("dil", "dilated"),
        ("sep", "separable"),
        ("depthwise", "depthwise"),
        ("squeeze", "squeeze-excite"),
    ):
        if part in op.split("_"):
            return found
    return "convolution"


def words(op: str) -> str:
    """The operation's name in two short lines, such as ``sep conv`` and ``3×3``."""
    name, *sizes = re.split(r"_(?=\d)", op)
    if not sizes:
        return op.replace("_", "\n", 1)
    return f"{name.replace('_', ' ')}\n{' '.join(sizes).replace('x', '×')}"


def line(op: str) -> str:
    """The same in one line."""
    return words(op).replace("\n", " ")


def inputs(rules: Family, count: int) -> tuple[str, ...]:
    """What the `count` inputs of a cell are called in the papers, in the order of their numbers.

    ``hᵢ`` is the output of the block before, ``hᵢ₋₁`` that of the one before it.
    """
    if rules.wiring == "concatenated":
        return ("earlier, concatenated",)
    if rules.wiring == "sources":
        return ("hᵢ", *["earlier"] * (count - 1))
    if rules.inputs == 1:
        return ("hᵢ",)
    return ("hᵢ", "hᵢ₋₁") if rules.newest_first else ("hᵢ₋₁", "hᵢ")


OUTPUT = "hᵢ₊₁"
"""What a cell's output is called."""

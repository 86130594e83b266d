"""Where the parts of a cell's drawing go; plain numbers, in inches, x to the right and y up."""

from __future__ import annotations

import dataclasses
import functools

from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextPath

from jaxnas.runs import style
from jaxnas.spaces.genotype import Cell

RADIUS = 0.13
LEVEL = 0.28
"""Height that each further level of arcs adds."""


@functools.cache
def text_width(text: str, size: float) -> float:
    """Width of one line of text in inches."""
    font = FontProperties(family=style.RC["font.family"])
    return TextPath((0, 0), text, size=size, prop=font).get_extents().width / 72 if text else 0.0


@dataclasses.dataclass(frozen=True)
class Arc:
    """How one edge runs: `level` 0 straight to the next node, above it if positive, else below."""

    level: int

    @property
    def height(self) -> float:
        """Of the apex, relative to the line of nodes."""
        sign = (self.level > 0) - (self.level < 0)
        return sign * (0.2 + LEVEL * abs(self.level))


def arcs(cell: Cell) -> list[Arc]:
    """For each edge its arc: the first edge to a neighbour is straight, the others bend.

    An edge goes to the side where it crosses fewer others, and far enough out that of the edges
    it shares a stretch with none lies on its level.
    """
    levels = [0] * len(cell.edges)
    straight: set[tuple[int, int]] = set()
    placed: dict[int, list[tuple[int, int, int]]] = {1: [], -1: []}
    by_span = sorted(
        range(len(cell.edges)), key=lambda i: cell.edges[i].target - cell.edges[i].source
    )
    for index in by_span:
        start, end = cell.edges[index].source, cell.edges[index].target
        if end - start == 1 and (start, end) not in straight:
            straight.add((start, end))
            continue
        crossings = {
            side: sum(a < start < b < end or start < a < end < b for a, b, _ in others)
            for side, others in placed.items()
        }
        side = -1 if crossings[-1] < crossings[1] else 1
        below = [level for a, b, level in placed[side] if a < end and start < b]
        level = 1 + max(below, default=0)
        placed[side].append((start, end, level))
        levels[index] = side * level
    return [Arc(level) for level in levels]


def gaps(cells: list[Cell], labels: list[list[str]], size: float) -> list[float]:
    """Distances between neighbouring nodes with room for the labels on straight edges.

    Args:
      cells: all that stand in one picture, so that they line up.
      labels: of each cell's edges.
      size: of the labels, in points.
    """
    count = max(cell.inputs + len(cell.nodes) for cell in cells) - 1
    widths = [0.62] * count
    for cell, names in zip(cells, labels, strict=True):
        for edge, arc, name in zip(cell.edges, arcs(cell), names, strict=True):
            if arc.level == 0:
                text = max(text_width(line, size) for line in name.split("\n"))
                widths[edge.source] = max(widths[edge.source], text + 2 * RADIUS + 0.17)
    return widths


def extent(cell: Cell) -> tuple[float, float]:
    """How far the drawing reaches below and above the line of nodes."""
    heights = [arc.height for arc in arcs(cell)]
    return min([-RADIUS, *(h - 0.1 for h in heights)]), max([0.3, *(h + 0.1 for h in heights)])


def ranges(numbers: list[int]) -> str:
    """Such as ``0–2, 5`` for [0, 1, 2, 5]."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and runs[-1][1] == number - 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ", ".join(f"{a}" if a == b else f"{a}–{b}" for a, b in runs)

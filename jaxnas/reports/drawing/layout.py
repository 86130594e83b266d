"""Where the parts of a cell's drawing go; plain numbers, in inches, x to the right and y up.

A cell is drawn in rows, as in the papers: its inputs at the bottom, then in turn operations and
the sums that they enter, its output on top. A line that passes a row has a place of its own in it,
so that it crosses neither a box nor a label; it bends between rows only.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import math
import random
from collections import Counter
from collections.abc import Sequence
from typing import Literal

import numpy as np
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextPath
from scipy.optimize import isotonic_regression

from jaxnas.reports import style
from jaxnas.spaces.genotype import NULL, Cell

LABEL = 7.0
"""Size of the texts in boxes, in points."""
RADIUS = 0.11
"""Radius of a node."""
LINE = 0.125
"""Height of a line of text."""
_GAP = 0.1  # between neighbours in a row
_STARTS = 12  # random orders that are tried
_SWEEPS = 6

Kind = Literal["input", "operation", "node", "output", "bend"]


@dataclasses.dataclass(eq=False)
class Part:
    """Something that has a place in a row; equal to itself only.

    Attributes:
      kind: an input, an operation, a node, the output, or a bend: the place where a line passes.
      index: number of the input or node among the cell's nodes, of the operation among its edges.
      row: counted from the bottom.
      width: of the part.
      height: of the part, for a bend of its row.
      x: middle of the part.
      y: middle of the part.
    """

    kind: Kind
    index: int
    row: int
    width: float
    height: float
    x: float = 0.0
    y: float = 0.0


@dataclasses.dataclass(frozen=True)
class Line:
    """A line from one part to another in the row above.

    Attributes:
      lower: where it starts.
      upper: where it ends.
      null: whether it belongs to a null edge and carries nothing.
    """

    lower: Part
    upper: Part
    null: bool


@dataclasses.dataclass(frozen=True)
class Layout:
    """A cell's drawing, from (0, 0) to (width, height)."""

    parts: list[Part]
    lines: list[Line]
    width: float
    height: float


Neighbours = dict[Part, tuple[list[tuple[Part, float]], list[tuple[Part, float]]]]
"""For each part those below and those above it, with how much a line between them pulls."""


@functools.cache
def text_width(text: str, size: float) -> float:
    """Width of one line of text in inches."""
    font = FontProperties(family=style.RC["font.family"])
    return TextPath((0, 0), text, size=size, prop=font).get_extents().width / 72 if text else 0.0


def place(cell: Cell, texts: Sequence[str], ends: tuple[Sequence[str], str]) -> Layout:
    """Lays out a cell.

    Args:
      cell: the graph.
      texts: what stands in the box of each edge; "" for none, a line without a box.
      ends: what stands at each input, and at the output.
    """
    parts, lines = _graph(cell, texts, ends)
    rows: list[list[Part]] = [[] for _ in range(1 + max(part.row for part in parts))]
    for part in parts:
        rows[part.row].append(part)
    _order(rows, lines)
    left = min(part.x - part.width / 2 for part in parts)
    for part in parts:
        part.x -= left
    height = _stack(rows, lines)
    return Layout(parts, lines, max(part.x + part.width / 2 for part in parts), height)


def _box(text: str) -> tuple[float, float]:
    lines = text.split("\n")
    width = max(text_width(line, LABEL) for line in lines) + 0.14
    return width, LINE * len(lines) + 0.1


def _graph(
    cell: Cell, texts: Sequence[str], ends: tuple[Sequence[str], str]
) -> tuple[list[Part], list[Line]]:
    """The parts in their rows and the lines between them; those of one source share their bends."""
    depth = [0] * cell.inputs + [1] * len(cell.nodes)
    for edge in cell.edges:  # sorted by target
        depth[edge.target] = max(depth[edge.target], depth[edge.source] + 1)
    parts: list[Part] = []
    states = []
    for number, level in enumerate(depth):
        if number < cell.inputs:
            part = Part("input", number, 0, *_box(ends[0][number]))
        else:
            part = Part("node", number, 2 * level, 2 * RADIUS, 2 * RADIUS)
        states.append(part)
    parts += states
    bends: dict[tuple[Part, bool, int], Part] = {}
    lines: dict[tuple[Part, Part, bool], Line] = {}

    def connect(source: Part, target: Part, null: bool) -> None:
        lower = source
        for row in range(source.row + 1, target.row + 1):
            upper = target
            if row < target.row:
                key = (source, null, row)
                if key not in bends:
                    bends[key] = Part("bend", -1, row, 0.06, 0.0)
                    parts.append(bends[key])
                upper = bends[key]
            lines.setdefault((lower, upper, null), Line(lower, upper, null))
            lower = upper

    for index, (edge, text) in enumerate(zip(cell.edges, texts, strict=True)):
        source, target, null = states[edge.source], states[edge.target], edge.op == NULL
        if not text:
            connect(source, target, null)
            continue
        operation = Part("operation", index, target.row - 1, *_box(text))
        parts.append(operation)
        connect(source, operation, null)
        connect(operation, target, null)
    output = Part("output", -1, 2 * max(depth) + 1, *_box(ends[1]))
    parts.append(output)
    for number in cell.output:
        connect(states[number], output, False)
    return parts, list(lines.values())


def _order(rows: list[list[Part]], lines: list[Line]) -> None:
    """Sorts every row and gives every part its x: few crossings first, then short lines.

    Rows are sorted by the means of the neighbours' places, up and down in turn (Sugiyama et al.
    1981), from the order of the numbers, its reverse and random ones; equal input, equal output.
    """
    neighbours = _neighbours(rows, lines)
    between = [[line for line in lines if line.lower.row == row] for row in range(len(rows) - 1)]
    chance = random.Random(0)
    best: tuple[tuple[int, float], list[list[Part]], dict[Part, float]] | None = None
    for start in range(2 + _STARTS):
        order = [list(row) for row in rows]
        for row in order:
            if start == 1:
                row.reverse()
            elif start > 1:
                chance.shuffle(row)
        crossings = _untangle(order, neighbours, between)
        if best is not None and crossings > best[0][0]:
            continue
        x = _straighten(order, neighbours, lines)
        length = sum(abs(x[line.lower] - x[line.upper]) for line in lines)
        score = (crossings, round(length, 6))
        if best is None or score < best[0]:
            best = (score, order, x)
    assert best is not None
    for row, ordered in zip(rows, best[1], strict=True):
        row[:] = ordered
        for part in row:
            part.x = best[2][part]


def _neighbours(rows: list[list[Part]], lines: list[Line]) -> Neighbours:
    found: Neighbours = {part: ([], []) for row in rows for part in row}
    leaving, arriving = Counter(line.lower for line in lines), Counter(line.upper for line in lines)
    for line in lines:
        # A line on its own is to be straight, one of many may go where it must.
        pull = 6.0 / (leaving[line.lower] + arriving[line.upper] - 1)
        if line.lower.kind == line.upper.kind == "bend":
            pull = 24.0
        found[line.upper][0].append((line.lower, pull))
        found[line.lower][1].append((line.upper, pull))
    return found


def _untangle(order: list[list[Part]], neighbours: Neighbours, between: list[list[Line]]) -> int:
    """Sorts rows in place into the order of fewest crossings that is met; returns how many."""
    place = {part: float(i) for row in order for i, part in enumerate(row)}
    best, kept = _crossings(place, between), [list(row) for row in order]
    for sweep in range(2 * _SWEEPS):
        side = sweep % 2  # up: by those below; down: by those above
        sequence = order[1:] if side == 0 else order[-2::-1]
        for row in sequence:
            means = {}
            for part in row:
                beside = neighbours[part][side]
                means[part] = (
                    sum(place[other] for other, _ in beside) / len(beside)
                    if beside
                    else place[part]
                )
            row.sort(key=lambda part: means[part])
            place.update({part: float(i) for i, part in enumerate(row)})
        _swap(order, neighbours, place)
        crossings = _crossings(place, between)
        if crossings < best:
            best, kept = crossings, [list(row) for row in order]
    order[:] = kept
    return best


def _swap(order: list[list[Part]], neighbours: Neighbours, place: dict[Part, float]) -> None:
    """Exchanges neighbours in place where that takes crossings away."""
    for number, row in enumerate(order):
        for index in range(len(row) - 1):
            a, b = row[index], row[index + 1]
            gain = 0
            for side in (0, 1):
                pairs = itertools.product(neighbours[a][side], neighbours[b][side])
                places = [(place[one], place[other]) for (one, _), (other, _) in pairs]
                gain += _weight(number + side) * sum((c > d) - (c < d) for c, d in places)
            if gain > 0:
                row[index], row[index + 1] = b, a
                place[a], place[b] = place[b], place[a]


def _weight(upper: int) -> int:
    """Weight of a crossing below row `upper`: great below nodes, to keep operations together."""
    return 3 if upper % 2 == 0 else 1


def _crossings(place: dict[Part, float], between: list[list[Line]]) -> int:
    count = 0
    for upper, lines in enumerate(between, start=1):
        ends = [(place[line.lower], place[line.upper]) for line in lines]
        crossings = sum((a - c) * (b - d) < 0 for (a, b), (c, d) in itertools.combinations(ends, 2))
        count += _weight(upper) * crossings
    return count


def _straighten(
    order: list[list[Part]], neighbours: Neighbours, lines: list[Line]
) -> dict[Part, float]:
    """The x of every part: each near the mean of its neighbours, none over another."""
    x: dict[Part, float] = {}
    offsets = []
    for row in order:
        offset = [0.0] if row else []
        for a, b in itertools.pairwise(row):
            offset.append(offset[-1] + (a.width + b.width) / 2 + _GAP)
        offsets.append(offset)
        x |= {part: o - offset[-1] / 2 for part, o in zip(row, offset, strict=True)}
    numbers = list(range(len(order)))
    for sweep in range(40):
        for number in numbers if sweep % 2 else reversed(numbers):
            wanted, pulls = [], []
            for part in order[number]:
                beside = [each for side in neighbours[part] for each in side]
                pull = sum(weight for _, weight in beside) or 1e-3
                mean = sum(x[other] * weight for other, weight in beside) / pull
                wanted.append(mean if beside else x[part])
                pulls.append(pull)
            found = _apart(wanted, pulls, offsets[number])
            x |= dict(zip(order[number], found, strict=True))
    for run in _runs(lines):
        _align(run, order, x)
    return x


def _runs(lines: list[Line]) -> list[list[Part]]:
    """Parts that follow one another upwards with nothing else to lean to, so may stand upright."""
    carrying = [line for line in lines if not line.null]
    leaving, arriving = Counter(e.lower for e in carrying), Counter(e.upper for e in carrying)
    runs: dict[Part, list[Part]] = {}  # by the last part
    for line in sorted(lines, key=lambda line: line.upper.row):
        alone = not line.null and leaving[line.lower] == 1 == arriving[line.upper]
        if alone or line.lower.kind == line.upper.kind == "bend":
            run = runs.pop(line.lower, [line.lower])
            runs[line.upper] = [*run, line.upper]
    return list(runs.values())


def _align(run: list[Part], order: list[list[Part]], x: dict[Part, float]) -> None:
    """Puts the parts of a run at one x, if their rows have room for it."""
    low, high = -math.inf, math.inf
    for part in run:
        row = order[part.row]
        place = row.index(part)
        if place:
            beside = row[place - 1]
            low = max(low, x[beside] + (beside.width + part.width) / 2 + _GAP)
        if place < len(row) - 1:
            beside = row[place + 1]
            high = min(high, x[beside] - (beside.width + part.width) / 2 - _GAP)
    if low <= high:
        middle = sum(x[part] for part in run) / len(run)
        x.update(dict.fromkeys(run, min(max(middle, low), high)))


def _apart(wanted: list[float], pulls: list[float], offset: list[float]) -> list[float]:
    """The places nearest to those wanted that lie as far apart as `offset` says."""
    levels = isotonic_regression(np.subtract(wanted, offset), weights=pulls).x
    return (levels + offset).tolist()


def _stack(rows: list[list[Part]], lines: list[Line]) -> float:
    """Gives every part its y, with room to bend between rows; returns the height of all."""
    y = 0.0
    for number, row in enumerate(rows):
        if number:
            reach = max(
                (abs(line.lower.x - line.upper.x) for line in lines if line.upper.row == number),
                default=0.0,
            )
            y += 0.16 + min(0.13 * reach, 0.55)
        height = max((part.height for part in row), default=0.0)
        for part in row:
            part.y = y + height / 2
            if part.kind == "bend":
                part.height = height
        y += height
    return y


def ranges(numbers: list[int]) -> str:
    """Such as ``0–2, 5`` for [0, 1, 2, 5]."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and runs[-1][1] == number - 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ", ".join(f"{a}" if a == b else f"{a}–{b}" for a, b in runs)

"""Networks as pictures: the graph of each different cell, and the sequence of blocks."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle

from jaxnas.reports import style
from jaxnas.reports.drawing import elements, layout, operations
from jaxnas.spaces.genotype import NULL, Cell, Genotype
from jaxnas.storage.files import RunError

_WIDTH = 13.2  # inches, the most that a row of cells takes if it has more than one
_HALF = 6.7  # the same where two networks stand side by side
_BETWEEN = 0.15
_INSIDE = 0.15  # between a panel's edge and what it holds
_TITLE = 0.5

_Part = tuple[str, Genotype, list[elements.Panel]]
"""A network's heading, the network, and its graphs."""


def draw_network(genotype: Genotype, path: str | os.PathLike[str]) -> None:
    """Draws a network to `path`.svg and `path`.png.

    Every different cell stands as its graph, inputs at the bottom; below is the sequence of blocks.

    Raises:
      RunError: if a file cannot be written.
    """
    with style.style():
        style.save(_figure([_part(genotype)]), path)


def picture(genotype: Genotype, form: str) -> bytes:
    """The same drawing as ``svg`` or ``png``."""
    with style.style():
        return style.render(_figure([_part(genotype)]), form)


def draw_adaptation(base: Genotype, adapted: Genotype, path: str | os.PathLike[str]) -> None:
    """Draws a network above and what it was adapted to below, to `path`.svg and `path`.png.

    Changed operations stand out and are labelled with the old and the new one.

    Raises:
      RunError: if the two differ in their number of blocks, or a file cannot be written.
    """
    with style.style():
        style.save(_figure(_adaptation(base, adapted)), path)


def side_by_side(base: Genotype, adapted: Genotype) -> tuple[str, str]:
    """SVG drawings of a network and of what it was adapted to, each half as wide as others.

    Raises:
      RunError: see `draw_adaptation`.
    """
    with style.style():
        left, right = (
            style.render(_figure([part], _HALF), "svg").decode()
            for part in _adaptation(base, adapted)
        )
    return left, right


def _adaptation(base: Genotype, adapted: Genotype) -> list[_Part]:
    if len(base.blocks) != len(adapted.blocks):
        raise RunError(
            f"{adapted.name} has {len(adapted.blocks)} blocks and {base.name} {len(base.blocks)}; "
            "draw each on its own with draw_network"
        )
    return [
        (f"base: {base.name}", base, _panels(base, None)),
        (f"adapted: {adapted.name}", adapted, _panels(adapted, base)),
    ]


def _part(genotype: Genotype) -> _Part:
    return genotype.name, genotype, _panels(genotype, None)


def _panels(genotype: Genotype, base: Genotype | None) -> list[elements.Panel]:
    """One panel for each different graph (with different changes) among the placed cells."""
    before = base.placed_cells() if base else genotype.placed_cells()
    panels: dict[object, elements.Panel] = {}
    for index, (cell, old) in enumerate(zip(genotype.placed_cells(), before, strict=True)):
        known: dict[tuple[int, int], list[str]] = {}
        for edge in old.edges:
            known.setdefault((edge.source, edge.target), []).append(edge.op)
        texts, changed = [], []
        for edge in cell.edges:
            earlier = known.get((edge.source, edge.target), [])
            was = earlier.pop(0) if earlier else "nothing"
            changed.append(was != edge.op)
            if was != edge.op:
                texts.append(f"{operations.line(was)}\n→ {operations.line(edge.op)}")
            else:
                texts.append("" if edge.op == NULL else operations.words(edge.op))
        key = (cell.nodes, cell.edges, cell.output, tuple(texts))
        if key not in panels:
            ends = _ends(genotype, cell)
            drawn = layout.place(cell, texts, ends)
            panels[key] = elements.Panel(cell, [], changed, [], drawn, texts, ends)
        panels[key].blocks.append(index)
        if cell.name not in panels[key].names:
            panels[key].names.append(cell.name)
    return list(panels.values())


def _ends(genotype: Genotype, cell: Cell) -> tuple[list[str], str]:
    """What stands at a cell's inputs and at its output."""
    names = operations.inputs(genotype.rules, cell.inputs)
    concat = "concat · " if len(cell.output) > 1 else ""
    return [f"{number} · {name}" for number, name in enumerate(names)], concat + operations.OUTPUT


def _figure(parts: Sequence[_Part], most: float = _WIDTH) -> Figure:
    rows = [_rows(panels, most) for _, _, panels in parts]
    widest = max(
        sum(_width(panel) for panel in row) + _BETWEEN * (len(row) - 1)
        for part in rows
        for row in part
    )
    width = max(widest + 2 * elements.MARGIN, min(most, 7.0))
    # Drawn downwards from y = 0; the figure is then made as high as it came out.
    figure = style.figure(width, 1.0)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    y = -elements.MARGIN
    for (heading, genotype, panels), part in zip(parts, rows, strict=True):
        y = _heading(axes, heading, genotype, y)
        first = 0
        for row in part:
            y = _row(axes, row, first, len(panels), y)
            first += len(row)
        y = elements.blocks(axes, genotype, panels, width, y) - 0.3
    y = elements.legend(axes, [panel for _, _, panels in parts for panel in panels], y)
    height = -y + elements.MARGIN
    axes.set_xlim(0, width)
    axes.set_ylim(-height, 0)
    figure.set_size_inches(width, height)
    return figure


def _width(panel: elements.Panel) -> float:
    title = 0.32 + layout.text_width(_title(panel), 10)  # bold is wider
    return max(panel.drawn.width, title, layout.text_width(_subtitle(panel), 7)) + 2 * _INSIDE


def _rows(panels: list[elements.Panel], most: float) -> list[list[elements.Panel]]:
    """The panels in order, as many side by side as there is room for."""
    rows: list[list[elements.Panel]] = []
    room = 0.0
    for panel in panels:
        room -= _width(panel) + _BETWEEN
        if room < 0:
            rows.append([])
            room = most - 2 * elements.MARGIN - _width(panel)
        rows[-1].append(panel)
    return rows


def _heading(axes: Axes, heading: str, genotype: Genotype, y: float) -> float:
    y -= 0.1
    axes.text(elements.MARGIN, y, heading, size=12, weight="bold", va="center")
    count = sum(edge.op != NULL for cell in genotype.placed_cells() for edge in cell.edges)
    text = f"{genotype.family} family, {len(genotype.blocks)} blocks, {count} operations"
    axes.text(elements.MARGIN, y - 0.22, text, size=8, color=style.GREY, va="center")
    return y - 0.42


def _row(axes: Axes, row: list[elements.Panel], first: int, count: int, y: float) -> float:
    """Draws panels side by side below `y`; returns where they end."""
    height = max(panel.drawn.height for panel in row) + _TITLE + 2 * _INSIDE
    left = elements.MARGIN
    for number, panel in enumerate(row, start=first):
        width = _width(panel)
        frame: dict[str, Any] = {"facecolor": "#fafbfc", "edgecolor": "#e6e9ec", "linewidth": 0.8}
        elements.rounded(axes, (left, y - height), width, height, 0.06, zorder=0, **frame)
        title = y - _INSIDE - 0.08
        axes.add_patch(
            Circle((left + 0.21, title), 0.06, color=style.tint(number, count), zorder=1)
        )
        axes.text(left + 0.33, title, _title(panel), size=9, weight="bold", va="center_baseline")
        axes.text(
            left + _INSIDE,
            title - 0.19,
            _subtitle(panel),
            size=7,
            color=style.GREY,
            va="center_baseline",
        )
        elements.graph(axes, panel, left + (width - panel.drawn.width) / 2, y - height + _INSIDE)
        left += width + _BETWEEN
    return y - height - 0.15


def _title(panel: elements.Panel) -> str:
    text = ", ".join(panel.names)
    if layout.text_width(text, 9) < max(panel.drawn.width - 0.3, 1.2):
        return text
    return f"{panel.names[0]} and {len(panel.names) - 1} more"


def _subtitle(panel: elements.Panel) -> str:
    places = layout.ranges(panel.blocks)
    parts = [f"block{'s' if len(panel.blocks) > 1 else ''} {places}"]
    if expansions := sorted({node.expansion for node in panel.cell.nodes} - {0}):
        parts.append(f"expansion {', '.join(map(str, expansions))}")
    if squeezes := sorted({node.squeeze for node in panel.cell.nodes} - {1}):
        parts.append(f"squeeze {', '.join(map(str, squeezes))}")
    if any(panel.changed):
        parts.append(f"{sum(panel.changed)} changed")
    return " · ".join(parts)

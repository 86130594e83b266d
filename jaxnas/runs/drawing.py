"""Networks as pictures: the graph of each different cell, and the sequence of blocks."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Circle, FancyBboxPatch

from jaxnas.runs import layout, sketch, style
from jaxnas.runs.files import RunError
from jaxnas.spaces.genotype import NULL, Genotype

_WIDTH = 13.2  # inches: two six-node cells side by side


def draw_network(genotype: Genotype, path: str | os.PathLike[str]) -> None:
    """Draws a network to `path`.svg and `path`.png.

    Every different cell stands as its graph, nodes in order; below is the sequence of blocks.

    Raises:
      RunError: if a file cannot be written.
    """
    _draw([(genotype.name, genotype, _panels(genotype, None))], path)


def draw_adaptation(base: Genotype, adapted: Genotype, path: str | os.PathLike[str]) -> None:
    """Draws a network above and what it was adapted to below, to `path`.svg and `path`.png.

    Changed edges stand out and are labelled with the old and the new operation.

    Raises:
      RunError: if the two differ in their number of blocks, or a file cannot be written.
    """
    if len(base.blocks) != len(adapted.blocks):
        raise RunError(
            f"{adapted.name} has {len(adapted.blocks)} blocks and {base.name} {len(base.blocks)}; "
            "draw each on its own with draw_network"
        )
    above = (f"base: {base.name}", base, _panels(base, None))
    below = (f"adapted: {adapted.name}", adapted, _panels(adapted, base))
    _draw([above, below], path)


def _panels(genotype: Genotype, base: Genotype | None) -> list[sketch.Panel]:
    """One panel for each different graph (with different changes) among the placed cells."""
    before = base.placed_cells() if base else genotype.placed_cells()
    panels: dict[object, sketch.Panel] = {}
    for index, (cell, old) in enumerate(zip(genotype.placed_cells(), before, strict=True)):
        operations: dict[tuple[int, int], list[str]] = {}
        for edge in old.edges:
            operations.setdefault((edge.source, edge.target), []).append(edge.op)
        labels, changed = [], []
        for edge, arc in zip(cell.edges, layout.arcs(cell), strict=True):
            known = operations.get((edge.source, edge.target), [])
            was = known.pop(0) if known else "nothing"
            changed.append(was != edge.op)
            # On a straight edge there is room for one name, so the new one goes below the old.
            arrow = " → " if arc.level else "\n→ "
            labels.append(f"{was}{arrow}{edge.op}" if was != edge.op else edge.op)
        key = (cell.nodes, cell.edges, cell.output, tuple(labels))
        panel = panels.setdefault(key, sketch.Panel(cell, [], labels, changed, []))
        panel.blocks.append(index)
        if cell.name not in panel.names:
            panel.names.append(cell.name)
    return list(panels.values())


def _draw(
    parts: Sequence[tuple[str, Genotype, list[sketch.Panel]]], path: str | os.PathLike[str]
) -> None:
    everything = [panel for _, _, panels in parts for panel in panels]
    gaps = layout.gaps(
        [panel.cell for panel in everything], [panel.labels for panel in everything], sketch.LABEL
    )
    panel_width = max(sum(gaps) + 2 * layout.RADIUS, 2.2) + 0.45
    columns = max(1, int((_WIDTH - 2 * sketch.MARGIN) / panel_width))
    columns = min(columns, max(len(panels) for _, _, panels in parts))
    width = max(columns * panel_width + 2 * sketch.MARGIN, 7.0)
    with style.style():
        # Drawn downwards from y = 0; the figure is then made as high as it came out.
        figure = style.figure(width, 1.0)
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set_axis_off()
        y = -sketch.MARGIN
        for heading, genotype, panels in parts:
            y = _heading(axes, heading, genotype, y)
            for first in range(0, len(panels), columns):
                row = panels[first : first + columns]
                y = _row(axes, row, first, len(panels), gaps, panel_width, y)
            y = sketch.blocks(axes, genotype, panels, width, y) - 0.3
        y = sketch.legend(axes, any(any(panel.changed) for panel in everything), y)
        height = -y + sketch.MARGIN
        axes.set_xlim(0, width)
        axes.set_ylim(-height, 0)
        figure.set_size_inches(width, height)
        style.save(figure, path)


def _heading(axes: Axes, heading: str, genotype: Genotype, y: float) -> float:
    y -= 0.1
    axes.text(sketch.MARGIN, y, heading, size=12, weight="bold", va="center")
    count = sum(edge.op != NULL for cell in genotype.placed_cells() for edge in cell.edges)
    text = f"{genotype.family} family, {len(genotype.blocks)} blocks, {count} operations"
    axes.text(sketch.MARGIN, y - 0.22, text, size=8, color=style.GREY, va="center")
    return y - 0.42


def _row(
    axes: Axes,
    row: list[sketch.Panel],
    first: int,
    count: int,
    gaps: list[float],
    panel_width: float,
    y: float,
) -> float:
    """Draws panels side by side below `y`, their lines of nodes level; returns where they end."""
    extents = [layout.extent(panel.cell) for panel in row]
    top = max(high for _, high in extents)
    bottom = min(low for low, _ in extents)
    line = y - 0.42 - top
    for column, panel in enumerate(row):
        left = sketch.MARGIN + column * panel_width
        frame = FancyBboxPatch(
            (left, line + bottom - 0.1),
            panel_width - 0.15,
            top - bottom + 0.5,
            boxstyle="round,pad=0,rounding_size=0.06",
            facecolor="#fafbfc",
            edgecolor="#e6e9ec",
            linewidth=0.8,
            zorder=0,
        )
        axes.add_patch(frame)
        title_y = line + top + 0.25
        axes.add_patch(
            Circle((left + 0.17, title_y), 0.06, color=style.tint(first + column, count), zorder=1)
        )
        axes.text(left + 0.29, title_y, _title(panel), size=9, weight="bold", va="center_baseline")
        axes.text(
            left + panel_width - 0.25,
            title_y,
            _subtitle(panel),
            size=7,
            color=style.GREY,
            ha="right",
            va="center_baseline",
        )
        x = left + 0.15 + layout.RADIUS + np.concatenate([[0], np.cumsum(gaps)])
        slack = panel_width - 0.45 - 2 * layout.RADIUS - (x[sketch.size(panel.cell) - 1] - x[0])
        sketch.graph(axes, panel, x + max(slack, 0) / 2, line)
    return line + bottom - 0.28


def _title(panel: sketch.Panel) -> str:
    text = ", ".join(panel.names)
    if layout.text_width(text, 9) < 1.5:
        return text
    return f"{panel.names[0]} and {len(panel.names) - 1} more"


def _subtitle(panel: sketch.Panel) -> str:
    places = layout.ranges(panel.blocks)
    parts = [f"block{'s' if len(panel.blocks) > 1 else ''} {places}"]
    if expansions := sorted({node.expansion for node in panel.cell.nodes} - {0}):
        parts.append(f"expansion {', '.join(map(str, expansions))}")
    if any(panel.changed):
        parts.append(f"{sum(panel.changed)} changed")
    return " · ".join(parts)

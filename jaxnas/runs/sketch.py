"""The parts of a network's drawing, on axes whose units are inches, x to the right and y up."""

from __future__ import annotations

import dataclasses

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Circle, FancyArrowPatch, FancyBboxPatch, PathPatch, Polygon
from matplotlib.path import Path as Curve

from jaxnas.runs import layout, style
from jaxnas.spaces.genotype import NULL, SKIP, Cell, Genotype

MARGIN = 0.3
LABEL = 7.5
"""Size of the operations' names, in points."""


@dataclasses.dataclass(frozen=True)
class Panel:
    """A graph to draw, of one cell or of several equal ones.

    Attributes:
      cell: the first of them.
      names: of all of them.
      labels: of its edges.
      changed: whether each edge is not what it was in the base.
      blocks: where it stands in the network.
    """

    cell: Cell
    names: list[str]
    labels: list[str]
    changed: list[bool]
    blocks: list[int]


def size(cell: Cell) -> int:
    return cell.inputs + len(cell.nodes)


def graph(axes: Axes, panel: Panel, x: np.ndarray, y: float) -> None:
    cell = panel.cell
    for edge, arc, label, changed in zip(
        cell.edges, layout.arcs(cell), panel.labels, panel.changed, strict=True
    ):
        start, end = x[edge.source], x[edge.target]
        colour = _colour(edge.op, changed)
        if arc.level == 0:
            lines = label.count("\n") + 1
            label_y = y + 0.085 * lines + 0.02
            points = [(start + layout.RADIUS, y), (end - layout.RADIUS, y)]
            curve = Curve(points, [Curve.MOVETO, Curve.LINETO])
        else:
            label_y = y + arc.height
            curve = _arc(start, end, y, arc)
        _arrow(axes, curve, colour, 1.5 if changed else 1.1, _line(edge.op), 2 + changed)
        axes.text(
            (start + end) / 2,
            label_y,
            label,
            size=LABEL,
            color=colour if changed or edge.op != NULL else style.GREY,
            weight="bold" if changed else "normal",
            ha="center",
            va="center",
            linespacing=1.05,
            zorder=5,
            bbox={"facecolor": "#fafbfc", "edgecolor": "none", "pad": 1.0} if arc.level else None,
        )
    for node in range(size(cell)):
        face = style.FAINT if node < cell.inputs else style.PAPER
        face = style.INK if node in cell.output else face
        axes.add_patch(
            Circle((x[node], y), layout.RADIUS, facecolor=face, edgecolor=style.INK, zorder=6)
        )
        colour = style.PAPER if node in cell.output else style.INK
        axes.text(
            x[node], y, str(node), size=8, color=colour, ha="center", va="center_baseline", zorder=7
        )


def _arc(start: float, end: float, y: float, arc: layout.Arc) -> Curve:
    """From node to node over a level stretch with round corners, wider for the outer levels."""
    level = abs(arc.level)
    angle = np.deg2rad(min(42 + 12 * level, 84))
    dx = layout.RADIUS * np.cos(angle)
    dy = np.sign(arc.level) * layout.RADIUS * np.sin(angle)
    corner = min(0.3 + 0.1 * level, (end - start) / 2 - dx)
    top = y + arc.height
    left, right = start + dx, end - dx
    points = [
        (left, y + dy),
        (left + 0.3 * corner, y + dy + 0.75 * (arc.height - dy)),
        (left + 0.45 * corner, top),
        (left + corner, top),
        (right - corner, top),
        (right - 0.45 * corner, top),
        (right - 0.3 * corner, y + dy + 0.75 * (arc.height - dy)),
        (right, y + dy),
    ]
    bend = [Curve.CURVE4] * 3
    return Curve(points, [Curve.MOVETO, *bend, Curve.LINETO, *bend])


def _arrow(
    axes: Axes,
    curve: Curve,
    colour: str,
    width: float,
    line: str | tuple[float, tuple[float, ...]],
    order: float,
) -> None:
    """A curve that ends in a solid head; only the curve itself is dashed."""
    points = np.asarray(curve.vertices)
    tip = points[-1]
    direction = tip - points[-2]
    direction = direction / np.hypot(*direction)
    across = np.array([-direction[1], direction[0]])
    back = tip - 0.085 * direction
    shaft = Curve([*points[:-1], back], curve.codes)
    axes.add_patch(
        PathPatch(
            shaft,
            facecolor="none",
            edgecolor=colour,
            linewidth=width,
            linestyle=line,
            capstyle="butt",
            zorder=order,
        )
    )
    head = [tip, back + 0.04 * across, back - 0.04 * across]
    axes.add_patch(Polygon(head, facecolor=colour, edgecolor="none", zorder=order))


def _colour(op: str, changed: bool) -> str:
    if changed:
        return style.ACCENT
    return style.FAINT if op == NULL else style.INK


def _line(op: str) -> str | tuple[float, tuple[float, ...]]:
    return {NULL: (0, (1, 2)), SKIP: (0, (4, 2))}.get(op, "solid")


def blocks(axes: Axes, genotype: Genotype, panels: list[Panel], width: float, y: float) -> float:
    """Draws the sequence of blocks, equal neighbours as one box; returns where it ends."""
    owner = {block: index for index, panel in enumerate(panels) for block in panel.blocks}
    boxes: list[list] = [["stem", f"{genotype.stem}", None, 1]]
    for index, block in enumerate(genotype.blocks):
        text = f"{block.channels}{' /2' if block.stride == 2 else ''}"
        if boxes[-1][:3] == [block.cell, text, owner[index]]:
            boxes[-1][3] += 1
        else:
            boxes.append([block.cell, text, owner[index], 1])
    if genotype.head:
        boxes.append(["head", f"{genotype.head}", None, 1])
    boxes.append(["pool, linear", "", None, 1])
    x, y = MARGIN, y - 0.25
    for position, (name, text, panel, repeats) in enumerate(boxes):
        second = text + (f" ×{repeats}" if repeats > 1 else "")
        size = max(layout.text_width(name, 7.5), layout.text_width(second, 7), 0.3) + 0.18
        if x + size > width - MARGIN:
            x, y = MARGIN, y - 0.58
        colour = "#eceff2" if panel is None else style.tint(panel, len(panels))
        axes.add_patch(
            FancyBboxPatch(
                (x, y - 0.2),
                size,
                0.4,
                boxstyle="round,pad=0,rounding_size=0.05",
                facecolor=colour,
                edgecolor="none",
            )
        )
        middle = x + size / 2
        axes.text(
            middle, y + (0.08 if second else 0), name, size=7.5, ha="center", va="center_baseline"
        )
        axes.text(middle, y - 0.09, second, size=7, ha="center", va="center_baseline")
        x += size
        if position < len(boxes) - 1:
            axes.add_patch(
                FancyArrowPatch(
                    (x + 0.02, y),
                    (x + 0.15, y),
                    arrowstyle="-|>,head_length=2,head_width=1.2",
                    mutation_scale=1.4,
                    shrinkA=0,
                    shrinkB=0,
                    color=style.GREY,
                    linewidth=0.8,
                )
            )
            x += 0.17
    return y - 0.2


def legend(axes: Axes, changes: bool, y: float) -> float:
    x = MARGIN
    entries = [("operation", "conv", False), ("identity", SKIP, False), ("null", NULL, False)]
    if changes:
        entries.append(("changed", "conv", True))
    for name, op, changed in entries:
        axes.plot(
            [x, x + 0.35], [y, y], color=_colour(op, changed), linestyle=_line(op), linewidth=1.3
        )
        axes.text(x + 0.43, y, name, size=7.5, color=style.GREY, va="center_baseline")
        x += 0.43 + layout.text_width(name, 7.5) + 0.3
    for name, face in (("input", style.FAINT), ("output", style.INK)):
        axes.add_patch(Circle((x + 0.06, y), 0.06, facecolor=face, edgecolor=style.INK))
        axes.text(x + 0.18, y, name, size=7.5, color=style.GREY, va="center_baseline")
        x += 0.18 + layout.text_width(name, 7.5) + 0.3
    return y - 0.05

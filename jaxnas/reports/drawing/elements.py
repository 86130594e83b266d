"""The elements of a network's drawing, on axes whose units are inches, x to the right and y up."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.patches import Circle, FancyArrowPatch, FancyBboxPatch, PathPatch, Polygon
from matplotlib.path import Path as Curve

from jaxnas.reports import style
from jaxnas.reports.drawing import layout, operations
from jaxnas.spaces.genotype import NULL, Cell, Genotype, Node

MARGIN = 0.3
_WIRE = "#59636e"
_ACTIVE = "#ffe9b8"  # a node whose sum is activated


@dataclasses.dataclass(frozen=True)
class Panel:
    """A graph to draw, of one cell or of several equal ones.

    Attributes:
      cell: the first of them.
      names: names of all of them.
      changed: whether each edge is not what it was in the base.
      blocks: where it stands in the network.
      drawn: where its parts go.
      texts: what stands in the boxes of its edges.
      ends: what stands at its inputs, and at its output.
    """

    cell: Cell
    names: list[str]
    changed: list[bool]
    blocks: list[int]
    drawn: layout.Layout
    texts: list[str]
    ends: tuple[list[str], str]


def rounded(
    axes: Axes, corner: tuple[float, float], width: float, height: float, radius: float, **look: Any
) -> None:
    """A box with round corners, from its lower left one."""
    form = f"round,pad=0,rounding_size={radius}"
    axes.add_patch(FancyBboxPatch(corner, width, height, boxstyle=form, **look))


def graph(axes: Axes, panel: Panel, left: float, bottom: float) -> None:
    """Draws a cell from its lower left corner on."""
    for line in panel.drawn.lines:
        _line(axes, line, left, bottom)
    for part in panel.drawn.parts:
        x, y = left + part.x, bottom + part.y
        if part.kind == "bend":
            nulls = {line.null for line in panel.drawn.lines if part in (line.lower, line.upper)}
            half = part.height / 2
            _curve(axes, [(x, y - half), (x, y + half)], nulls == {True})
        elif part.kind == "node":
            _node(axes, panel.cell, part.index, x, y)
        else:
            _box(axes, panel, part, x, y)


def _line(axes: Axes, line: layout.Line, left: float, bottom: float) -> None:
    """A line that leaves and arrives upright; into boxes it ends in a head."""
    x, end = left + line.lower.x, left + line.upper.x
    y = bottom + line.lower.y + line.lower.height / 2
    top = bottom + line.upper.y - line.upper.height / 2
    head = line.upper.kind in ("operation", "output")
    if head:
        tip = [(end, top), (end - 0.032, top - 0.075), (end + 0.032, top - 0.075)]
        axes.add_patch(Polygon(tip, facecolor=_WIRE, edgecolor="none", zorder=3))
        top -= 0.06
    middle = (y + top) / 2
    _curve(axes, [(x, y), (x, middle), (end, middle), (end, top)], line.null)


def _curve(axes: Axes, points: list[tuple[float, float]], null: bool) -> None:
    codes = [Curve.CURVE4] * 3 if len(points) == 4 else [Curve.LINETO]
    axes.add_patch(
        PathPatch(
            Curve(points, [Curve.MOVETO, *codes]),
            facecolor="none",
            edgecolor=style.FAINT if null else _WIRE,
            linewidth=0.9,
            linestyle=(0, (3, 2)) if null else "solid",
            capstyle="butt",
            zorder=1 if null else 2,
        )
    )


def _node(axes: Axes, cell: Cell, number: int, x: float, y: float) -> None:
    node = cell.nodes[number - cell.inputs]
    _shape(axes, node, x, y, layout.RADIUS)
    _text(axes, x, y, str(number), 7.0, style.INK)


def _shape(axes: Axes, node: Node, x: float, y: float, radius: float) -> None:
    """A circle for a sum, a square for a concatenation; filled where an activation follows."""
    colour = _ACTIVE if node.relu else style.PAPER
    look: dict[str, Any] = {"facecolor": colour, "edgecolor": style.INK, "linewidth": 0.8}
    if node.concat:
        rounded(axes, (x - radius, y - radius), 2 * radius, 2 * radius, 0.03, zorder=4, **look)
    else:
        axes.add_patch(Circle((x, y), radius, zorder=4, **look))


def _box(axes: Axes, panel: Panel, part: layout.Part, x: float, y: float) -> None:
    changed = False
    dashed = False
    if part.kind == "operation":
        op = panel.cell.edges[part.index].op
        changed = panel.changed[part.index]
        text, face, edge = panel.texts[part.index], operations.COLOURS[operations.kind(op)], "none"
        dashed = op == NULL
    elif part.kind == "input":
        text, face, edge = panel.ends[0][part.index], style.PAPER, style.INK
    else:
        text, face, edge = panel.ends[1], style.INK, "none"
    rounded(
        axes,
        (x - part.width / 2, y - part.height / 2),
        part.width,
        part.height,
        0.06 if part.kind == "operation" else part.height / 2,
        facecolor=face,
        edgecolor=style.ACCENT if changed else edge,
        linestyle=(0, (3, 2)) if dashed else "solid",
        linewidth=1.6 if changed else 0.8,
        zorder=4,
    )
    colour = style.PAPER if part.kind == "output" else style.ACCENT if changed else style.INK
    _text(axes, x, y, text, layout.LABEL, colour)


def _text(axes: Axes, x: float, y: float, text: str, size: float, colour: str) -> None:
    lines = text.split("\n")
    for index, line in enumerate(lines):
        axes.text(
            x,
            y + layout.LINE * ((len(lines) - 1) / 2 - index),
            line,
            size=size,
            color=colour,
            ha="center",
            va="center_baseline",
            zorder=5,
        )


def blocks(axes: Axes, genotype: Genotype, panels: list[Panel], width: float, y: float) -> float:
    """Draws the sequence of blocks, equal neighbours as one box; returns where it ends.

    Blocks that concatenate their sources are no sequence: each has its number, and names them.
    """
    layers = genotype.rules.wiring == "concatenated"
    owner = {block: index for index, panel in enumerate(panels) for block in panel.blocks}
    boxes: list[list] = [
        ["image", "", None, 1] if layers else ["stem", f"{genotype.stem}", None, 1]
    ]
    for index, block in enumerate(genotype.blocks):
        text = f"{block.channels}{' /' if block.stride_text else ''}{block.stride_text}"
        if layers:
            text += f" of {_numbers(block.sources)}"
            boxes.append([f"{index} · {block.cell}", text, owner[index], 1])
        elif boxes[-1][:3] == [block.cell, text, owner[index]]:
            boxes[-1][3] += 1
        else:
            boxes.append([block.cell, text, owner[index], 1])
    end = f"of {_numbers(genotype.head_inputs())}" if layers else ""
    if genotype.head:
        boxes.append(["head", " ".join([f"{genotype.head}", end]).strip(), None, 1])
    boxes.append(["pool, linear", "" if genotype.head else end, None, 1])
    x, y = MARGIN, y - 0.25
    for position, (name, text, panel, repeats) in enumerate(boxes):
        second = text + (f" ×{repeats}" if repeats > 1 else "")
        size = max(layout.text_width(name, 7.5), layout.text_width(second, 7), 0.3) + 0.18
        if x + size > width - MARGIN:
            x, y = MARGIN, y - 0.58
        colour = "#eceff2" if panel is None else style.tint(panel, len(panels))
        rounded(axes, (x, y - 0.2), size, 0.4, 0.05, facecolor=colour, edgecolor="none")
        middle = x + size / 2
        axes.text(
            middle, y + (0.08 if second else 0), name, size=7.5, ha="center", va="center_baseline"
        )
        axes.text(middle, y - 0.09, second, size=7, ha="center", va="center_baseline")
        x += size
        if layers:
            x += 0.1
        elif position < len(boxes) - 1:
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


def _numbers(blocks: Sequence[int]) -> str:
    """Blocks that something reads, such as ``image, 0–2``."""
    earlier = [block for block in blocks if block >= 0]
    return ", ".join(["image"] * (-1 in blocks) + [layout.ranges(earlier)] * bool(earlier))


def legend(axes: Axes, panels: list[Panel], y: float) -> float:
    """Explains what is drawn, and no more; returns where it ends."""
    edges = [edge for panel in panels for edge in panel.cell.edges]
    nodes = [node for panel in panels for node in panel.cell.nodes]
    kinds = {operations.kind(edge.op) for edge in edges}
    x = MARGIN
    for name, colour in operations.COLOURS.items():
        if name in kinds and name != "null":
            rounded(axes, (x, y - 0.06), 0.2, 0.12, 0.03, fc=colour, ec="none")
            x = _entry(axes, name, x + 0.26, y)
    if "null" in kinds:
        axes.plot([x, x + 0.25], [y, y], color=style.FAINT, linestyle=(0, (3, 2)), linewidth=0.9)
        x = _entry(axes, "null", x + 0.31, y)
    for concat, relu in sorted({(node.concat, node.relu) for node in nodes}):
        _shape(axes, Node(concat=concat, relu=relu), x + 0.06, y, 0.06)
        name = "concatenation" if concat else "sum"
        x = _entry(axes, f"{name}, then activation" if relu else name, x + 0.18, y)
    if any(any(panel.changed) for panel in panels):
        look: dict[str, Any] = {"fc": style.PAPER, "ec": style.ACCENT, "linewidth": 1.4}
        rounded(axes, (x, y - 0.06), 0.2, 0.12, 0.03, **look)
        _entry(axes, "changed", x + 0.27, y)
    return y - 0.05


def _entry(axes: Axes, name: str, x: float, y: float) -> float:
    axes.text(x, y, name, size=7.5, color=style.GREY, va="center_baseline")
    return x + layout.text_width(name, 7.5) + 0.25

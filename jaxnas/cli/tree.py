"""A network as a tree for the terminal."""

from __future__ import annotations

import itertools

from rich.text import Text
from rich.tree import Tree

from jaxnas.reports.drawing import operations
from jaxnas.spaces.genotype import NULL, Cell, Genotype


def tree(genotype: Genotype) -> Tree:
    """The blocks, equal neighbours as one, and what each node of each cell is the sum of."""
    root = Tree(Text(f"{genotype.name} ({genotype.family} family)", style="bold"))
    blocks = root.add(Text(f"{len(genotype.blocks)} blocks"))
    if genotype.stem:
        blocks.add(Text(f"stem: {genotype.stem} channels, {genotype.stem_form}"))
    start = 0
    first = "stem" if genotype.stem else "image"
    for (name, channels, stride, sources), group in itertools.groupby(
        genotype.blocks,
        lambda block: (block.cell, block.channels, block.stride_text, block.sources),
    ):
        count = len(list(group))
        inputs = ", ".join(first if source < 0 else str(source) for source in sources)
        blocks.add(
            Text(f"{_range(start, count)}: {name}, {channels} channels")
            + Text(f", stride {stride}" if stride else "")
            + Text(f", of {inputs}" if inputs else "", style="dim")
        )
        start += count
        if start - count <= genotype.auxiliary < start:
            blocks.add(Text(f"auxiliary head after block {genotype.auxiliary}", style="dim"))
    if genotype.head:
        blocks.add(Text(f"head: {genotype.head} channels"))
    if genotype.rules.wiring == "concatenated":
        ends = ", ".join(map(str, genotype.head_inputs()))
        blocks.add(Text(f"classifier: of {ends}"))
    for cell in genotype.cells:
        _add_cell(root.add(Text(f"cell {cell.name}", style="bold")), genotype, cell)
    return root


def _range(start: int, count: int) -> str:
    return f"block {start}" if count == 1 else f"blocks {start}–{start + count - 1}"


def _add_cell(branch: Tree, genotype: Genotype, cell: Cell) -> None:
    for number, name in enumerate(operations.inputs(genotype.rules, cell.inputs)):
        branch.add(Text(f"{number} = {name}", style="dim"))
    for number, node in enumerate(cell.nodes, start=cell.inputs):
        text = Text(f"{number} = ")
        joint = ", " if node.concat else " + "
        edges = [edge for edge in cell.edges if edge.target == number]
        text.append("" if edges else "0")
        for index, edge in enumerate(edges):
            text.append(joint if index else "")
            style = "dim" if edge.op == NULL else _STYLES[operations.kind(edge.op)]
            text.append(f"{edge.op}({edge.source})", style=style)
        notes = []
        if node.concat:
            notes.append("concatenated")
        if node.expansion:
            notes.append(f"{node.expansion} × the input's channels")
        if node.squeeze > 1:
            notes.append(f"1/{node.squeeze} of the block's channels")
        if node.relu:
            notes.append(f"then {genotype.activation}")
        text.append(f"  ({', '.join(notes)})" if notes else "", style="dim")
        branch.add(text)
    joined = ", ".join(map(str, cell.output))
    output = f"concat({joined})" if len(cell.output) > 1 else joined
    branch.add(Text(f"{operations.OUTPUT} = {output}", style="bold"))


_STYLES = {
    "separable": "blue",
    "dilated": "magenta",
    "convolution": "yellow",
    "depthwise": "cyan",
    "pooling": "green",
    "squeeze-excite": "red",
    "skip": "",
}

"""Networks as text for Graphviz."""

from __future__ import annotations

from jaxnas.reports.drawing import operations
from jaxnas.spaces.genotype import NULL, Cell, Genotype


def dot(genotype: Genotype) -> str:
    """The graphs of a network's cells, each in a box of its own, inputs at the bottom."""
    lines = [
        f"digraph {_quoted(genotype.name)} {{",
        "  rankdir=BT;",
        f"  label={_quoted(genotype.name)};",
        '  node [fontname="Helvetica", fontsize=10];',
        '  edge [color="#59636e", arrowsize=0.6];',
    ]
    for number, cell in enumerate(genotype.cells):
        lines += [f"  {line}" for line in _cell(genotype, cell, f"c{number}")]
    if genotype.rules.wiring != "chain":
        lines += [f"  {line}" for line in _wiring(genotype)]
    return "\n".join([*lines, "}"]) + "\n"


def _wiring(genotype: Genotype) -> list[str]:
    """The blocks, and from where each and the head have their inputs."""
    stem = "stem" if genotype.stem else "image"
    lines = [
        "subgraph cluster_blocks {",
        '  label="blocks";',
        f'  b_1 [label="{stem}", shape=oval];',
    ]
    for index, block in enumerate(genotype.blocks):
        stride = f" /{block.stride_text}" if block.stride_text else ""
        label = _quoted(f"{index} {block.cell} {block.channels}{stride}")
        lines.append(f'  b{index} [label={label}, shape=box, style="rounded"];')
        lines += [
            f"  b{'_1' if source < 0 else source} -> b{index};"
            for source in genotype.inputs_of(index)
        ]
    lines.append('  b_head [label="head", shape=oval, style=bold];')
    lines += [f"  b{index} -> b_head;" for index in genotype.head_inputs()]
    return [*lines, "}"]


def _cell(genotype: Genotype, cell: Cell, prefix: str) -> list[str]:
    count = sum(block.cell == cell.name for block in genotype.blocks)
    lines = [
        f"subgraph cluster_{prefix} {{",
        f"  label={_quoted(f'{cell.name} ×{count}')};",
    ]
    for number, name in enumerate(operations.inputs(genotype.rules, cell.inputs)):
        lines.append(f'  {prefix}_n{number} [label="{number} · {name}", shape=oval];')
    for number in range(cell.inputs, cell.inputs + len(cell.nodes)):
        lines.append(f'  {prefix}_n{number} [label="{number}", shape=circle];')
    concat = "concat · " if len(cell.output) > 1 else ""
    lines.append(f'  {prefix}_out [label="{concat}{operations.OUTPUT}", shape=oval, style=bold];')
    for index, edge in enumerate(cell.edges):
        source, target = f"{prefix}_n{edge.source}", f"{prefix}_n{edge.target}"
        if edge.op == NULL:
            lines.append(f'  {source} -> {target} [style=dashed, color="#c3c8ce"];')
            continue
        label = operations.words(edge.op).replace("\n", "\\n")
        lines += [
            f'  {prefix}_e{index} [label="{label}", shape=box, style="rounded,filled", '
            f'color="{operations.COLOURS[operations.kind(edge.op)]}"];',
            f"  {source} -> {prefix}_e{index};",
            f"  {prefix}_e{index} -> {target};",
        ]
    lines += [f"  {prefix}_n{number} -> {prefix}_out;" for number in cell.output]
    return [*lines, "}"]


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'

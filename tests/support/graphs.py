"""Random genotypes, and what is true of their graphs by brute force."""

import dataclasses
import itertools

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st

from jaxnas.spaces import families
from jaxnas.spaces.genotype import (
    ACTIVATIONS,
    NULL,
    SKIP,
    STEMS,
    Block,
    Cell,
    Edge,
    Genotype,
    Node,
)

FAST = settings(deadline=None, max_examples=40, derandomize=True)

FAMILIES = tuple(families.FAMILIES)
CARRIED = {name: sorted(each.operations - {NULL}) for name, each in families.FAMILIES.items()}


def nodes():
    """Nodes of the block's channels, a part of them or a multiple of its input's."""
    widths = st.one_of(
        st.fixed_dictionaries({"expansion": st.integers(0, 6)}),
        st.fixed_dictionaries({"squeeze": st.sampled_from((2, 4))}),
    )
    flags = st.fixed_dictionaries(dict.fromkeys(("strided", "relu", "concat"), st.booleans()))
    return st.builds(lambda width, flag: Node(**width, **flag), widths, flags)


@st.composite
def cells(draw, family, name="cell", most_nodes=3, most_edges=6, connected=False):
    """A cell of `family`; where `connected`, its output can be reached."""
    inputs = families.FAMILIES[family].inputs or draw(st.integers(1, 3))
    inner = draw(st.lists(nodes(), min_size=1, max_size=most_nodes))
    size = inputs + len(inner)
    strided = [False] * inputs + [node.strided for node in inner]
    routes = [
        (source, target)
        for target in range(inputs, size)
        for source in range(target)
        if strided[target] or not strided[source]
    ]
    chosen = draw(st.lists(st.sampled_from(routes), max_size=most_edges))
    op = st.sampled_from([NULL, NULL, *CARRIED[family]])  # null often, so that graphs break
    edges = [Edge(draw(op), *route) for route in chosen]
    first = 0 if family in ("nasnet", "enas", "macro") else inputs
    output = draw(
        st.lists(st.integers(first, size - 1), min_size=1, max_size=len(inner), unique=True)
    )
    if connected and not by_paths(inputs, edges, output):
        edges = [
            *edges[: most_edges - 1],
            Edge(draw(st.sampled_from(CARRIED[family])), 0, output[0]),  # a node: none is reached
        ]
    edges.sort(key=lambda edge: edge.target)
    return Cell(name, inputs, tuple(inner), tuple(edges), tuple(output))


@st.composite
def genotypes(draw, family=None, most_blocks=5, connected=False, **limits):
    """A genotype of one of the families, of one to three cells, not all of them placed."""
    family = family or draw(st.sampled_from(FAMILIES))
    names = draw(st.lists(st.text(max_size=8), min_size=1, max_size=3, unique=True))
    made = tuple(draw(cells(family, name, connected=connected, **limits)) for name in names)
    blocks = st.builds(
        Block,
        st.sampled_from(names),
        st.integers(1, 16).map(lambda quarter: 4 * quarter),
        st.sampled_from((1, 2)),
        st.sampled_from((2, 3)),
    )
    placed = draw(st.lists(blocks, min_size=1, max_size=most_blocks))
    if family == "macro":
        placed = draw(_wired(placed, {cell.name: cell.inputs for cell in made}))
    if family == "nas2017":
        placed = [draw(_layers(block, index)) for index, block in enumerate(placed)]
    return Genotype(
        name=draw(st.text(max_size=8)),
        family=family,
        stem=0 if family == "nas2017" else draw(st.integers(1, 64)),
        cells=made,
        blocks=tuple(placed),
        head=draw(st.integers(0, 64)),
        stem_form=draw(st.sampled_from(STEMS)),
        activation=draw(st.sampled_from(ACTIVATIONS)),
        epsilon=draw(st.floats(1e-8, 1)),
        auxiliary=draw(st.sampled_from((-1, 0))),
    )


@st.composite
def _wired(draw, blocks, inputs):
    """The blocks of a macro network with earlier ones of one size for sources."""
    scales, out = [1], []
    for block in blocks:
        scale = draw(st.sampled_from(sorted(set(scales))))
        alike = [number - 1 for number, each in enumerate(scales) if each == scale]
        count = inputs[block.cell]
        sources = draw(st.lists(st.sampled_from(alike), min_size=count, max_size=count))
        out.append(dataclasses.replace(block, sources=tuple(sources)))
        scales.append(scale * block.stride)
    return out


@st.composite
def _layers(draw, block, index):
    """The block as a layer of NAS, of any earlier ones and the image."""
    sources = draw(st.sets(st.integers(-1, index - 1), min_size=1))
    strides = draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
    return dataclasses.replace(block, stride=1, sources=tuple(sorted(sources)), strides=strides)


def alone(cell, family):
    """A network of that cell alone, which reads the stem or the image."""
    sources = {"macro": (-1,) * cell.inputs, "nas2017": (-1,)}.get(family, ())
    strides = (1, 1) if family == "nas2017" else ()
    block = Block(cell.name, 4, sources=sources, strides=strides)
    return Genotype("base", family, 0 if family == "nas2017" else 4, (cell,), (block,))


def carrying(edges):
    """The edges that carry something."""
    return [edge for edge in edges if edge.op != NULL]


def paths(edges, source, target):
    """Every path of carrying edges from one node to another, as lists of positions in `edges`."""
    if source == target:
        yield []
    for position, edge in enumerate(edges):
        if edge.op != NULL and edge.source == source:
            for rest in paths(edges, edge.target, target):
                yield [position, *rest]


def by_paths(inputs, edges, output):
    """Whether some path leads from an input to an output."""
    return any(
        next(paths(edges, source, target), None) is not None
        for source in range(inputs)
        for target in output
    )


def on_paths(cell):
    """Positions of the edges that lie on a path from an input to an output."""
    return {
        position
        for source in range(cell.inputs)
        for target in cell.output
        for path in paths(cell.edges, source, target)
        for position in path
    }


def flat_connected(genotype):
    """Whether the whole network, laid out as one graph, has a walk from stem to head."""
    names = [("stem",)]
    wires = []
    for index, cell in enumerate(genotype.placed_cells()):
        size = cell.inputs + len(cell.nodes)
        names += [(index, node) for node in range(size)] + [(index, "out")]
        block = genotype.blocks[index]
        back = (
            [1]
            if genotype.family in ("residual", "residual_same", "nasbench201")
            else [block.previous, 1]
        )
        if genotype.family == "nasnet":
            back.reverse()
        if genotype.family in ("macro", "nas2017"):
            back = [index - source for source in block.sources]
        for position, distance in enumerate(back):
            before = index - distance
            position = 0 if genotype.family == "nas2017" else position
            wires.append((("stem",) if before < 0 else (before, "out"), (index, position)))
        wires += [((index, e.source), (index, e.target)) for e in carrying(cell.edges)]
        wires += [((index, node), (index, "out")) for node in cell.output]
    number = {name: i for i, name in enumerate(names)}
    steps = np.eye(len(names), dtype=bool)
    for source, target in wires:
        steps[number[source], number[target]] = True
    for _ in range(len(names).bit_length()):  # squaring doubles the length of the walks
        steps = steps @ steps
    ends = [len(genotype.blocks) - 1]
    if genotype.family == "nas2017":
        ends = [i for i in range(ends[0] + 1) if all(i not in b.sources for b in genotype.blocks)]
    return any(steps[number["stem",], number[end, "out"]] for end in ends)


def chosen_op(op, choice):
    """The operation that choice 0 (none), 1 (id) or 2 (same) makes of `op`."""
    return (NULL, SKIP, op)[choice]


def chosen_edges(cell, choices):
    """A cell's edges under choices, one for each edge.

    A 1x1 convolution that widens or narrows without a stride stands for an identity there; between
    an input and the block's channels, which may be as many, it does not.
    """
    inputs = [Node(expansion=1, strided=False)] * cell.inputs
    every = [*inputs, *cell.nodes]

    def op(edge, choice):
        ends = every[edge.source], every[edge.target]
        widths = {f"{n.expansion}x" if n.expansion else f"1/{n.squeeze}" for n in ends}
        same_side = ends[0].strided == ends[1].strided
        if choice == 1 and edge.op == "conv_1x1" and same_side and len(widths) == 2:
            return SKIP if widths == {"1x", "1/1"} else edge.op
        return chosen_op(edge.op, choice)

    return tuple(
        dataclasses.replace(edge, op=op(edge, int(choice)))
        for edge, choice in zip(cell.edges, choices, strict=True)
    )


def assignments(count):
    """All 3^count choices."""
    return itertools.product(range(3), repeat=count)

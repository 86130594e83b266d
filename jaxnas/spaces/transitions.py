"""What an operation may become (Neural Architecture Transformer: Guo et al. 2019, and NATv2)."""

from __future__ import annotations

import dataclasses
from typing import Any, Literal, NamedTuple

import numpy as np

from jaxnas.spaces.cells import TABLES, CellSpace
from jaxnas.spaces.genotype import NULL, SKIP, Edge, Genotype, GenotypeError

Version = Literal["v1", "v2"]

_POOLS_AND_SKIP = ("max_pool_3x3", "avg_pool_3x3", SKIP)
OPERATION_SETS: dict[str, tuple[tuple[str, ...], ...]] = {
    "v1": (
        (
            *_POOLS_AND_SKIP,
            "sep_conv_3x3",
            "sep_conv_5x5",
            "dil_conv_3x3",
            "dil_conv_5x5",
            "conv_3x3",
            NULL,
        ),
        (
            *_POOLS_AND_SKIP,
            "sep_conv_3x3",
            "sep_conv_5x5",
            "conv_1x1",
            "conv_3x3",
            "conv_5x5",
            NULL,
        ),
    ),
    "v2": (
        (
            "conv_5x5",
            "conv_3x3",
            "conv_1x1",
            "sep_conv_5x5",
            "sep_conv_3x3",
            "dil_conv_5x5",
            "dil_conv_3x3",
            "avg_pool_5x5",
            "avg_pool_3x3",
            "max_pool_5x5",
            "max_pool_3x3",
            SKIP,
            NULL,
        ),
    ),
}
"""The published sets: v1's for fully concatenated and for loose-end cells, and v2's only one."""

# NATv2's refinement, from its code: by type (convolution, separable, dilated, pooling) and kernel.
_POOLS_3 = ("max_pool_3x3", "avg_pool_3x3")
_POOLS_5 = ("max_pool_5x5", "avg_pool_5x5")
_GONE = (SKIP, NULL)
_V2_TARGETS: dict[str, tuple[str, ...]] = {
    "conv_5x5": OPERATION_SETS["v2"][0],
    "conv_3x3": ("conv_3x3", "conv_1x1", "sep_conv_3x3", "dil_conv_3x3", *_POOLS_3, *_GONE),
    "conv_1x1": ("conv_1x1", *_GONE),
    "sep_conv_5x5": (
        "sep_conv_5x5",
        "sep_conv_3x3",
        "dil_conv_5x5",
        "dil_conv_3x3",
        *_POOLS_5,
        *_POOLS_3,
        *_GONE,
    ),
    "sep_conv_3x3": ("sep_conv_3x3", "dil_conv_3x3", *_POOLS_3, *_GONE),
    "dil_conv_5x5": ("dil_conv_5x5", "dil_conv_3x3", *_POOLS_5, *_POOLS_3, *_GONE),
    "dil_conv_3x3": ("dil_conv_3x3", *_POOLS_3, *_GONE),
    "avg_pool_5x5": (*_POOLS_5, *_POOLS_3, *_GONE),
    "max_pool_5x5": (*_POOLS_5, *_POOLS_3, *_GONE),
    "avg_pool_3x3": (*_POOLS_3, *_GONE),
    "max_pool_3x3": (*_POOLS_3, *_GONE),
    SKIP: _GONE,
    NULL: _GONE,
}


class Transitions(NamedTuple):
    """The actions on an edge.

    Attributes:
      targets: int32 [operations, actions], what an operation becomes under an action.
      valid: bool [operations, actions], which actions an operation has.
      keep: int32 [operations], the action that changes nothing.
      null: the operation that is nothing.
    """

    targets: np.ndarray
    valid: np.ndarray
    keep: np.ndarray
    null: int


class Cells(NamedTuple):
    """A normal and a reduction cell in which every node has two edges; arrays of NumPy or JAX.

    Attributes:
      sources: int32 [2, nodes, 2], the node that each edge comes from, by table, target and edge.
      operations: int32 [2, nodes, 2], indices into the space's operations.
      outputs: float32 [2, nodes], 1 for the nodes that the output concatenates, 0 for those whose
        channels are zeros there.
    """

    sources: Any
    operations: Any
    outputs: Any


class Transformable(NamedTuple):
    """A network, and what the operations on its edges may become.

    Attributes:
      base: the network.
      cells: its cells, of NumPy.
      actions: on an edge.
    """

    base: Genotype
    cells: Cells
    actions: Transitions


def transitions(operations: tuple[str, ...], version: Version) -> Transitions:
    """v1: [null, same, skip_connect]. v2: an action for each operation of the set, masked.

    Raises:
      ValueError: for another version, or v2 with another set than its own.
    """
    count, null = len(operations), operations.index(NULL)
    if version == "v1":
        same = np.arange(count)
        skip = operations.index(SKIP)
        targets = np.stack([np.full(count, null), same, np.full(count, skip)], 1)
        keep = np.ones(count, np.int32)
        return Transitions(targets.astype(np.int32), np.ones(targets.shape, bool), keep, null)
    if version != "v2" or operations != OPERATION_SETS["v2"][0]:
        raise ValueError(
            f"the versions of NAT are v1 and v2, and v2 has its own operations; not {version!r} "
            f"with {', '.join(operations)}"
        )
    valid = np.array([[to in _V2_TARGETS[of] for to in operations] for of in operations])
    targets = np.tile(np.arange(count, dtype=np.int32), (count, 1))
    return Transitions(targets, valid, np.arange(count, dtype=np.int32), null)


def nat_space(base: Genotype, version: Version, *, channels: int, layers: int) -> CellSpace:
    """NAT's supernet for `base`: of the published operation sets the first that holds its own.

    Raises:
      GenotypeError: if `base` is no network of cells with two edges a node, or no set holds its
        operations.
    """
    if version not in OPERATION_SETS:
        raise ValueError(f"the versions of NAT are v1 and v2, not {version!r}")
    if base.family != "darts":
        raise GenotypeError(
            f"NAT transforms cells of DARTS's family; {base.name} is of the {base.family} family "
            "(ResNet and MobileNetV2 have such a form: resnet20_cells, mobilenet_v2_cells)"
        )
    used = {edge.op for cell in base.cells for edge in cell.edges}
    fitting = [each for each in OPERATION_SETS[version] if used <= set(each)]
    if not fitting:
        raise GenotypeError(
            f"no operation set of NAT {version} holds all of {base.name}'s: "
            f"{', '.join(sorted(used))}"
        )
    space = CellSpace(fitting[0], channels, layers, nodes=len(base.cells[0].nodes))
    for cell in space.cells_of(base):
        targets = [edge.target for edge in cell.edges]
        if targets != sorted([*range(2, space.nodes + 2)] * 2):
            raise GenotypeError(
                f"cell {cell.name!r} of {base.name}: NAT knows cells whose nodes have two edges"
            )
    return space


def transformable(space: CellSpace, base: Genotype, version: Version) -> Transformable:
    """`base`, a network of `space` whose nodes have two edges, and NAT's transitions."""
    sources, operations, outputs = [], [], []
    for cell in space.cells_of(base):
        sources.append([edge.source for edge in cell.edges])
        operations.append([space.operations.index(edge.op) for edge in cell.edges])
        outputs.append([float(node in cell.output) for node in range(2, space.nodes + 2)])
    shape = (len(TABLES), space.nodes, 2)
    cells = Cells(
        np.array(sources, np.int32).reshape(shape),
        np.array(operations, np.int32).reshape(shape),
        np.array(outputs, np.float32),
    )
    return Transformable(base, cells, transitions(space.operations, version))


def transformed(space: CellSpace, base: Genotype, operations: np.ndarray) -> Genotype:
    """`base` with `operations`, int [2, nodes, 2], on its edges."""
    tables = operations.reshape(len(TABLES), -1)
    cells = []
    for name, cell, chosen in zip(TABLES, space.cells_of(base), tables, strict=True):
        edges = tuple(
            Edge(space.operations[operation], edge.source, edge.target)
            for edge, operation in zip(cell.edges, chosen, strict=True)
        )
        cells.append(dataclasses.replace(cell, name=name, edges=edges))
    blocks = tuple(
        dataclasses.replace(block, cell=TABLES[block.stride == 2]) for block in base.blocks
    )
    used = {block.cell for block in blocks}
    cells = tuple(cell for cell in cells if cell.name in used)
    return dataclasses.replace(base, name=f"{base.name}_nat", cells=cells, blocks=blocks)


def random_form(
    space: CellSpace, base: Genotype, version: Version, generator: np.random.Generator
) -> Genotype:
    """`base` under uniform actions, drawn until it is connected: the control of NAT's search."""
    _, cells, actions = transformable(space, base, version)
    valid = actions.valid[cells.operations]
    while True:
        chosen = np.where(valid, generator.random(valid.shape), -1.0).argmax(-1)
        genotype = transformed(space, base, actions.targets[cells.operations, chosen])
        if genotype.connected():
            return dataclasses.replace(genotype, name="random")

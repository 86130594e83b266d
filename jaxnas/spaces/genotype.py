"""Architectures as data: frozen, hashable, JSON both ways, and ignorant of arrays.

A network is a stem, a sequence of blocks and a head. Each block places a `Cell`, a small graph of
operations, at a number of channels and a stride; several blocks may share one cell. The family
says what the operations mean and how blocks are wired (`spaces.families`).

A ``null`` edge belongs to the graph but carries nothing: adaptation may turn it into an identity.
"""

from __future__ import annotations

import dataclasses
import json
import math
from typing import Any

from jaxnas import reading
from jaxnas.spaces.cell_graph import Cell, Edge, GenotypeError, Node
from jaxnas.spaces.families import FAMILIES, NULL, SKIP, Family

__all__ = [
    "ACTIVATIONS",
    "NULL",
    "SKIP",
    "STEMS",
    "Block",
    "Cell",
    "Edge",
    "Genotype",
    "GenotypeError",
    "Node",
]

STEMS = ("small", "strided", "valid", "double", "pooled")
"""Forms of the stem: a 3x3 convolution of stride 1 (``small``), of stride 2 with padding
(``strided``) or without (``valid``, NASNet's for ImageNet), or DARTS's three convolutions of
stride 2 for ImageNet (``double``), whose first two also are the first block's older input; a 7x7
convolution and a 3x3 max pooling, both of stride 2 (``pooled``, ResNet's for ImageNet)."""

ACTIVATIONS = ("relu", "relu6", "silu")
"""SiLU, x * sigmoid(x), is also called Swish."""

MOST_OPERATIONS = 4000
"""Edges or nodes of all blocks together; a ResNet of 1,202 layers has 1,800 edges that carry
something, and JAX traces some hundred a second."""


@dataclasses.dataclass(frozen=True)
class Block:
    """A cell at its place in the network.

    Attributes:
      cell: its name.
      channels: of one node.
      stride: 1 or 2; in the ``nas2017`` family 1.
      previous: how many blocks back the older input of a cell of two inputs lies; 3 behind a
        reduction in NASNet's large networks (``skip_reduction_layer_input``).
      sources: in the ``macro`` family, the earlier blocks whose outputs are the inputs, in the
        cell's order; -1 is the stem. In the ``nas2017`` family the earlier blocks that the block
        reads, in rising order; -1 is the image.
      strides: in the ``nas2017`` family, the strides of height and width, each 1 to 3. JSON leaves
        it out where there are none.
    """

    cell: str
    channels: int
    stride: int = 1
    previous: int = 2
    sources: tuple[int, ...] = ()
    strides: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.channels < 1 or self.stride not in (1, 2):
            raise GenotypeError(
                f"block of cell {self.cell!r}: channels must be positive and stride 1 or 2, "
                f"not {self.channels} and {self.stride}"
            )
        if self.previous not in (2, 3):
            raise GenotypeError(
                f"block of cell {self.cell!r}: previous must be 2 or 3, not {self.previous}"
            )
        if self.strides and (
            len(self.strides) != 2 or not set(self.strides) <= {1, 2, 3} or self.stride != 1
        ):
            raise GenotypeError(
                f"block of cell {self.cell!r}: strides must be two numbers of 1 to 3 besides a "
                f"stride of 1, not {self.strides} besides {self.stride}"
            )

    @property
    def stride_text(self) -> str:
        """The stride, such as ``2`` or ``2x1``; empty where there is none."""
        height, width = self.strides or (self.stride, self.stride)
        if (height, width) == (1, 1):
            return ""
        return f"{height}x{width}" if self.strides else f"{height}"


@dataclasses.dataclass(frozen=True)
class Genotype:
    """A whole network as data.

    Attributes:
      name: how tables and reports call it.
      family: one of `FAMILIES`; it says what the operations mean.
      stem: channels of the convolution that reads the image; in the ``nas2017`` family 0.
      cells: the different cells.
      blocks: the network, from the image on.
      head: channels of the 1x1 convolution before pooling, 0 for none.
      stem_form: one of `STEMS`.
      activation: one of `ACTIVATIONS`; it stands wherever the family has one.
      epsilon: of batch norm.
      auxiliary: the block after which an auxiliary head may stand, -1 for none.

    Raises:
      GenotypeError: naming the cell, edge or block that is wrong.
    """

    name: str
    family: str
    stem: int
    cells: tuple[Cell, ...]
    blocks: tuple[Block, ...]
    head: int = 0
    stem_form: str = "small"
    activation: str = "relu"
    epsilon: float = 1e-5
    auxiliary: int = -1

    def __post_init__(self) -> None:
        if self.family not in FAMILIES:
            raise GenotypeError(
                f"genotype {self.name!r}: family must be one of {sorted(FAMILIES)}, "
                f"not {self.family!r}"
            )
        rules = self.rules
        without_stem = rules.wiring == "concatenated"
        if self.stem < 0 or (self.stem == 0) != without_stem or self.head < 0:
            raise GenotypeError(
                f"genotype {self.name!r}: stem must be {'0' if without_stem else 'positive'} and "
                f"head not negative, not {self.stem} and {self.head}"
            )
        for field, known in (("stem_form", STEMS), ("activation", ACTIVATIONS)):
            if getattr(self, field) not in known:
                raise GenotypeError(
                    f"genotype {self.name!r}: {field} must be one of {', '.join(known)}, "
                    f"not {getattr(self, field)!r}"
                )
        if not 0 < self.epsilon < math.inf:
            raise GenotypeError(
                f"genotype {self.name!r}: epsilon must be positive and finite, not {self.epsilon}"
            )
        if not self.blocks:
            raise GenotypeError(f"genotype {self.name!r}: no blocks")
        if not -1 <= self.auxiliary < len(self.blocks):
            raise GenotypeError(
                f"genotype {self.name!r}: auxiliary must be a block, 0 to {len(self.blocks) - 1}, "
                f"or -1, not {self.auxiliary}"
            )
        sizes = {cell.name: max(1, len(cell.edges), len(cell.nodes)) for cell in self.cells}
        placed = sum(sizes.get(block.cell, 1) for block in self.blocks)
        if max(placed, sum(sizes.values()), len(self.cells)) > MOST_OPERATIONS:
            raise GenotypeError(
                f"genotype {self.name!r}: {len(self.blocks):,} blocks of {len(self.cells):,} cells "
                f"have more operations or nodes together than the {MOST_OPERATIONS:,} that a "
                "network may have"
            )
        if (name := reading.repeated(cell.name for cell in self.cells)) is not None:
            raise GenotypeError(f"genotype {self.name!r}: two cells are called {name!r}")
        for cell in self.cells:
            if cell.inputs != (rules.inputs or cell.inputs):
                raise GenotypeError(
                    f"cell {cell.name!r}: a block of family {self.family!r} has "
                    f"{rules.inputs} inputs, not {cell.inputs}"
                )
            if not rules.concatenates_inputs and min(cell.output) < cell.inputs:
                raise GenotypeError(
                    f"cell {cell.name!r}: output node {min(cell.output)} is an input; "
                    f"family {self.family!r} concatenates nodes only"
                )
            for index, edge in enumerate(cell.edges):
                if edge.op not in rules.operations:
                    raise GenotypeError(
                        f"cell {cell.name!r}, edge {index} ({edge}): unknown operation "
                        f"{edge.op!r}; family {self.family!r} knows "
                        f"{', '.join(sorted(rules.operations))}"
                    )
        for index, block in enumerate(self.blocks):
            if block.cell not in sizes:
                raise GenotypeError(
                    f"block {index}: there is no cell {block.cell!r}; there are {', '.join(sizes)}"
                )
            for node in self.cell(block.cell).nodes:
                if block.channels % node.squeeze:
                    raise GenotypeError(
                        f"block {index}: a node of cell {block.cell!r} has its channels divided by "
                        f"{node.squeeze}, and {block.channels} is no multiple of that"
                    )
        self._check_sources()

    @property
    def rules(self) -> Family:
        """What the networks of its family have in common."""
        return FAMILIES[self.family]

    def _check_sources(self) -> None:
        if self.rules.wiring == "concatenated":
            return self._check_layers()
        scales = [1]  # of the stem and of each block's output, relative to the stem's
        for index, (block, cell) in enumerate(zip(self.blocks, self.placed_cells(), strict=True)):
            if block.strides:
                raise GenotypeError(
                    f"block {index}: family {self.family!r} has one stride for both sides; "
                    f"strides must be empty, not {block.strides}"
                )
            wanted = cell.inputs if self.rules.wiring == "sources" else 0
            if len(block.sources) != wanted:
                raise GenotypeError(
                    f"block {index}: a block of cell {cell.name!r} and family {self.family!r} "
                    f"names {wanted} sources, not {len(block.sources)}"
                )
            for source in block.sources:
                if not -1 <= source < index:
                    raise GenotypeError(
                        f"block {index}: source {source} is no earlier block: -1 (the stem) "
                        f"to {index - 1}"
                    )
            found = {scales[source + 1] for source in block.sources} or {scales[-1]}
            if len(found) > 1:
                raise GenotypeError(
                    f"block {index}: its sources {', '.join(map(str, block.sources))} differ in "
                    "size: different numbers of strided blocks lie before them"
                )
            scales.append(found.pop() * block.stride)

    def _check_layers(self) -> None:
        for index, block in enumerate(self.blocks):
            if not block.strides:
                raise GenotypeError(
                    f"block {index}: a block of family {self.family!r} has strides of height "
                    "and width"
                )
            known = range(-1, index)
            if not block.sources or list(block.sources) != sorted(set(block.sources) & set(known)):
                raise GenotypeError(
                    f"block {index}: its sources must be earlier blocks in rising order, of -1 "
                    f"(the image) to {index - 1}, not {block.sources}"
                )

    def cell(self, name: str) -> Cell:
        """The cell of that name."""
        return next(cell for cell in self.cells if cell.name == name)

    def placed_cells(self) -> tuple[Cell, ...]:
        """The cell of each block, in order."""
        by_name = {cell.name: cell for cell in self.cells}
        return tuple(by_name[block.cell] for block in self.blocks)

    def inputs_of(self, index: int) -> tuple[int, ...]:
        """The blocks whose outputs are the inputs of block `index`, in the order of its cell.

        -1 is the stem, -2 what the first block has for an older input: an earlier part of the
        stem, or the stem itself. In the ``nas2017`` family -1 is the image, and all of them
        together are the one input.
        """
        newer = index - 1
        if self.rules.wiring != "chain":
            return self.blocks[index].sources
        if self.rules.inputs == 1:
            return (newer,)
        older = max(index - self.blocks[index].previous, -2 if index == 0 else -1)
        return (newer, older) if self.rules.newest_first else (older, newer)

    def halves_older(self, index: int) -> bool:
        """Whether the older input of block `index`, of two, is twice as large as its newer one.

        What lies between them decides it, not an image's shape: one set of variables serves all.
        """
        older, newer = sorted(self.inputs_of(index))
        if older == -2:
            return self.stem_form == "double"
        return any(block.stride == 2 for block in self.blocks[older + 1 : newer + 1])

    def head_inputs(self) -> tuple[int, ...]:
        """The blocks whose outputs the head reads: the last one.

        In the ``nas2017`` family all that no block reads.
        """
        blocks = range(len(self.blocks))
        if self.rules.wiring != "concatenated":
            return (blocks[-1],)
        read = {source for block in self.blocks for source in block.sources}
        return tuple(index for index in blocks if index not in read)

    def connected(self) -> bool:
        """Whether the head can be reached from the stem over edges that are not null.

        A block of several inputs may bypass a dead one before it.
        """
        alive: list[bool] = []
        for index, cell in enumerate(self.placed_cells()):
            fed = [block < 0 or alive[block] for block in self.inputs_of(index)]
            if self.rules.wiring == "concatenated":
                fed = [any(fed)]
            sources = tuple(number for number, each in enumerate(fed) if each)
            alive.append(bool(cell.reached(sources) & set(cell.output)))
        return any(alive[block] for block in self.head_inputs())

    def to_json(self) -> str:
        """JSON text that `from_json` reads back to an equal genotype."""
        data = dataclasses.asdict(self)
        for cell in data["cells"]:
            for node in cell["nodes"]:
                if node["squeeze"] == 1:  # so that genotypes without it keep their text and digest
                    del node["squeeze"]
        for block in data["blocks"]:
            if not block["strides"]:
                del block["strides"]
        return json.dumps(data, indent=1)

    @classmethod
    def from_json(cls, text: str) -> Genotype:
        """Reads what `to_json` wrote.

        Raises:
          GenotypeError: if the text is no JSON, lacks a field, has one too many or of the wrong
            type, or describes no network.
        """
        try:
            data = reading.from_json(text)
        except ValueError as error:  # also too long or too deep to parse
            raise GenotypeError(f"the genotype is not JSON: {error}") from error
        return _read(cls, data, "genotype")

    def __str__(self) -> str:
        lines = [f"{self.name} ({self.family}): stem {self.stem}, head {self.head or 'none'}"]
        for cell in self.cells:
            edges = ", ".join(str(edge) for edge in cell.edges)
            lines.append(f"  {cell.name}: {edges}; output {', '.join(map(str, cell.output))}")
        blocks = (
            f"{block.cell} {block.channels}{'/' if block.stride_text else ''}{block.stride_text}"
            + (f" of {' '.join(map(str, block.sources))}" if block.sources else "")
            for block in self.blocks
        )
        lines.append("  blocks: " + ", ".join(blocks))
        return "\n".join(lines)


_NESTED = {"Cell": Cell, "Block": Block, "Node": Node, "Edge": Edge}
_PLAIN = {"str": str, "int": int, "bool": bool, "float": float}


def _read(cls: type, data: Any, where: str) -> Any:
    """An instance of the dataclass `cls` from parsed JSON, checked field by field."""
    if not isinstance(data, dict):
        raise GenotypeError(f"{where}: expected an object, found {type(data).__name__}")
    fields = {field.name: field for field in dataclasses.fields(cls)}
    for name in data:
        if name not in fields:
            raise GenotypeError(f"{where}: unknown field {name!r}")
    values = {}
    for name, field in fields.items():
        if name not in data:
            if field.default is dataclasses.MISSING:
                raise GenotypeError(f"{where}: field {name!r} is missing")
            continue
        values[name] = _read_value(str(field.type), data[name], f"{where}.{name}")
    return cls(**values)


def _read_value(kind: str, value: Any, where: str) -> Any:
    if kind.startswith("tuple["):
        if not isinstance(value, list):
            raise GenotypeError(f"{where}: expected a list, found {type(value).__name__}")
        item = kind.removeprefix("tuple[").split(",")[0]
        return tuple(_read_value(item, each, f"{where}[{i}]") for i, each in enumerate(value))
    if kind in _NESTED:
        return _read(_NESTED[kind], value, where)
    if type(value) is not _PLAIN[kind]:
        raise GenotypeError(f"{where}: expected {kind}, found {type(value).__name__}")
    return value

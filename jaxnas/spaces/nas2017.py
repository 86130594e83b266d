"""The space of NAS (Zoph & Le 2017) for CIFAR-10: layers that read any of those before them."""

from __future__ import annotations

import dataclasses
import functools

import numpy as np

from jaxnas.spaces.enas_macro import SKIPS
from jaxnas.spaces.families import FAMILIES
from jaxnas.spaces.genotype import Block, Cell, Edge, Genotype, Node
from jaxnas.spaces.space import Decision, Space, SpaceError
from jaxnas.spaces.symmetry.layers import first_order, unique_layers


@dataclasses.dataclass(frozen=True)
class Nas2017Space(Space):
    """Layers of one convolution each, and skip connections between them.

    A layer decides its filter's height and width, its strides where they are searched, for each
    earlier layer whether it reads it (its anchor point), and how many filters it has: the paper's
    order. What a layer reads is concatenated, the smaller with zeros around them; one that reads
    no layer reads the image. Layers that none reads are concatenated before the classifier.

    A convolution is followed by batch norm and ReLU. That, SAME padding, zeros on all sides of the
    smaller and the mean over the image before the classifier are this project's choice.

    Candidates whose layers differ in their order alone are the same network, up to the order of
    the channels that are concatenated. Counting those takes seconds for 20 layers, and more beyond.

    Attributes:
      layers: how many; the paper's networks without strides have 15.
      sides: to choose a filter's height and width from, of 1, 3, 5 and 7.
      filters: to choose a layer's channels from.
      strides: to choose those of height and width from, the paper's are 1, 2 and 3; empty for
        layers of stride 1 that decide none.

    Raises:
      ValueError: if there is no layer, or nothing to choose from, or the same twice, or what a
        layer cannot have.
    """

    layers: int = 15
    sides: tuple[int, ...] = (1, 3, 5, 7)
    filters: tuple[int, ...] = (24, 36, 48, 64)
    strides: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.layers < 1:
            raise ValueError(f"layers must be positive, not {self.layers}")
        for name, choices, possible in (
            ("sides", self.sides, all(_op(each, each) in _OPERATIONS for each in self.sides)),
            ("filters", self.filters, min(self.filters, default=0) > 0),
            ("strides", self.strides or (1,), set(self.strides) <= {1, 2, 3}),
        ):
            if not choices or not possible or len(set(choices)) < len(choices):
                raise ValueError(f"{name} must be {_WANTED[name]}, each once, not {choices}")

    @property
    def name(self) -> str:
        return "nas2017"

    @functools.cached_property
    def decisions(self) -> tuple[Decision, ...]:
        sides, strides, filters = (
            tuple(map(str, each)) for each in (self.sides, self.strides, self.filters)
        )
        decisions = []
        for layer in range(1, self.layers + 1):
            own = [("filter height", sides), ("filter width", sides)]
            if strides:
                own += [("stride height", strides), ("stride width", strides)]
            decisions += [Decision(f"layer {layer}, {kind}", each, kind) for kind, each in own]
            decisions += [
                Decision(f"layer {layer}, skip from layer {source}", SKIPS, "skip")
                for source in range(1, layer)
            ]
            decisions.append(Decision(f"layer {layer}, filters", filters, "filters"))
        return tuple(decisions)

    @property
    def levels(self) -> tuple[int, ...]:
        """A step decides a layer."""
        own = self._before + 1
        return tuple(own * layer + layer * (layer - 1) // 2 for layer in range(1, self.layers + 1))

    @property
    def unique_size(self) -> int:
        colours = len(self.sides) ** 2 * max(1, len(self.strides)) ** 2 * len(self.filters)
        return unique_layers(self.layers, colours)

    def canonical(self, candidates: np.ndarray) -> np.ndarray:
        array = np.asarray(candidates, np.int32)
        flat = array.reshape(-1, array.shape[-1])
        return np.array([self._first(each) for each in flat], np.int32).reshape(array.shape)

    def decode(self, candidate: np.ndarray) -> Genotype:
        cells: dict[str, Cell] = {}
        blocks = []
        for own, sources in self._layers(self.complete(candidate)):
            op = _op(self.sides[own[0]], self.sides[own[1]])
            cells[op] = Cell(op, 1, (Node(relu=True),), (Edge(op, 0, 1),), (1,))
            strides = tuple(self.strides[number] for number in own[2:-1]) or (1, 1)
            block = Block(op, self.filters[own[-1]], sources=sources or (-1,), strides=strides)
            blocks.append(block)
        return Genotype(self.name, "nas2017", 0, tuple(cells.values()), tuple(blocks))

    def encode(self, genotype: Genotype) -> np.ndarray:
        unlike = SpaceError(
            f"{genotype.name} is no network of {self.layers} layers of {self.name} with filters' "
            f"sides of {self.sides}, {self.filters} filters and strides of {self.strides or (1,)}"
        )
        if genotype.family != "nas2017" or len(genotype.blocks) != self.layers:
            raise unlike
        ops = {_op(height, width): (height, width) for height in self.sides for width in self.sides}
        candidate: list[int] = []
        try:
            for layer, block in enumerate(genotype.blocks):
                candidate += [self.sides.index(side) for side in ops[block.cell]]
                candidate += [self.strides.index(each) for each in block.strides if self.strides]
                candidate += [int(source in block.sources) for source in range(layer)]
                candidate.append(self.filters.index(block.channels))
        except (KeyError, ValueError):
            raise unlike from None
        array = np.array(candidate, np.int32)
        if self.decode(array) != dataclasses.replace(genotype, name=self.name):
            raise unlike
        return array

    @property
    def _before(self) -> int:
        """What a layer decides before its skips."""
        return 4 if self.strides else 2

    def _layers(self, candidate: np.ndarray) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
        """What each layer decides on its own, and which layers it reads."""
        layers, start = [], 0
        for layer, end in enumerate(self.levels):
            if end > len(candidate):
                break
            row = candidate[start:end].tolist()
            skips = row[self._before : -1]
            own = (*row[: self._before], row[-1])
            layers.append((own, tuple(each for each in range(layer) if skips[each])))
            start = end
        return layers

    def _first(self, candidate: np.ndarray) -> list[int]:
        """The candidate, maybe a partial one, with its layers in the order of `first_order`."""
        layers = self._layers(candidate)
        order = first_order(*zip(*layers, strict=True))
        numbers: list[int] = []
        for place, layer in enumerate(order):
            own, sources = layers[layer]
            skips = [int(each in sources) for each in order[:place]]
            numbers += [*own[:-1], *skips, own[-1]]
        return numbers


_OPERATIONS = FAMILIES["nas2017"].operations
_WANTED = {"sides": "of 1, 3, 5 and 7", "filters": "positive", "strides": "of 1, 2 and 3"}


def _op(height: int, width: int) -> str:
    return f"conv_{height}x{width}"

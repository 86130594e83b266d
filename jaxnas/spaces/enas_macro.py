"""ENAS's macro space (Pham et al. 2018): a chain of layers, each with skips to earlier ones."""

from __future__ import annotations

import dataclasses
import functools

import numpy as np

from jaxnas.spaces.genotype import Genotype
from jaxnas.spaces.space import Decision, Space, SpaceError
from jaxnas.spaces.zoo.enas import enas_macro_network

MACRO_OPERATIONS = (
    "conv_3x3",
    "sep_conv_3x3",
    "conv_5x5",
    "sep_conv_5x5",
    "avg_pool_3x3",
    "max_pool_3x3",
)
"""The six of the authors' code, in its order."""

SKIPS = ("none", "skip")


@dataclasses.dataclass(frozen=True)
class EnasMacroSpace(Space):
    """Chains of layers with skips, in the shape of the authors' final network.

    A layer decides its operation, and for the stem and each layer but the last before it whether it
    takes that as well. All six operations are layers of their own kind, behind a 1x1 convolution.
    The authors' code for final networks has plain convolutions for separable ones and nothing for
    pooling; their published network is in this space as what it is, convolutions throughout. In
    their search's code skips are summed; here they are concatenated, as in their final network.

    Attributes:
      layers: how many; the paper searches 12.
      channels: of the first third of the layers.

    Raises:
      ValueError: if one is not positive.
    """

    layers: int = 12
    channels: int = 36

    def __post_init__(self) -> None:
        if min(self.layers, self.channels) < 1:
            raise ValueError(
                f"layers and channels must be positive, not {self.layers} and {self.channels}"
            )

    @property
    def name(self) -> str:
        return "enas_macro"

    @functools.cached_property
    def decisions(self) -> tuple[Decision, ...]:
        decisions = []
        for layer in range(self.layers):
            place = f"layer {layer + 1}"
            decisions.append(Decision(f"{place}, operation", MACRO_OPERATIONS, "operation"))
            for skip in range(layer):
                source = f"layer {skip}" if skip else "the stem"
                decisions.append(Decision(f"{place}, skip from {source}", SKIPS, "skip"))
        return tuple(decisions)

    @property
    def levels(self) -> tuple[int, ...]:
        """A step decides a layer."""
        return tuple(layer * (layer + 1) // 2 for layer in range(1, self.layers + 1))

    @property
    def unique_size(self) -> int:
        return self.size

    def decode(self, candidate: np.ndarray) -> Genotype:
        rows = np.split(self.complete(candidate), self.levels[:-1])
        layers = [(MACRO_OPERATIONS[row[0]], np.flatnonzero(row[1:]).tolist()) for row in rows]
        return enas_macro_network(self.name, layers, channels=self.channels)

    def encode(self, genotype: Genotype) -> np.ndarray:
        unlike = SpaceError(
            f"{genotype.name} is no network of {self.layers} layers and {self.channels} channels "
            f"of {self.name}, of the operations {', '.join(MACRO_OPERATIONS)}"
        )
        # A network without skips has the same blocks at the same places.
        plain = self.decode(np.zeros(len(self.decisions), np.int32))
        if len(plain.blocks) != len(genotype.blocks):
            raise unlike
        candidate: list[int] = []
        outputs = [-1]
        for index, (block, cell) in enumerate(
            zip(genotype.blocks, genotype.placed_cells(), strict=True)
        ):
            if plain.blocks[index].stride == 2:
                outputs = [index if block.sources == (each,) else each for each in outputs]
                continue
            operations = [edge.op for edge in cell.edges if edge.op in MACRO_OPERATIONS]
            if not operations:
                raise unlike
            candidate.append(MACRO_OPERATIONS.index(operations[0]))
            candidate += [int(output in block.sources[1:]) for output in outputs[:-1]]
            outputs.append(index)
        array = np.array(candidate, np.int32)
        if self.decode(array) != dataclasses.replace(genotype, name=self.name):
            raise unlike
        return array

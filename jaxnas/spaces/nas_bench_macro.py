"""NAS-Bench-Macro's space (Su et al. 2021): a chain of eight layers of MobileNetV2's blocks."""

from __future__ import annotations

import dataclasses
import functools

import numpy as np

from jaxnas.spaces.chain import left_out_last, unique_runs
from jaxnas.spaces.genotype import Block, Cell, Edge, Genotype, Node
from jaxnas.spaces.space import Decision, Space, SpaceError
from jaxnas.spaces.zoo.inverted import inverted_cell

MACRO_LAYERS = ("identity", "k3e3", "k5e6")
"""The options of a layer, in the order of the benchmark's digits."""

_PROJECTION = Cell("projection", 1, (Node(),), (Edge("conv_1x1", 0, 1),), (1,))


@dataclasses.dataclass(frozen=True)
class NasBenchMacroSpace(Space):
    """Chains of three stages, whose layers are identities or inverted-residual blocks.

    The first layer of a stage halves the image and doubles the channels; its identity is a 1x1
    convolution. Identities of the later layers are left out, so that it makes no difference which
    layers they are; of canonical candidates they are the last ones of a stage.

    Attributes:
      stages: layers of each stage.
      stem: channels of the stem.
      head: channels of the 1x1 convolution before pooling.

    Raises:
      ValueError: if there is no stage, or a number is not positive.
    """

    stages: tuple[int, ...] = (2, 3, 3)
    stem: int = 32
    head: int = 1280

    def __post_init__(self) -> None:
        if not self.stages or min(*self.stages, self.stem, self.head) < 1:
            raise ValueError(
                "stages, stem and head must be positive, "
                f"not {self.stages}, {self.stem} and {self.head}"
            )

    @property
    def name(self) -> str:
        return "nas_bench_macro"

    @functools.cached_property
    def decisions(self) -> tuple[Decision, ...]:
        return tuple(
            Decision(f"stage {stage}, layer {layer + 1}", MACRO_LAYERS, "layer")
            for stage, count in enumerate(self.stages, start=1)
            for layer in range(count)
        )

    @property
    def levels(self) -> tuple[int, ...]:
        """A step decides a layer."""
        return tuple(range(1, sum(self.stages) + 1))

    @property
    def unique_size(self) -> int:
        forms = len(MACRO_LAYERS)
        return forms ** len(self.stages) * unique_runs(self._optional, forms - 1)

    def canonical(self, candidates: np.ndarray) -> np.ndarray:
        return left_out_last(candidates, self._optional, MACRO_LAYERS.index("identity"))

    def decode(self, candidate: np.ndarray) -> Genotype:
        cells: dict[str, Cell] = {}
        blocks = []
        channels = self.stem
        for choice, optional in zip(self.complete(candidate), self._optional, strict=True):
            if not optional:
                channels *= 2
            option = MACRO_LAYERS[choice]
            if option != "identity":
                cell = inverted_cell(int(option[1]), int(option[3]), False, optional)
            elif optional:
                continue
            else:
                cell = _PROJECTION
            cells[cell.name] = cell
            blocks.append(Block(cell.name, channels, 1 if optional else 2))
        return Genotype(
            name=self.name,
            family="residual",
            stem=self.stem,
            cells=tuple(cells.values()),
            blocks=tuple(blocks),
            head=self.head,
        )

    def encode(self, genotype: Genotype) -> np.ndarray:
        stages: list[list[int]] = [[]]
        for block in genotype.blocks:
            option = block.cell[:4]
            if block.stride == 2:
                stages.append([])
            stages[-1].append(MACRO_LAYERS.index(option) if option in MACRO_LAYERS else 0)
        candidate = np.zeros(len(self.decisions), np.int32)
        start = 0
        for choices, count in zip(stages[1:], self.stages, strict=False):
            choices = choices[:count]
            candidate[start : start + len(choices)] = choices
            start += count
        if self.decode(candidate) != dataclasses.replace(genotype, name=self.name):
            raise SpaceError(
                f"{genotype.name} is no network of {self.name} with stages of "
                f"{', '.join(map(str, self.stages))} layers and {self.stem} channels in the stem"
            )
        return candidate

    @property
    def _optional(self) -> list[bool]:
        """Whether a layer is left out where it is an identity, layer by layer."""
        return [layer > 0 for count in self.stages for layer in range(count)]

"""Chains of inverted-residual blocks that each choose their form: ProxylessNAS's space.

The layout (channels, strides, number of blocks) is given; each block after the first chooses a
kernel and an expansion, or Zero, which leaves its identity shortcut alone: the block is left out.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Sequence

import numpy as np

from jaxnas.spaces.genotype import SKIP, Cell, Edge, Genotype, Node
from jaxnas.spaces.space import Decision, Space, SpaceError
from jaxnas.spaces.zoo.inverted import inverted_cell, inverted_chain

ZERO = "zero"
"""The candidate that leaves a block out."""

_KERNELS = (3, 5, 7)  # depthwise convolutions that the residual family knows


@dataclasses.dataclass(frozen=True)
class ChainSpace(Space):
    """All chains of one layout.

    Choices are int32 [blocks], one number for each block after the first, which is fixed: the
    candidate's place in `candidates`. A table over candidates is [blocks, candidates], padded where
    a block has no Zero.

    Which blocks of a run of equal layout are left out makes no difference; of canonical choices
    they are the last ones.

    Attributes:
      stem: channels of the stem.
      first: channels of the first block, of kernel 3, expansion 1 and stride 1.
      stages: (channels, blocks, stride of the first block) of each stage.
      head: channels of the 1x1 convolution before pooling.
      kernels: sides of the depthwise convolutions to choose from.
      expansions: expansions to choose from, of one digit.
      small: for images of 32x32, see `zoo.inverted.inverted_chain`.

    Raises:
      ValueError: naming the field that is wrong.
    """

    stem: int
    first: int
    stages: tuple[tuple[int, int, int], ...]
    head: int
    kernels: tuple[int, ...] = (3, 5, 7)
    expansions: tuple[int, ...] = (3, 6)
    small: bool = False

    def __post_init__(self) -> None:
        for name in ("stem", "first", "head"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be positive, not {getattr(self, name)}")
        if not self.stages:
            raise ValueError("stages must name at least one stage: (channels, blocks, stride)")
        for stage in self.stages:
            if len(stage) != 3 or min(stage) < 1 or stage[2] > 2:
                raise ValueError(
                    "each of stages must be (channels, blocks, stride), positive and the stride "
                    f"1 or 2, not {stage}"
                )
        for name, known in (("kernels", _KERNELS), ("expansions", range(1, 10))):
            values = getattr(self, name)
            if not values or not set(values) <= set(known) or len(set(values)) < len(values):
                raise ValueError(
                    f"{name} must be different numbers of {min(known)} to {max(known)}"
                    f"{', odd' if name == 'kernels' else ''}, not {values}"
                )
        if len(self.kernels) * len(self.expansions) < 2:
            raise ValueError("kernels and expansions must leave a choice: two forms at least")

    @property
    def layout(self) -> tuple[tuple[int, int, bool], ...]:
        """(channels, stride, whether it has a shortcut) of each block that chooses.

        The stride is that for large images; where `small`, the first of 2 becomes 1.
        """
        blocks, width = [], self.first
        for channels, count, stride in self.stages:
            for index in range(count):
                block_stride = 1 if index else stride
                blocks.append((channels, block_stride, block_stride == 1 and channels == width))
                width = channels
        return tuple(blocks)

    @property
    def candidates(self) -> tuple[tuple[str, ...], ...]:
        """The names of each block's candidates: ``k3e3`` and so on, Zero last."""
        forms = tuple(f"k{k}e{e}" for k in self.kernels for e in self.expansions)
        return tuple(forms + (ZERO,) * shortcut for _, _, shortcut in self.layout)

    @property
    def nothing(self) -> np.ndarray:
        """bool [blocks, candidates]: True at Zero."""
        counts = np.array([names.index(ZERO) if ZERO in names else -1 for names in self.candidates])
        return np.arange(self.shape[1]) == counts[:, None]

    def cell(self, candidate: str) -> Cell:
        """The cell of a candidate that is not Zero, without its shortcut."""
        return inverted_cell(int(candidate[1]), int(candidate[3]), False, False)

    @property
    def name(self) -> str:
        return "chain"

    @functools.cached_property
    def decisions(self) -> tuple[Decision, ...]:
        return tuple(
            Decision(f"block {index}", names, "block")
            for index, names in enumerate(self.candidates, start=1)
        )

    @property
    def levels(self) -> tuple[int, ...]:
        """A step decides a block."""
        return tuple(range(1, len(self.layout) + 1))

    @property
    def unique_size(self) -> int:
        forms = len(self.kernels) * len(self.expansions)
        optional = [shortcut for *_, shortcut in self.layout]
        return forms ** optional.count(False) * unique_runs(optional, forms)

    def canonical(self, candidates: np.ndarray) -> np.ndarray:
        forms = len(self.kernels) * len(self.expansions)
        return left_out_last(candidates, [shortcut for *_, shortcut in self.layout], forms)

    def encode(self, genotype: Genotype) -> np.ndarray:
        placed = list(zip(genotype.blocks, genotype.placed_cells(), strict=True))[1:]
        choices = []
        for names, (channels, _, shortcut) in zip(self.candidates, self.layout, strict=True):
            block, cell = placed[0] if placed else (None, None)
            if block is None or cell is None or shortcut != _has_shortcut(cell):
                choices.append(names.index(ZERO) if shortcut else -1)
                continue
            forms = {_graph(self.cell(name)): name for name in names if name != ZERO}
            if block.channels == channels and _graph(cell) in forms:
                choices.append(names.index(forms[_graph(cell)]))
                del placed[0]
            else:
                choices.append(-1)
        same = dataclasses.replace(genotype, name=self.name)
        if -1 in choices or self.decode(np.array(choices)) != same:
            raise SpaceError(f"{genotype.name} is no chain of this layout, kernels and expansions")
        return np.array(choices, np.int32)

    def decode(self, candidate: np.ndarray) -> Genotype:
        """The genotype of a candidate; blocks that chose Zero are left out."""
        words = [f"k3e1c{self.first}s1"]
        for choice, names, (channels, stride, _) in zip(
            self.complete(candidate), self.candidates, self.layout, strict=True
        ):
            if names[choice] != ZERO:
                words.append(f"{names[choice]}c{channels}s{stride}")
        return inverted_chain(
            self.name,
            " ".join(words),
            stem=self.stem,
            head=self.head,
            activation="relu6",
            epsilon=1e-3,
            small=self.small,
        )


def _has_shortcut(cell: Cell) -> bool:
    return any(edge.op == SKIP for edge in cell.edges)


def _graph(cell: Cell) -> tuple[tuple[Node, ...], tuple[Edge, ...]]:
    """A cell's nodes and edges, without its shortcut."""
    return cell.nodes, tuple(edge for edge in cell.edges if edge.op != SKIP)


def left_out_last(candidates: np.ndarray, optional: Sequence[bool], left_out: int) -> np.ndarray:
    """Candidates of a chain, those of each run of optional blocks that are left out moved last.

    Args:
      candidates: int [..., blocks], or the first blocks of them.
      optional: of each block whether it may be left out; the others end a run.
      left_out: the choice of an optional block to be left out.

    Returns:
      int32 of the same shape.
    """
    array = np.array(candidates, np.int32)
    for start, stop in _runs(optional[: array.shape[-1]]):
        run = array[..., start:stop]
        order = np.argsort(run == left_out, axis=-1, kind="stable")
        run[...] = np.take_along_axis(run, order, -1)
    return array


def unique_runs(optional: Sequence[bool], forms: int) -> int:
    """How many choices of the optional blocks `left_out_last` leaves, of so many forms besides."""
    lengths = [stop - start for start, stop in _runs(optional)]
    return math.prod(sum(forms**count for count in range(length + 1)) for length in lengths)


def _runs(optional: Sequence[bool]) -> list[tuple[int, int]]:
    """Where each longest run of True starts and stops."""
    steps = np.diff(np.array([False, *optional, False]).astype(np.int32))
    starts, stops = np.flatnonzero(steps == 1), np.flatnonzero(steps == -1)
    return list(zip(starts.tolist(), stops.tolist(), strict=True))


def proxylessnas_space(width: float = 1.0, small: bool = False) -> ChainSpace:
    """The space of ProxylessNAS's released search (Cai et al. 2019): 21 blocks that choose.

    At width 1.35 it contains the paper's network for the GPU, at 1.12 that for the CPU. The one for
    mobile has 32 channels in the first stage, where the released search has 24.

    Args:
      width: factor of all channels, of the head's only above 1; they are rounded to multiples of 8.
      small: for images of 32x32.

    Raises:
      ValueError: if `width` is not positive.
    """
    if not width > 0:
        raise ValueError(f"width must be positive, not {width}")
    stages = ((24, 4, 2), (40, 4, 2), (80, 4, 2), (96, 4, 1), (192, 4, 2), (320, 1, 1))
    return ChainSpace(
        stem=_rounded(32 * width),
        first=_rounded(16 * width),
        stages=tuple((_rounded(c * width), count, stride) for c, count, stride in stages),
        head=_rounded(1280 * max(width, 1.0)),
        small=small,
    )


def _rounded(channels: float) -> int:
    """The multiple of 8 nearest to `channels`, at least 8 and nowhere below 90% of it."""
    nearest = max(8, int(channels + 4) // 8 * 8)
    return nearest + 8 if nearest < 0.9 * channels else nearest

"""MnasNet's factorised space (Tan et al. 2019): blocks of equal layers, each with its own form."""

from __future__ import annotations

import dataclasses
import functools
import math

import numpy as np

from jaxnas.spaces.genotype import SKIP, Block, Cell, Edge, Genotype, Node
from jaxnas.spaces.space import Decision, Space, SpaceError
from jaxnas.spaces.zoo.inverted import inverted_cell

CONVOLUTIONS = ("conv", "dconv", "mbconv3", "mbconv6")
"""A convolution, a depthwise one with a 1x1 one, and inverted-residual blocks of expansion 3 and 6.

The paper names `mbconv` once; two expansions make its 432 forms of a block, and its networks have
them.
"""

KERNELS = (3, 5)
EXCITATIONS = ("none", "0.25")
SKIPS = ("pool", "identity", "none")
WIDTHS = ("0.75", "1", "1.25")
DEPTHS = ("0", "+1", "-1")

_OPTIONS = {
    "convolution": CONVOLUTIONS,
    "kernel": tuple(map(str, KERNELS)),
    "excitation": EXCITATIONS,
    "skip": SKIPS,
    "width": WIDTHS,
    "depth": DEPTHS,
}
_SKIP, _DEPTH = 3, 5  # places in a block's decisions

MOBILENET_STAGES = (
    (16, 1, 1),
    (24, 2, 2),
    (32, 3, 2),
    (64, 4, 2),
    (96, 3, 1),
    (160, 3, 2),
    (320, 1, 1),
)
"""Channels, layers and stride of the first layer of MobileNetV2's blocks."""


@dataclasses.dataclass(frozen=True)
class MnasNetSpace(Space):
    """Networks of blocks near MobileNetV2's, each of equal layers.

    A block chooses its convolution, the kernel, squeeze-and-excitation of a quarter of the input's
    channels (of its own for a plain convolution), what goes around each layer, a factor of its
    channels, and how many layers more or less it has, but at least one. An identity goes around
    layers that keep the shape; of a block of one layer it is nothing, and canonical candidates have
    none there. A 3x3 average pooling goes around every layer, with a 1x1 convolution where the
    channels change. How pooling is meant, and that widths are not rounded to multiples of 8, are
    this project's choices; MnasNet-A1 and -B1 have widths that no factor gives.

    Attributes:
      stages: channels, layers and the first layer's stride of each block.
      stem: channels of the stem.
      head: channels of the 1x1 convolution before pooling.
      small: for images of 32x32: the stem and the first block of stride 2 have stride 1 instead.

    Raises:
      ValueError: if a number is out of range, a stage's channels are no multiple of 4, or the first
        layer of a block could keep the shape.
    """

    stages: tuple[tuple[int, int, int], ...] = MOBILENET_STAGES
    stem: int = 32
    head: int = 1280
    small: bool = False

    def __post_init__(self) -> None:
        if min(self.stem, self.head) < 1 or not self.stages:
            raise ValueError(
                "stem and head must be positive and there must be stages, "
                f"not {self.stem}, {self.head} and {self.stages}"
            )
        before = {self.stem}
        for stage, (channels, layers, stride) in zip(self.stages, self._stages, strict=True):
            if channels < 4 or channels % 4 or layers < 1 or stride not in (1, 2):
                raise ValueError(
                    "each of stages must be (channels, layers, stride), channels a multiple of 4, "
                    f"layers positive and stride 1 or 2, not {stage}"
                )
            widths = {self._width(channels, place) for place in range(len(WIDTHS))}
            if stride == 1 and before & widths:
                raise ValueError(
                    f"a block of {channels} channels and stride 1 may be as wide as what is before "
                    "it; it would not be known where it starts"
                )
            before = widths

    @property
    def name(self) -> str:
        return "mnasnet"

    @functools.cached_property
    def decisions(self) -> tuple[Decision, ...]:
        decisions = []
        for number, (_, layers, _) in enumerate(self.stages, start=1):
            for kind, options in _OPTIONS.items():
                if kind == "depth" and layers == 1:
                    options = options[:2]
                decisions.append(Decision(f"block {number}, {kind}", options, kind))
        return tuple(decisions)

    @property
    def levels(self) -> tuple[int, ...]:
        """A step decides a block."""
        return tuple(len(_OPTIONS) * number for number in range(1, len(self.stages) + 1))

    @property
    def unique_size(self) -> int:
        forms = len(CONVOLUTIONS) * len(KERNELS) * len(EXCITATIONS) * len(WIDTHS)
        # Each number of layers with every skip, a single layer without the identity.
        return math.prod(
            forms * ((2 if layers == 1 else 3) * len(SKIPS) - (layers <= 2))
            for _, layers, _ in self.stages
        )

    def canonical(self, candidates: np.ndarray) -> np.ndarray:
        array = np.array(candidates, np.int32)
        flat = array.reshape(-1, array.shape[-1] // len(_OPTIONS), len(_OPTIONS))
        layers = np.array([layers for _, layers, _ in self.stages])[: flat.shape[1]]
        single = layers + np.array([0, 1, -1])[flat[..., _DEPTH]] == 1
        identity = flat[..., _SKIP] == SKIPS.index("identity")
        flat[..., _SKIP][single & identity] = SKIPS.index("none")
        return flat.reshape(array.shape)

    def decode(self, candidate: np.ndarray) -> Genotype:
        cells: dict[str, Cell] = {}
        blocks = []
        rows = self.complete(candidate).reshape(len(self.stages), -1).tolist()
        for row, (channels, layers, stride) in zip(rows, self._stages, strict=True):
            convolution, kernel, excitation, skip, width, depth = row
            form = CONVOLUTIONS[convolution], KERNELS[kernel], excitation
            for layer in range(layers + int(DEPTHS[depth])):
                around = SKIPS[skip]
                if around == "identity" and layer == 0:
                    around = "none"
                cell = _layer(*form, around)
                cells[cell.name] = cell
                stride_here = 1 if layer else stride
                blocks.append(Block(cell.name, self._width(channels, width), stride_here))
        return Genotype(
            name=self.name,
            family="residual",
            stem=self.stem,
            cells=tuple(cells.values()),
            blocks=tuple(blocks),
            head=self.head,
            stem_form="small" if self.small else "strided",
        )

    def encode(self, genotype: Genotype) -> np.ndarray:
        unlike = SpaceError(
            f"{genotype.name} is no network of {self.name} with {len(self.stages)} blocks"
        )
        groups: list[list[Block]] = []
        for block in genotype.blocks:
            if not groups or block.stride == 2 or block.channels != groups[-1][0].channels:
                groups.append([])
            groups[-1].append(block)
        if len(groups) != len(self.stages):
            raise unlike
        rows = []
        for group, (channels, layers, _) in zip(groups, self.stages, strict=True):
            # The last layer says what goes around those that keep the shape.
            words = group[-1].cell.split("_")
            width = [self._width(channels, place) for place in range(len(WIDTHS))]
            depth = [layers + int(each) for each in DEPTHS]
            if len(words) != 4 or group[0].channels not in width or len(group) not in depth:
                raise unlike
            rows.append([*words, width.index(group[0].channels), depth.index(len(group))])
        known = [CONVOLUTIONS, [f"k{kernel}" for kernel in KERNELS], EXCITATIONS, SKIPS]
        for row in rows:
            for place, names in enumerate(known):
                if row[place] not in names:
                    raise unlike
                row[place] = names.index(row[place])
        candidate = np.array(rows, np.int32).ravel()
        if (candidate >= self.options).any():
            raise unlike
        if self.decode(candidate) != dataclasses.replace(genotype, name=self.name):
            raise unlike
        return candidate

    @property
    def _stages(self) -> list[tuple[int, int, int]]:
        """The stages with the strides that networks have."""
        strides = [stride for _, _, stride in self.stages]
        if self.small and 2 in strides:
            strides[strides.index(2)] = 1
        return [(*stage[:2], stride) for stage, stride in zip(self.stages, strides, strict=True)]

    @staticmethod
    def _width(channels: int, place: int) -> int:
        return channels * (3 + place) // 4


def _layer(convolution: str, kernel: int, excitation: int, around: str) -> Cell:
    """The cell of a layer; `around` is one of `SKIPS`. Its name has all four in it."""
    if convolution == "conv":
        ops = [f"conv_{kernel}x{kernel}"] + ["squeeze_excite_4"] * excitation
        chain = tuple(Edge(op, index, index + 1) for index, op in enumerate(ops))
        cell = Cell(convolution, 1, (Node(relu=True),) * len(ops), chain, (len(ops),))
    else:
        expansion = 1 if convolution == "dconv" else int(convolution[-1])
        cell = inverted_cell(kernel, expansion, excitation == 1, False)
    edges = list(cell.edges)
    if around != "none":
        op = SKIP if around == "identity" else "avg_pool_3x3"
        edges.insert(-1, Edge(op, 0, len(cell.nodes)))
    name = f"{convolution}_k{kernel}_{EXCITATIONS[excitation]}_{around}"
    return dataclasses.replace(cell, name=name, edges=tuple(edges))

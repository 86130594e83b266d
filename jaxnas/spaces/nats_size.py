"""NATS-Bench's space of sizes (Dong et al. 2021): how wide the five layers of one network are."""

from __future__ import annotations

import dataclasses

import numpy as np

from jaxnas.spaces.genotype import Block, Genotype
from jaxnas.spaces.nasbench201 import NASBench201Space
from jaxnas.spaces.space import Decision, Space, SpaceError

_LAYERS = 5
_CELL = (
    "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+"
    "|skip_connect~0|nor_conv_3x3~1|nor_conv_3x3~2|"
)


@dataclasses.dataclass(frozen=True)
class NATSSizeSpace(Space):
    """The 32,768 networks of the size search space.

    A cell of NAS-Bench-201, a residual block that halves the image, a cell, another such block and
    a cell; the stem is as wide as the first. Where a cell has other channels than its input, its
    identity is a 1x1 convolution.

    Attributes:
      widths: the options of every layer, its channels.
    """

    widths: tuple[int, ...] = tuple(range(8, 65, 8))

    @property
    def name(self) -> str:
        return "nats_size"

    @property
    def decisions(self) -> tuple[Decision, ...]:
        names = tuple(map(str, self.widths))
        return tuple(
            Decision(f"channels of layer {layer}", names, "channels") for layer in range(_LAYERS)
        )

    @property
    def levels(self) -> tuple[int, ...]:
        """A step decides a layer."""
        return tuple(range(1, _LAYERS + 1))

    def decode(self, candidate: np.ndarray) -> Genotype:
        widths = self.channels(self.complete(candidate)).tolist()
        topology = NASBench201Space()
        plain = topology.decode(topology.from_arch_string(_CELL))
        normal, reduction = plain.cells
        edges = tuple(
            # Between equal widths too, which the space of topologies has not.
            dataclasses.replace(edge, op="avg_pool_conv_2x2") if edge.op == "avg_pool_2x2" else edge
            for edge in reduction.edges
        )
        return dataclasses.replace(
            plain,
            name=f"{self.name}_{'_'.join(map(str, widths))}",
            stem=widths[0],
            cells=(normal, dataclasses.replace(reduction, edges=edges)),
            blocks=tuple(
                Block("reduction", width, 2) if layer % 2 else Block("normal", width)
                for layer, width in enumerate(widths)
            ),
        )

    def encode(self, genotype: Genotype) -> np.ndarray:
        found = [block.channels for block in genotype.blocks]
        if len(found) == _LAYERS and set(found) <= set(self.widths):
            candidate = np.array([self.widths.index(width) for width in found], np.int32)
            if dataclasses.replace(self.decode(candidate), name=genotype.name) == genotype:
                return candidate
        raise SpaceError(f"genotype {genotype.name!r} is no network of {self.name}")

    def channels(self, candidates: np.ndarray) -> np.ndarray:
        """int64 [..., 5]: the channels of the layers of `candidates`, int [..., 5]."""
        return np.array(self.widths)[self._all_complete(candidates)]

    def arch_string(self, candidate: np.ndarray) -> str:
        """The benchmark's string, such as ``8:16:24:32:64``."""
        return ":".join(map(str, self.channels(self.complete(candidate))))

    def from_arch_string(self, text: str) -> np.ndarray:
        """int32 [5]: the candidate of the benchmark's string.

        Raises:
          SpaceError: if it is none.
        """
        known = {str(width): place for place, width in enumerate(self.widths)}
        parts = text.split(":")
        if len(parts) != _LAYERS or not set(parts) <= set(known):
            raise SpaceError(
                f"{text!r} is no string of {self.name}: five of {', '.join(known)} with colons "
                "between them are its form"
            )
        return np.array([known[part] for part in parts], np.int32)

    def parameters(self, candidates: np.ndarray, classes: int) -> np.ndarray:
        """int64 [...]: number of parameters of the networks of `candidates`, int [..., 5]."""
        weights, norms, _ = self._counts(candidates, 1)
        return weights + norms + (self.channels(candidates)[..., -1] + 1) * classes

    def flops(self, candidates: np.ndarray, classes: int, side: int = 32) -> np.ndarray:
        """int64 [...]: what the benchmark calls FLOPs of images of that side.

        These are multiply-adds and the additions of the classifier's bias.
        """
        *_, products = self._counts(candidates, side)
        return products + (self.channels(candidates)[..., -1] + 1) * classes

    def _counts(self, candidates: np.ndarray, side: int) -> tuple[np.ndarray, ...]:
        """Numbers of convolutions' weights and of batch norms', and multiply-adds; int64 [...]."""
        widths = self.channels(candidates)
        before = widths[..., 0]
        weights, norms = 27 * before, 2 * (before + widths[..., -1])
        products = weights * side**2
        for layer in range(_LAYERS):
            width = widths[..., layer]
            across, along = before * width, width**2
            if layer % 2:
                side = -(-side // 2)
                added, norms = 9 * across + 9 * along + across, norms + 4 * width
            else:
                widened = before != width
                added = 2 * 9 * across + 3 * 9 * along + widened * across
                norms = norms + (5 + widened) * 2 * width
            weights, products = weights + added, products + added * side**2
            before = width
        return weights, norms, products

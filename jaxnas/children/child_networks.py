"""The networks of a search's children: one for all, or one for each."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, Protocol

import jax
import numpy as np

from jaxnas import nn
from jaxnas.spaces import Genotype, Space, SpaceError
from jaxnas.spaces.block_cells import BlockCellSpace


class Networks(Protocol):
    """The networks of candidates, int [decisions]."""

    def genotype(self, candidate: np.ndarray) -> Genotype:
        """The network that a candidate is trained as.

        Raises:
          SpaceError: if it is no candidate.
        """
        ...

    def network(self, candidate: np.ndarray, outputs: int, dtype: Any) -> Any:
        """The Flax module that is trained; candidates of equal ones are trained by one program.

        Raises:
          SpaceError: if it is no candidate.
        """
        ...

    def variables(
        self, network: Any, key: jax.Array, input_shape: tuple[int, ...], candidate: np.ndarray
    ) -> Any:
        """Initial variables: those that `nn.init` gives the network built from the genotype."""
        ...

    def choices(self, network: Any, candidate: np.ndarray) -> Any:
        """What the module is called with beside the images; None for nothing."""
        ...


@dataclasses.dataclass(frozen=True)
class CellNetworks:
    """One network for all block cells, which takes the genotype as an input (`nn.Child`).

    Cells of fewer blocks, which progressive search grows, have one of their own for each number.

    Attributes:
      space: of the cells.
    """

    space: BlockCellSpace

    def genotype(self, candidate: np.ndarray) -> Genotype:
        """See `Networks`."""
        return self.space.of_length(len(candidate)).decode(candidate)

    def network(self, candidate: np.ndarray, outputs: int, dtype: Any) -> nn.Child:
        """See `Networks`; the same for all of a number of blocks."""
        return nn.Child(self.space.of_length(len(candidate)), outputs, dtype)

    def variables(
        self, network: nn.Child, key: jax.Array, input_shape: tuple[int, ...], candidate: np.ndarray
    ) -> Any:
        """See `Networks`."""
        return nn.child_variables(network, key, input_shape, candidate)

    def choices(self, network: nn.Child, candidate: np.ndarray) -> Any:
        """See `Networks`."""
        return nn.child_choices(network, candidate)


@dataclasses.dataclass(frozen=True)
class BuiltNetworks:
    """A network for each candidate, of layers of any shape, compiled for itself.

    One program for all would compute the largest layers for each: see docs/nas.md.

    Attributes:
      spaces: of the candidates, no two with equally many decisions.
    """

    spaces: Sequence[Space]

    def genotype(self, candidate: np.ndarray) -> Genotype:
        """See `Networks`."""
        for space in self.spaces:
            if len(space.decisions) == len(candidate):
                return space.decode(candidate)
        counts = ", ".join(str(len(space.decisions)) for space in self.spaces)
        raise SpaceError(f"a candidate must have {counts} decisions, not {len(candidate)}")

    def network(self, candidate: np.ndarray, outputs: int, dtype: Any) -> nn.Network:
        """See `Networks`."""
        return nn.build(self.genotype(candidate), outputs, dtype)

    def variables(
        self,
        network: nn.Network,
        key: jax.Array,
        input_shape: tuple[int, ...],
        candidate: np.ndarray,
    ) -> Any:
        """See `Networks`."""
        return nn.init(network, key, input_shape)

    def choices(self, network: nn.Network, candidate: np.ndarray) -> None:
        """See `Networks`."""
        return None

"""What all search spaces are: a sequence of categorical decisions.

A candidate is an int32 vector, one number for each decision: the place of the chosen option. Every
searcher, predictor and table works on candidates, so none of them names a space.
"""

from __future__ import annotations

import abc
import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxnas.errors import UserError
from jaxnas.spaces.genotype import Genotype


class SpaceError(UserError, ValueError):
    """A candidate or genotype that is not in the space; the message says where."""


class Decision(NamedTuple):
    """One choice.

    Attributes:
      name: unique in the space, such as ``normal, block 2, left operation``.
      options: what there is to choose from, by name, at least one.
      kind: what sort of choice it is, such as ``operation``. Decisions of a kind have the same
        options, or the first of the same list, so that a predictor may share what it knows of them.
    """

    name: str
    options: tuple[str, ...]
    kind: str


class Space(abc.ABC):
    """A search space: decisions, and what candidates mean.

    `name` and `decisions` are enough to search one. Only networks need `encode` and `decode`.
    A partial candidate has decided the first `levels[i]` decisions; its length says how many.
    """

    @property
    @abc.abstractmethod
    def name(self) -> str:
        """What tables and files call it: lower case, without spaces."""

    @property
    @abc.abstractmethod
    def decisions(self) -> tuple[Decision, ...]:
        """What is decided, in the order in which a controller decides it."""

    def encode(self, genotype: Genotype) -> np.ndarray:
        """int32 [decisions]: a candidate that `decode` makes `genotype` of, but for its name.

        Raises:
          SpaceError: if it is no network of this space.
          NotImplementedError: if the space does not define it.
        """
        raise NotImplementedError(f"space {self.name} defines no encode, from a genotype")

    def decode(self, candidate: np.ndarray) -> Genotype:
        """The genotype of a complete candidate, int [decisions].

        Raises:
          SpaceError: see `validate`.
          NotImplementedError: if the space does not define it.
        """
        raise NotImplementedError(f"space {self.name} defines no decode, to a genotype")

    @property
    def unique_size(self) -> int:
        """The number of different canonical candidates, exactly.

        Raises:
          NotImplementedError: if the space defines `canonical` but not this.
        """
        if type(self).canonical is not Space.canonical:
            raise NotImplementedError(
                f"space {self.name} defines canonical: its unique_size is to be defined as well"
            )
        return self.size

    @property
    def levels(self) -> tuple[int, ...]:
        """How many decisions a candidate has after each step of growing; the last has all."""
        return (len(self.decisions),)

    def canonical(self, candidates: np.ndarray) -> np.ndarray:
        """One candidate for all that mean the same network.

        Args:
          candidates: int [..., decisions], or as many decisions as one of `levels`.

        Returns:
          int32 of the same shape; canonical ones come back as they are.
        """
        return np.asarray(candidates, np.int32)

    @property
    def options(self) -> np.ndarray:
        """int32 [decisions]: the number of options of each decision."""
        return np.array([len(each.options) for each in self.decisions], np.int32)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of a table of architecture parameters, which weighs all options at once.

        [decisions, options] by default; the last axis is the options.
        """
        return len(self.decisions), int(self.options.max())

    @property
    def possible(self) -> np.ndarray:
        """bool [*shape]: False where there is padding, and no such option."""
        return np.arange(self.shape[-1]) < self.options[:, None]

    @property
    def nothing(self) -> np.ndarray:
        """bool [*shape]: True at the options that leave something out, such as null or zero."""
        return np.zeros(self.shape, bool)

    def preferred(self, weights: np.ndarray) -> np.ndarray:
        """int32 [decisions]: the candidate that a table of weights, float [*shape], prefers.

        The option of largest weight of each decision by default.
        """
        return np.where(self.possible, weights, -np.inf).argmax(-1).astype(np.int32)

    @property
    def size(self) -> int:
        """The number of candidates, exactly."""
        product = 1
        for each in self.decisions:
            product *= len(each.options)
        return product

    def codes(self, candidates: Any) -> Any:
        """The place of each candidate in the order of `enumerate`; for small spaces.

        Args:
          candidates: int32 [..., decisions], of NumPy or JAX, traced or not.

        Returns:
          int32 [...].

        Raises:
          SpaceError: if the space has more candidates than int32 has numbers, they have another
            number of decisions, or those of NumPy are no options. Those of JAX may be traced, so
            that the last is not checked.
        """
        if self.size > np.iinfo(np.int32).max:
            raise SpaceError(f"{self.name} has {self.size} candidates, too many for codes of int32")
        if isinstance(candidates, (np.ndarray, list, tuple)):
            candidates = self._all_complete(candidates)
        elif candidates.shape[-1:] != (len(self.decisions),):
            raise self._other_shape(candidates.shape)
        places = np.cumprod([1, *self.options[:0:-1]])[::-1].astype(np.int32)
        return (candidates * places).sum(-1)

    def validate(self, candidate: np.ndarray) -> np.ndarray:
        """`candidate` as int32 [decisions], or [levels[i]] if it is partial.

        Raises:
          SpaceError: if it has another shape or no whole numbers, or a decision has no such option.
        """
        array = np.asarray(candidate)
        if array.ndim != 1 or len(array) not in self.levels or array.dtype.kind not in "iu":
            raise SpaceError(
                f"a candidate of {self.name} must be {len(self.decisions)} whole numbers; "
                f"got shape {array.shape} of {array.dtype}"
            )
        for number, decision in zip(array, self.decisions, strict=False):
            if not 0 <= number < len(decision.options):
                raise SpaceError(
                    f"{decision.name} has options 0 to {len(decision.options) - 1} "
                    f"({', '.join(decision.options)}), not {number}"
                )
        return array.astype(np.int32)

    def complete(self, candidate: np.ndarray) -> np.ndarray:
        """`candidate` as int32 [decisions].

        Raises:
          SpaceError: see `validate`; or if it is partial.
        """
        array = self.validate(candidate)
        if len(array) < len(self.decisions):
            raise SpaceError(
                f"the candidate of {self.name} is partial: it has decided {len(array)} of "
                f"{len(self.decisions)}"
            )
        return array

    def _all_complete(self, candidates: Any) -> np.ndarray:
        """`candidates` as int32 [..., decisions].

        Raises:
          SpaceError: see `codes`.
        """
        array = np.asarray(candidates)
        if array.shape[-1:] != (len(self.decisions),) or array.dtype.kind not in "iu":
            raise self._other_shape(array.shape, array.dtype)
        wrong = np.argwhere((array < 0) | (array >= self.options))
        if len(wrong):
            self.validate(array[tuple(wrong[0, :-1])])
        return array.astype(np.int32)

    def _parts(self, candidates: Any) -> np.ndarray:
        """`candidates` as whole numbers [..., levels[i]]; their options are not checked.

        Raises:
          SpaceError: if they have another number of decisions or are no whole numbers.
        """
        array = np.asarray(candidates)
        decided = array.shape[-1] if array.ndim else 0
        if decided not in self.levels or array.dtype.kind not in "iu":
            raise self._other_shape(array.shape, array.dtype, self.levels)
        return array

    def _other_shape(
        self,
        shape: tuple[int, ...],
        dtype: Any = "whole numbers",
        counts: Sequence[int] = (),
    ) -> SpaceError:
        """Says how many decisions there may be: `counts`, or without them all of the space."""
        *before, last = map(str, counts or (len(self.decisions),))
        said = f"{', '.join(before)} or {last}" if before else last
        return SpaceError(
            f"candidates of {self.name} must be whole numbers [..., {said}]; "
            f"got shape {shape} of {dtype}"
        )

    def grow(self, partial: np.ndarray | tuple[()] = ()) -> np.ndarray:
        """All canonical candidates one level further, in order and each once.

        Args:
          partial: int [levels[i]], or several [n, levels[i]], or nothing for those of the first
            level.

        Returns:
          int32 [m, levels[i + 1]]; what grows from several of them is there once.

        Raises:
          SpaceError: if `partial` is complete or not in the space.
        """
        starts = np.atleast_2d(np.asarray(partial, np.int32 if not len(partial) else None))
        length = starts.shape[1]
        if length:
            self.validate(starts[0])
            outside = np.argwhere((starts < 0) | (starts >= self.options[:length]))
            if len(outside):
                self.validate(starts[outside[0, 0]])
        following = [level for level in self.levels if level > length]
        if not following:
            raise SpaceError(f"the candidate of {self.name} is complete: it cannot grow")
        added = self.options[length : following[0]]
        ends = np.indices(tuple(added.tolist())).reshape(len(added), -1).T
        grown = np.concatenate(
            [np.repeat(starts, len(ends), 0), np.tile(ends, (len(starts), 1))], 1
        )
        grown = self.canonical(grown)
        options = self.options[: following[0]].tolist()
        if math.prod(options) >= 1 << 63:
            return np.unique(grown, axis=0)
        # By their numbers in the order of `enumerate`, which sort several times as fast as rows.
        numbers = np.ravel_multi_index(tuple(grown.T), options)
        return grown[np.unique(numbers, return_index=True)[1]]

    def enumerate(self) -> Iterator[tuple[int, ...]]:
        """All candidates in order; for small spaces."""
        return itertools.product(*(range(len(each.options)) for each in self.decisions))

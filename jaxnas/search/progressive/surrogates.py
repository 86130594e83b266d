"""Surrogates of progressive search (Liu et al. 2018, PNAS): a cell's accuracy from its decisions.

They read cells of any number of blocks, so that what was trained on b blocks ranks those of b + 1:

    surrogate = mlp_surrogate(space, members=5)
    state = surrogate.init(jax.random.key(0))
    state = surrogate.fit(state, cells, accuracies, known)
    expected = surrogate.predict(state, more_cells)

Cells are int32 [n, decisions], -1 for what is not decided yet; accuracies are fractions, 0 to 1. A
block is what one step of growing decides (`Space.levels`). Decisions of a kind share their
embeddings. Several members make an ensemble: each leaves out a part of the data of its own, the
mean of all is what is expected, and they are trained as one program.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxnas.errors import SettingsError
from jaxnas.search.blackbox.candidates import options_of
from jaxnas.search.blackbox.controller import lstm_step, uniform
from jaxnas.spaces import Space

UNDECIDED = -1
"""In a cell: not decided yet."""

_TOGETHER = 4096
"""Cells that are looked at together."""


def pad_cells(space: Space, cells: np.ndarray, rows: int) -> np.ndarray:
    """Partial candidates as surrogates take them: int32 [rows, decisions], -1 for the rest.

    Args:
      space: of the cells.
      cells: int [n, levels[i]].
      rows: at least n; a number that stays the same spares compiling anew.
    """
    padded = np.full((rows, len(space.decisions)), UNDECIDED, np.int32)
    padded[: len(cells), : cells.shape[1]] = cells
    return padded


def known_data(
    space: Space, cells: np.ndarray, accuracies: np.ndarray, rows: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What `Surrogate.fit` takes beside its state, of `rows` rows; see `pad_cells`.

    Args:
      space: of the cells.
      cells: int [n, levels[i]].
      accuracies: float [n].
      rows: at least n.
    """
    filled = np.zeros(rows, np.float32)
    filled[: len(cells)] = accuracies
    return pad_cells(space, cells, rows), filled, np.arange(rows) < len(cells)


class SurrogateState(NamedTuple):
    """What a surrogate has learnt.

    Attributes:
      key: typed.
      fits: int32, how often it was fitted.
      params: of all members, float32 leaves [members, ...].
    """

    key: jax.Array
    fits: jax.Array
    params: Any


class Surrogate(NamedTuple):
    """Pure functions of a state, which can be jitted.

    Attributes:
      init: typed key to state.
      fit: (state, cells int32 [n, decisions], accuracies float32 [n], known bool [n]) to state;
        rows that are not known make no difference.
      predict: (state, cells int32 [n, decisions]) to float32 [n], 0 to 1.
    """

    init: Callable[[jax.Array], SurrogateState]
    fit: Callable[[SurrogateState, jax.Array, jax.Array, jax.Array], SurrogateState]
    predict: Callable[[SurrogateState, jax.Array], jax.Array]


class MlpParams(NamedTuple):
    """Parameters of one member of an `mlp_surrogate`, of `units` U.

    Attributes:
      embeddings: of each kind of decision, float32 [options, U].
      hidden: float32 [slots, U, U], from the embeddings of a block's decisions.
      hidden_bias: float32 [U].
      second: float32 [U, U].
      second_bias: float32 [U].
      output: float32 [U].
      output_bias: float32, scalar.
    """

    embeddings: dict[str, jax.Array]
    hidden: jax.Array
    hidden_bias: jax.Array
    second: jax.Array
    second_bias: jax.Array
    output: jax.Array
    output_bias: jax.Array


class LstmSurrogateParams(NamedTuple):
    """Parameters of one member of an `lstm_surrogate`, of `units` U.

    Attributes:
      embeddings: of each kind of decision, float32 [options, U].
      kernel: float32 [2U, 4U], of an embedding and the state before.
      bias: float32 [4U].
      output: float32 [U].
      output_bias: float32, scalar.
    """

    embeddings: dict[str, jax.Array]
    kernel: jax.Array
    bias: jax.Array
    output: jax.Array
    output_bias: jax.Array


def mlp_surrogate(
    space: Space,
    *,
    members: int = 5,
    units: int = 100,
    steps: int = 300,
    first_rate: float = 0.01,
    later_rate: float = 0.002,
    output_bias: float = 1.8,
) -> Surrogate:
    """Embeds a block's decisions, takes the mean over blocks, and two layers of ReLU on it.

    Embeddings and layers have 100 units, the first fit is at a rate of 0.01, later ones at 0.002,
    the output starts at sigmoid(1.8) = 0.86 and the loss is L1, as the paper is remembered; its
    text was not at hand. How many steps a fit takes is not known, nor how layers start: here from
    U(-1, 1) / sqrt(inputs).

    Args:
      space: whose cells it judges.
      members: of the ensemble; 1 for a single network, which leaves nothing out.
      units: of an embedding and of a layer.
      steps: of Adam in a fit, each on all known cells.
      first_rate: learning rate of the first fit.
      later_rate: of the fits after it.
      output_bias: at the start.

    Raises:
      TypeError: if `space` is none.
      SettingsError: if `members`, `units` or `steps` is not positive, or decisions of a kind have
        options that are not the first of one list.
    """
    check_sizes(members, units, steps)
    tokens = Tokens(space)
    # A block's slots differ in what they mean, so that each has a layer of its own.
    slots = max(slot for slot, _ in tokens.places) + 1

    def init(key: jax.Array) -> MlpParams:
        shapes = MlpParams(
            tokens.embeddings(units),
            hidden=jnp.zeros((slots, units, units)),
            hidden_bias=jnp.zeros(units),
            second=jnp.zeros((units, units)),
            second_bias=jnp.zeros(units),
            output=jnp.zeros(units),
            output_bias=jnp.float32(output_bias),
        )
        drawn = uniform(key, shapes, 1.0)
        return shapes._replace(
            embeddings=jax.tree.map(lambda leaf: 0.1 * leaf, drawn.embeddings),
            hidden=drawn.hidden / np.sqrt(slots * units),
            second=drawn.second / np.sqrt(units),
            output=drawn.output / np.sqrt(units),
        )

    def logits(params: MlpParams, counts: jax.Array) -> jax.Array:
        # The mean over blocks and the first layer are linear, and so is the reading of an
        # embedding: each option's share of the first layer is worked out once, for all cells.
        first = jnp.concatenate(
            [params.embeddings[kind] @ params.hidden[slot] for slot, kind in tokens.places]
        )
        hidden = jax.nn.relu(counts @ first + params.hidden_bias)
        hidden = jax.nn.relu(hidden @ params.second + params.second_bias)
        return hidden @ params.output + params.output_bias

    return ensemble(init, logits, tokens.counts, members, steps, (first_rate, later_rate))


def lstm_surrogate(
    space: Space,
    *,
    members: int = 5,
    units: int = 100,
    steps: int = 300,
    first_rate: float = 0.01,
    later_rate: float = 0.002,
    output_bias: float = 1.8,
) -> Surrogate:
    """Reads the decisions one after the other; its last state says the accuracy.

    It has 100 units, embeddings started from U(-0.1, 0.1) and the rest as in `mlp_surrogate`, whose
    arguments, errors and source it has. The recurrence starts from U(-0.1, 0.1) too, which is this
    project's choice.
    """
    check_sizes(members, units, steps)
    tokens = Tokens(space)
    kinds, offsets = tokens.tables()

    def init(key: jax.Array) -> LstmSurrogateParams:
        shapes = LstmSurrogateParams(
            tokens.embeddings(units),
            kernel=jnp.zeros((2 * units, 4 * units)),
            bias=jnp.zeros(4 * units),
            output=jnp.zeros(units),
            output_bias=jnp.zeros(()),
        )
        return uniform(key, shapes, 0.1)._replace(output_bias=jnp.float32(output_bias))

    def logits(params: LstmSurrogateParams, cells: jax.Array) -> jax.Array:
        # What an option adds to the gates is worked out once, for all cells.
        fed = jnp.concatenate([params.embeddings[kind] @ params.kernel[:units] for kind in kinds])

        def read(state: Any, chosen: tuple[jax.Array, jax.Array]) -> tuple[Any, None]:
            row, decided = chosen
            gates = fed[row] + state[0] @ params.kernel[units:] + params.bias
            after = lstm_step(gates, state[1])
            kept = [
                jnp.where(decided[:, None], new, old) for new, old in zip(after, state, strict=True)
            ]
            return tuple(kept), None

        start = jnp.zeros((len(cells), units)), jnp.zeros((len(cells), units))
        rows = jnp.maximum(cells, 0) + offsets
        (hidden, _), _ = jax.lax.scan(read, start, (rows.T, (cells >= 0).T))
        return hidden @ params.output + params.output_bias

    return ensemble(init, logits, lambda cells: cells, members, steps, (first_rate, later_rate))


class Tokens:
    """What the decisions of a space's cells are called in a surrogate.

    Attributes:
      kinds: of each decision.
      places: (slot in its block, kind), each once.
    """

    def __init__(self, space: Space) -> None:
        options_of(space)  # a TypeError where it is none
        starts = (0, *space.levels[:-1])
        self.kinds = [decision.kind for decision in space.decisions]
        slots = [
            slot
            for start, end in zip(starts, space.levels, strict=True)
            for slot in range(end - start)
        ]
        at = list(zip(slots, self.kinds, strict=True))
        self.places = list(dict.fromkeys(at))
        self._options: dict[str, tuple[str, ...]] = {}
        for decision in space.decisions:
            known = self._options.get(decision.kind, ())
            short, long = sorted((known, decision.options), key=len)
            if long[: len(short)] != short:
                raise SettingsError(
                    f"decisions of the kind {decision.kind!r} of {space.name} have the options "
                    f"{known} and {decision.options}: they must be the first of one list; give "
                    "decisions that mean something else another kind"
                )
            self._options[decision.kind] = long
        sizes = {place: len(self._options[place[1]]) for place in self.places}
        self._offsets = _offsets(sizes, at)
        self._width = sum(sizes.values())
        self._ends = np.array(space.levels) - 1

    def embeddings(self, units: int) -> dict[str, jax.Array]:
        """Zeros in the shape of a table for each kind."""
        return {kind: jnp.zeros((len(each), units)) for kind, each in self._options.items()}

    def tables(self) -> tuple[list[str], np.ndarray]:
        """The kinds, and where the table of each decision's starts if all stand in that order."""
        sizes = {kind: len(each) for kind, each in self._options.items()}
        return list(sizes), _offsets(sizes, self.kinds)

    def counts(self, cells: jax.Array) -> jax.Array:
        """float32 [n, options of all places]: the share of a cell's blocks that chose each."""
        chosen = jnp.where(cells >= 0, cells + self._offsets, UNDECIDED)
        blocks = jnp.maximum((cells[:, self._ends] >= 0).sum(1, keepdims=True), 1)
        return (chosen[:, :, None] == jnp.arange(self._width)).sum(1) / blocks


def _offsets(sizes: Mapping[Any, int], names: Sequence[Any]) -> np.ndarray:
    """int32 [names]: where each starts when all of these sizes stand one after the other."""
    starts = dict(zip(sizes, itertools.accumulate(sizes.values(), initial=0), strict=False))
    return np.array([starts[name] for name in names], np.int32)


def check_sizes(members: int, units: int, steps: int) -> None:
    if min(members, units, steps) < 1:
        raise SettingsError(
            f"members, units and steps must be positive; got {members}, {units} and {steps}"
        )


def ensemble(
    init: Callable[[jax.Array], Any],
    logits: Callable[[Any, jax.Array], jax.Array],
    features: Callable[[jax.Array], jax.Array],
    members: int,
    steps: int,
    rates: tuple[float, float],
) -> Surrogate:
    """A surrogate of these members.

    Args:
      init: typed key to the parameters of one.
      logits: (parameters of one, features of n cells) to float32 [n].
      features: of cells, the same for all members.
      members: how many.
      steps: of a fit.
      rates: of the first fit and of later ones.
    """
    optimizer = optax.scale_by_adam()

    def start(key: jax.Array) -> SurrogateState:
        key, params = jax.random.split(key)
        return SurrogateState(key, jnp.int32(0), jax.vmap(init)(jax.random.split(params, members)))

    def fit(
        state: SurrogateState, cells: jax.Array, accuracies: jax.Array, known: jax.Array
    ) -> SurrogateState:
        key = jax.random.fold_in(state.key, state.fits)
        order = jnp.where(known, jax.random.uniform(key, known.shape), jnp.inf)
        part = order.argsort().argsort() % members
        read = features(cells)
        rate = jnp.where(state.fits == 0, *rates)

        def of_member(member: jax.Array, params: Any) -> Any:
            used = known & ((part != member) | (members == 1) | (known.sum() < members))

            def loss(params: Any) -> jax.Array:
                error = jnp.abs(jax.nn.sigmoid(logits(params, read)) - accuracies)
                return jnp.where(used, error, 0.0).sum() / jnp.maximum(used.sum(), 1)

            def step(carry: Any, _: None) -> tuple[Any, None]:
                params, opt_state = carry
                updates, opt_state = optimizer.update(jax.grad(loss)(params), opt_state)
                updates = jax.tree.map(lambda leaf: -rate * leaf, updates)
                return (optax.apply_updates(params, updates), opt_state), None

            return jax.lax.scan(step, (params, optimizer.init(params)), length=steps)[0][0]

        params = jax.vmap(of_member)(jnp.arange(members), state.params)
        return SurrogateState(state.key, state.fits + 1, params)

    def predict(state: SurrogateState, cells: jax.Array) -> jax.Array:
        def expected(cells: jax.Array) -> jax.Array:
            each = jax.vmap(logits, (0, None))(state.params, features(cells))
            return jax.nn.sigmoid(each).mean(0)

        count = len(cells)
        together = min(_TOGETHER, count)
        chunks = -(-count // together)
        padded = jnp.pad(cells, ((0, chunks * together - count), (0, 0)))
        parts = padded.reshape(chunks, together, -1)
        return jax.lax.map(expected, parts).reshape(-1)[:count]

    return Surrogate(start, fit, predict)

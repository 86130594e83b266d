"""Small problems whose right architecture is known, for every estimator that is offered.

Every edge adds to an output of its own, so that what is right for it is known by itself:

* ``noise``: its operation gives fresh noise, and nothing is asked for: none is right, the identity
  would be as wrong as the noise.
* ``copy``: its input is asked for, and its operation gives the opposite: id is right.
* ``learn``: something is asked for that only its operation, with a weight to be learnt, can give,
  and that has nothing to do with its input: same is right.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxnas.search import ESTIMATORS, Supernet, adaptation, initial_theta
from jaxnas.spaces import AdaptationSpace, Block, Cell, Edge, Genotype, Node
from jaxnas.spaces.adaptation import ID, NONE, SAME
from jaxnas.tasks import Task

SEEDS, STEPS, WARMUP, BATCH, WIDTH = 10, 500, 50, 16, 4
RIGHT = {"noise": NONE, "copy": ID, "learn": SAME}


def cell(name: str, edges: int) -> Cell:
    parallel = tuple(Edge("conv_3x3", 0, 1) for _ in range(edges))
    return Cell(name, inputs=1, nodes=(Node(),), edges=parallel, output=(1,))


BASE = Genotype(
    "toy",
    "residual",
    4,
    (cell("normal", 3), cell("reduction", 2)),
    (Block("normal", 4), Block("reduction", 4, 2), Block("normal", 4)),
)
KINDS = {
    # Blocks of a kind agree where they share a table, and differ where they do not.
    "cell": (("noise", "copy", "learn"), ("copy", "noise"), ("noise", "copy", "learn")),
    "full": (("noise", "copy", "learn"), ("learn", "noise"), ("learn", "learn", "copy")),
}


def is_kind(granularity: str, kind: str) -> np.ndarray:
    """float32 [blocks, edges]: 1 where an edge is of that kind."""
    out = np.zeros((3, 3), np.float32)
    for block, row in enumerate(KINDS[granularity]):
        out[block, : len(row)] = [each == kind for each in row]
    return out


def right_choices(space: AdaptationSpace) -> np.ndarray:
    choices = np.zeros(space.shape[:2], np.int32)
    for block, table in enumerate(space.table_of_block):
        row = KINDS[space.granularity][block]
        choices[table, : len(row)] = [RIGHT[each] for each in row]
    return choices


def toy_apply(granularity: str):
    noise, copy, learn = (is_kind(granularity, kind) for kind in ("noise", "copy", "learn"))

    def apply(variables, inputs, gates, train, drop=None):
        x, unrelated, fresh = inputs  # each [batch, blocks, edges, width]
        weight = variables["params"]["weight"][..., None]
        same = (
            noise[..., None] * fresh - copy[..., None] * x + learn[..., None] * weight * unrelated
        )
        out = gates[..., ID, None] * x + gates[..., SAME, None] * same
        return out, variables["batch_stats"]

    return apply


def toy_supernet(space: AdaptationSpace, apply, weight) -> Supernet:
    """A supernet whose only parameter is the one that `weight` makes of a key."""

    def init(key):
        return {"params": {"weight": weight(key)}, "batch_stats": {}}

    return Supernet(apply, init, lambda gates: gates[space.table_of_block], space.derive)


def drawn_weight(key: jax.Array) -> jax.Array:
    return 0.5 + 0.1 * jax.random.normal(key, (3, 3))


def toy_task(granularity: str) -> Task:
    copy, learn = (is_kind(granularity, kind)[..., None] for kind in ("copy", "learn"))
    used = sum(is_kind(granularity, kind) for kind in RIGHT)[..., None]

    def prepare(key, images, labels):
        x, unrelated, fresh = jax.random.normal(key, (3, BATCH, 3, 3, WIDTH))
        return (x, unrelated, fresh), copy * x + learn * unrelated

    def loss(outputs, targets):
        return (used * jnp.square(outputs - targets)).sum((1, 2)).mean()

    return Task(prepare, prepare, lambda images: images, loss, lambda outputs, labels: {}, WIDTH)


# Each compiles a whole search.
QUICK = {("mixed", "cell"), ("raw", "full")}


@pytest.mark.quick_cases(1)
@pytest.mark.parametrize(
    ("estimator", "granularity", "arch_data"),
    [
        pytest.param(
            estimator,
            granularity,
            arch_data,
            marks=() if (estimator, granularity) in QUICK else pytest.mark.slow,
        )
        for estimator in ESTIMATORS
        for granularity, arch_data in (("cell", "train"), ("full", "holdout"))
    ],
)
def test_the_right_architecture_is_found_from_every_seed(estimator, granularity, arch_data):
    space = AdaptationSpace(BASE, granularity)
    search = adaptation(
        toy_supernet(space, toy_apply(granularity), drawn_weight),
        space,
        toy_task(granularity),
        optax.sgd(0.02),
        estimator=estimator,
        arch_learning_rate=0.02,
        warmup_steps=WARMUP,
        arch_data=arch_data,
    )
    nothing = jnp.zeros((BATCH,)), jnp.zeros((BATCH,))  # `prepare` draws the batch from its key
    batch = {"train": nothing} | ({"arch": nothing} if arch_data == "holdout" else {})

    def run(key):
        state = search.init(key)
        return jax.lax.scan(lambda s, _: search.step(s, batch, key), state, length=STEPS)[0]

    keys = jax.vmap(jax.random.key)(jnp.arange(SEEDS))
    states = jax.jit(jax.vmap(run))(keys)
    expected = right_choices(space)
    start = np.asarray(initial_theta(space))
    assert (space.derive(start).choices != expected).any(), "the base is not the answer already"
    for seed in range(SEEDS):
        derived = search.derive(states.theta[seed])
        np.testing.assert_array_equal(derived.choices, expected, err_msg=f"seed {seed}")
        assert not derived.repaired


@pytest.mark.parametrize("estimator", ["raw", pytest.param("mixed", marks=pytest.mark.slow)])
def test_a_base_that_is_right_stays(estimator):
    space = AdaptationSpace(BASE, "cell")
    everything = np.asarray(space.valid[space.table_of_block], np.float32)[..., None]

    def apply(variables, inputs, gates, train, drop=None):
        x, unrelated = inputs
        weight = variables["params"]["weight"][..., None]
        out = gates[..., ID, None] * x + gates[..., SAME, None] * weight * unrelated
        return out, variables["batch_stats"]

    def prepare(key, images, labels):
        x, unrelated = jax.random.normal(key, (2, BATCH, 3, 3, WIDTH))
        return (x, unrelated), unrelated

    def loss(outputs, targets):
        return (everything * jnp.square(outputs - targets)).sum((1, 2)).mean()

    task = Task(prepare, prepare, lambda images: images, loss, lambda outputs, labels: {}, WIDTH)
    search = adaptation(
        toy_supernet(space, apply, lambda key: jnp.full((3, 3), 0.5)),
        space,
        task,
        optax.sgd(0.02),
        estimator=estimator,
        arch_learning_rate=0.02,
    )
    batch = {"train": (jnp.zeros((BATCH,)), jnp.zeros((BATCH,)))}

    def run(key):
        state = search.init(key)
        return jax.lax.scan(lambda s, _: search.step(s, batch, key), state, length=STEPS)[0]

    states = jax.jit(jax.vmap(run))(jax.vmap(jax.random.key)(jnp.arange(SEEDS)))
    assert (states.theta != initial_theta(space)).any(), "θ moved"
    for seed in range(SEEDS):
        assert search.derive(states.theta[seed]).genotype == BASE

"""The joint phase: what moves θ and when, and that it finds the answers that are known."""

from __future__ import annotations

import functools
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxnas import nn, training
from jaxnas.data import Augmentation
from jaxnas.search import (
    ESTIMATORS,
    Adaptation,
    AdaptationState,
    Supernet,
    adaptation,
    initial_theta,
)
from jaxnas.search.shared.costs import expected_cost
from jaxnas.spaces import AdaptationSpace, Block, Cell, Edge, Genotype, Node
from jaxnas.tasks import supervised

from . import known_answers as toy

pytestmark = pytest.mark.oldest

ARCH_DATA = ("train", "holdout")
GRANULARITIES = ("cell", "full")
CELL, FULL = (AdaptationSpace(toy.BASE, granularity) for granularity in GRANULARITIES)
SGD = {"arch_optimizer": "sgd", "arch_learning_rate": 1.0, "warmup_steps": 0}


def start(search: Adaptation, seed: int = 0) -> AdaptationState:
    return search.init(jax.tree.map(jnp.asarray, toy.problem(seed, steps=1).variables))


@functools.cache
def data(steps: int = 12) -> Any:
    problem = toy.problem(0, parts=2, steps=steps)
    return jax.tree.map(jnp.asarray, (problem.inputs, problem.targets))


def batch(step: int, *, train: int = 0, arch: int = 1) -> dict[str, Any]:
    """The batch of a step; `train` and `arch` say which half of the data each part takes."""
    return {
        name: jax.tree.map(lambda array, half=half: array[step, half], data())
        for name, half in (("train", train), ("arch", arch))
    }


KEY = jax.random.key(0)


@pytest.mark.quick_cases(1)
@pytest.mark.parametrize(
    ("estimator", "arch_data"),
    [
        ("mixed", "train"),
        ("raw", "holdout"),
        pytest.param("mixed", "holdout", marks=pytest.mark.slow),
        pytest.param("raw", "train", marks=pytest.mark.slow),
    ],
)
def test_theta_moves_after_the_warm_up_in_every_so_manieth_step(estimator: str, arch_data: str):
    search = toy.toy_adaptation(
        "cell", estimator=estimator, arch_data=arch_data, warmup_steps=4, arch_every=3
    )
    step = jax.jit(search.step)
    state = start(search)
    np.testing.assert_array_equal(state.theta, initial_theta(CELL))
    moved = []
    for index in range(12):
        before = state
        state, metrics = step(state, batch(index), KEY)
        assert state.step == index + 1
        assert np.isfinite(metrics["loss"])
        assert (state.variables["params"] != before.variables["params"]).any()
        same_theta = (state.theta == before.theta).all()
        same_memory = jax.tree.all(
            jax.tree.map(
                lambda new, old: (new == old).all(), state.theta_opt_state, before.theta_opt_state
            )
        )
        assert same_theta == same_memory
        if not same_theta:
            moved.append(index)
        np.testing.assert_array_equal(state.theta[~CELL.valid], initial_theta(CELL)[~CELL.valid])
    assert moved == [4, 7, 10]
    assert step._cache_size() == 1, "compiled once for all steps"


@pytest.mark.quick_cases(1)
@pytest.mark.parametrize("granularity", GRANULARITIES)
def test_gradients_come_from_the_parts_of_the_batch_they_should(granularity: str):
    """Against gradients of the loss written out, for both sources of θ's gradient."""
    space = {"cell": CELL, "full": FULL}[granularity]
    apply = toy.toy_apply(granularity)

    def loss(params: Any, theta: jax.Array, part: Any) -> jax.Array:
        variables = {"params": params, "batch_stats": {"mean": jnp.zeros(2 * toy.K)}}
        gates = jax.nn.softmax(theta)[space.table_of_block]
        outputs, _ = apply(variables, part[0], gates, True)
        return toy.TASK.loss(outputs, part[1])

    gradients = jax.jit(jax.value_and_grad(loss, (0, 1)))
    for arch_data in ARCH_DATA:
        search = toy.toy_adaptation(granularity, estimator="mixed", arch_data=arch_data, **SGD)
        step = jax.jit(search.step)
        state = start(search)
        after, metrics = step(state, batch(0), KEY)

        def expected(part: str, state: AdaptationState = state) -> Any:
            return gradients(state.variables["params"], state.theta, batch(0)[part])

        value, (of_weights, _) = expected("train")
        _, (_, of_theta) = expected("train" if arch_data == "train" else "arch")
        np.testing.assert_allclose(metrics["loss"], value, rtol=1e-5)
        np.testing.assert_allclose(
            after.theta, np.where(space.valid[..., None], state.theta - of_theta, state.theta),
            rtol=1e-5, atol=1e-6,
        )  # fmt: skip
        updates, _ = optax.adam(toy.LEARNING_RATE).update(
            of_weights, state.opt_state, state.variables["params"]
        )
        np.testing.assert_allclose(
            after.variables["params"], state.variables["params"] + updates, rtol=1e-4, atol=1e-6
        )
        assert (np.abs(of_theta).sum(-1) > 0)[space.valid].all()

        # Another train batch, another arch batch: what changes, to the bit.
        other_train, _ = step(state, batch(0, train=1), KEY)
        other_arch, _ = step(state, batch(0, arch=0), KEY)
        theta_of = {"train": other_train, "arch": other_arch}
        source = "train" if arch_data == "train" else "arch"
        other = {"train": "arch", "arch": "train"}[source]
        assert (theta_of[source].theta != after.theta).any()
        np.testing.assert_array_equal(theta_of[other].theta, after.theta)
        np.testing.assert_array_equal(other_arch.variables["params"], after.variables["params"])
        chex.assert_trees_all_equal(
            other_arch._replace(theta=0, theta_opt_state=0),
            after._replace(theta=0, theta_opt_state=0),
        )
        assert (other_train.variables["params"] != after.variables["params"]).any()
        stats = [each.variables["batch_stats"]["mean"] for each in (after, other_train)]
        assert (stats[0] != stats[1]).all()


def real_network() -> tuple[AdaptationSpace, Any]:
    """A residual network of jaxnas with a null edge, for images of 8 x 8."""
    cell = Cell(
        "block",
        inputs=1,
        nodes=(Node(relu=True), Node(relu=True)),
        edges=(
            Edge("conv_3x3", 0, 1),
            Edge("null", 0, 2),
            Edge("pad_shortcut", 0, 2),
            Edge("conv_3x3", 1, 2),
        ),
        output=(2,),
    )
    blocks = (Block("block", 4), Block("block", 6, 2))
    space = AdaptationSpace(Genotype("tiny", "residual", 4, (cell,), blocks), "cell")
    return space, nn.supernet(space, 3)


@pytest.mark.slow
def test_the_weights_of_the_base_train_as_without_a_search():
    space, network = real_network()
    rng = np.random.default_rng(0)
    images = jnp.asarray(rng.integers(0, 256, (8, 8, 8, 3), dtype=np.uint8))
    batch = {"train": (images, jnp.asarray(rng.integers(0, 3, 8), jnp.int32))}
    task = supervised(3, np.full(3, 0.5, np.float32), np.full(3, 0.25, np.float32), Augmentation(1))
    apply = training.flax_apply(network)
    optimizer = training.sgd(0.1, 10)
    base = space.one_hot_gates(space.base_choices())
    variables = nn.init(network, jax.random.key(1), (8, 8, 3), base)
    plain = training.init(variables, optimizer, base)
    plain_step = jax.jit(training.train_step(apply, task, optimizer))
    states, losses = [plain], []
    for _ in range(3):
        plain, metrics = plain_step(plain, batch, KEY)
        states.append(plain)
        losses.append(metrics["loss"])
    assert losses[0] != losses[1]
    supernet = Supernet(
        apply,
        lambda key: nn.init(network, key, (8, 8, 3), base),
        lambda gates: gates[space.table_of_block],
        space.derive,
    )
    search = adaptation(
        supernet, space, task, optimizer, estimator="raw", arch_learning_rate=0.1, warmup_steps=2
    )
    step = jax.jit(search.step)
    state = search.init(jax.random.key(1))
    for plain, loss in zip(states[1:], losses, strict=True):
        state, metrics = step(state, batch, KEY)
        np.testing.assert_allclose(metrics["loss"], loss, rtol=1e-5)
        chex.assert_trees_all_close(state.variables, plain.variables, rtol=1e-3, atol=1e-5)
    assert (state.theta != initial_theta(space)).any()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"estimator": "gumbel"}, "estimator must be one of mixed, raw, not 'gumbel'"),
        ({"arch_data": "test"}, "arch_data must be 'train' or 'holdout', not 'test'"),
        ({"arch_optimizer": "lion"}, "arch_optimizer must be 'adam' or 'sgd', not 'lion'"),
        ({"arch_every": 0}, "arch_every must be at least 1, not 0"),
        ({"cost_weight": 0.1}, "cost_weight needs the candidates' costs"),
    ],
)
def test_refuses_by_name(options: dict[str, Any], message: str):
    with pytest.raises(ValueError, match=message):
        toy.toy_adaptation("cell", **{"estimator": "mixed", **options})


@pytest.mark.quick_cases(1)
@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_state_and_gates(estimator: str):
    """A step is pure, a state survives flattening, the gates told are those that ran."""
    search = toy.toy_adaptation("full", estimator=estimator, warmup_steps=0)
    step = jax.jit(search.step)
    state, _ = step(start(search), batch(0), KEY)
    leaves, tree = jax.tree.flatten(state)
    assert all(isinstance(leaf, jax.Array) for leaf in leaves)
    copies = [np.array(leaf) for leaf in leaves]
    restored = jax.tree.unflatten(tree, [jnp.asarray(copy) for copy in copies])
    assert isinstance(restored, AdaptationState)
    after, metrics = step(state, batch(1), KEY)
    again, metrics_again = step(restored, batch(1), KEY)
    chex.assert_trees_all_equal((after, metrics), (again, metrics_again))
    chex.assert_trees_all_equal(leaves, copies)

    variables, gates = state.variables, search.gates(state)
    outputs, _ = toy.toy_apply("full")(variables, batch(1)["train"][0], gates, True)
    loss = toy.TASK.loss(outputs, batch(1)["train"][1])
    np.testing.assert_allclose(metrics["loss"], loss, rtol=1e-5)

    _, other = step(state, batch(1), jax.random.key(1))
    assert other["loss"] == metrics["loss"], "nothing is drawn"


@pytest.mark.slow
def test_cost_adds_the_gradient_of_the_expected_cost():
    costs = np.random.default_rng(0).uniform(size=CELL.shape)
    weight = 0.7
    after = {}
    for cost_weight in (0.0, weight):
        search = toy.toy_adaptation(
            "cell", estimator="mixed", cost_weight=cost_weight, costs=costs, **SGD
        )
        after[cost_weight] = jax.jit(search.step)(start(search), batch(0), KEY)
    (plain, metrics), (costly, costly_metrics) = after.values()
    assert metrics["loss"] == costly_metrics["loss"], "the loss told is the task's"

    theta = np.asarray(initial_theta(CELL), np.float64)
    difference = np.zeros(CELL.shape)
    small = 1e-3
    with jax.enable_x64():
        for index in np.ndindex(*CELL.shape):
            up, down = theta.copy(), theta.copy()
            up[index] += small
            down[index] -= small
            difference[index] = expected_cost(up, costs) - expected_cost(down, costs)
    gradient = np.where(CELL.valid[..., None], difference / (2 * small), 0)
    np.testing.assert_allclose(plain.theta - costly.theta, weight * gradient, atol=1e-6)
    assert np.abs(gradient).max() > 0.1


def test_costs_are_summed_over_the_blocks_that_share_a_table():
    costs = np.random.default_rng(0).uniform(size=(3, *CELL.shape[1:]))
    np.testing.assert_array_equal(FULL.table_costs(costs), costs)
    np.testing.assert_allclose(CELL.table_costs(costs), [costs[0] + costs[2], costs[1]])


def test_one_hot_gates_are_those_of_each_blocks_table():
    for space in (CELL, FULL):
        choices = np.random.default_rng(0).integers(0, 3, space.shape[:2])
        gates = space.one_hot_gates(choices)
        assert gates.dtype == jnp.float32
        for block, table in enumerate(space.table_of_block):
            np.testing.assert_array_equal(gates[block], np.eye(3)[choices[table]])

"""Loops: the same epoch in Python and in a scan, and one compilation for all epochs."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnas import nn, training
from jaxnas.data import Augmentation
from jaxnas.spaces import AdaptationSpace, Block, zoo
from jaxnas.tasks import supervised

from . import linear

pytestmark = pytest.mark.oldest

LOOPS = [training.python_loop, training.scan_loop, training.eager_loop]


def assert_close_trees(one, other, tolerance=1e-5):
    assert jax.tree.structure(one) == jax.tree.structure(other)
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


def linear_training(gated=False):
    """A step, and a function that makes a fresh first state: a loop uses up what it is given."""
    optimizer = training.sgd(0.1, 20)
    step = training.train_step(linear.apply, linear.TASK, optimizer)

    def start():
        return training.init(linear.variables(), optimizer, jnp.float32(0.5) if gated else None)

    return step, start


def some_order(steps=5, batch=4, count=12, seed=0):
    rng = np.random.default_rng(seed)
    return {"train": jnp.asarray(rng.integers(0, count, (steps, batch)), jnp.int32)}


@pytest.mark.parametrize("loop", LOOPS)
def test_an_epoch_is_its_steps_one_after_the_other(loop):
    step, start = linear_training()
    data, order, key = {"train": linear.images(12)}, some_order(), jax.random.key(3)
    state, losses = start(), []
    for rows in order["train"]:
        state, metrics = step(state, {"train": tuple(each[rows] for each in data["train"])}, key)
        losses.append(metrics["loss"])
    found, metrics = loop(step)(start(), data, order, key)
    assert int(found.step) == 5
    assert set(metrics) == {"loss"}
    assert metrics["loss"].shape == (5,)
    np.testing.assert_allclose(metrics["loss"], losses, rtol=1e-5)
    assert_close_trees(found, state)


@pytest.mark.parametrize("loop", LOOPS)
def test_every_part_of_the_data_has_its_own_order(loop):
    data = {"train": linear.images(12, 1), "arch": linear.images(7, 2)}
    order = {
        "train": some_order(6, 4, 12, 1)["train"],
        "arch": some_order(6, 2, 7, 2)["train"],
    }

    def step(state, batch, key):
        now = {
            f"{part}_{name}": (
                each.astype(jnp.int32) * jnp.arange(1, 1 + each[0].size).reshape(each[0].shape)
            ).sum()
            for part, pair in batch.items()
            for name, each in zip(("images", "labels"), pair, strict=True)
        }
        return state + 1, {**now, "state": state, "drawn": jax.random.bits(key)}

    state, metrics = loop(step)(jnp.int32(0), data, order, jax.random.key(4))
    assert int(state) == 6
    assert metrics["state"].tolist() == list(range(6))
    assert np.unique(metrics["drawn"]).tolist() == [int(jax.random.bits(jax.random.key(4)))]
    for part, rows in order.items():
        for name, each in zip(("images", "labels"), data[part], strict=True):
            weights = np.arange(1, 1 + each[0].size).reshape(each[0].shape)
            expected = (np.asarray(each, np.int64)[rows] * weights).sum(
                axis=tuple(range(1, each.ndim + 1))
            )
            np.testing.assert_array_equal(metrics[f"{part}_{name}"], expected)


@pytest.mark.parametrize("loop", LOOPS[:2])
def test_a_second_epoch_compiles_nothing(loop):
    step, start = linear_training(gated=True)
    traces = []

    def counted(state, batch, key):
        traces.append(1)
        return step(state, batch, key)

    epoch = loop(counted)
    data = {"train": linear.images(12)}
    state, _ = epoch(start(), data, some_order(), jax.random.key(0))
    first = len(traces)
    for number in range(2):
        state, _ = epoch(state, data, some_order(seed=number), jax.random.key(number))
    epoch(start(), data, some_order(), jax.random.key(5))
    assert len(traces) == first


@pytest.mark.parametrize("loop", LOOPS)
def test_progress_is_told_of_every_step(loop):
    step, start = linear_training()
    told = []
    args = {"train": linear.images(12)}, some_order(), jax.random.key(0)
    loop(step)(start(), *args, lambda: told.append(1))
    assert len(told) == 5


@pytest.mark.parametrize("loop", LOOPS)
def test_an_epoch_is_the_same_bits_every_time(loop):
    step, start = linear_training()
    epoch = loop(step)
    args = {"train": linear.images(12)}, some_order(), jax.random.key(0)
    first, again = (epoch(start(), *args) for _ in range(2))
    for one, other in zip(jax.tree.leaves(first), jax.tree.leaves(again), strict=True):
        np.testing.assert_array_equal(one, other)


def test_both_loops_train_a_supernet_alike():
    base = dataclasses.replace(zoo.named("resnet20"), stem=2, blocks=(Block("normal", 2),))
    space = AdaptationSpace(base, "cell")
    network = nn.supernet(space, linear.CLASSES)
    gates = space.one_hot_gates(space.base_choices())
    task = supervised(linear.CLASSES, linear.MEAN, linear.STD, Augmentation(pad=1))
    optimizer = training.sgd(0.05, 4)
    step = training.train_step(training.flax_apply(network), task, optimizer)
    rng = np.random.default_rng(0)
    images = jnp.asarray(rng.integers(0, 256, (8, 4, 4, 3), dtype=np.uint8))
    data = {"train": (images, jnp.asarray(rng.integers(0, linear.CLASSES, 8), jnp.int32))}
    results = []
    for loop in LOOPS[:2]:
        variables = nn.init(network, jax.random.key(0), (4, 4, 3), gates)
        state = training.init(variables, optimizer, jnp.array(gates))
        results.append(loop(step)(state, data, some_order(4, 4, 8), jax.random.key(1)))
    assert_close_trees(*results, tolerance=1e-4)
    stats = results[0][0].variables["batch_stats"]["stem_norm"]["mean"]
    assert np.any(stats), "the batch statistics have moved"


def test_the_default_loop_suits_the_backend():
    loop = training.default_loop()
    if jax.default_backend() == "cpu":
        assert loop.func is training.python_loop
    else:
        assert loop is training.scan_loop


@pytest.mark.parametrize(
    ("losses", "expected"),
    [
        ([1.0, 2.0], None),
        ([np.nan], 0),
        ([1.0, np.inf, np.nan], 1),
        ([1.0, 2.0, -np.inf], 2),
        ([[1.0, 2.0], [1.0, np.nan], [np.nan, 1.0]], 1),
        ([[1.0, 2.0], [3.0, 4.0]], None),
        ([], None),
    ],
)
def test_the_first_step_that_went_wrong_is_found(losses, expected):
    assert training.first_bad_step(np.array(losses)) == expected

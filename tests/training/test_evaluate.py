"""Evaluation against a plain mean over all images."""

import dataclasses
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnas import nn, training
from jaxnas.nn.layers import BatchNorm
from jaxnas.spaces import AdaptationSpace, Block, zoo

from . import linear


def variables(seed=0):
    made = linear.variables(seed)
    mean = np.random.default_rng(seed + 5).normal(size=linear.SIZE)
    return {**made, "batch_stats": {"mean": jnp.asarray(mean, jnp.float32)}}


def plain_mean(variables, gate, images, labels):
    dense = {k: np.asarray(v, np.float64) for k, v in variables["params"]["dense"].items()}
    x = linear.flat(images) - np.asarray(variables["batch_stats"]["mean"], np.float64)
    logits = (x @ dense["kernel"] + dense["bias"]) * gate
    log = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    rows = np.arange(len(labels))
    return {
        "loss": -log[rows, labels].mean(),
        "accuracy": (logits.argmax(1) == np.asarray(labels)).mean(),
    }


@pytest.mark.quick_cases(1)
@pytest.mark.parametrize(("count", "batch"), [(12, 4), (11, 4), (13, 4), (3, 4), (1, 4), (5, 1)])
def test_the_score_is_the_mean_over_all_images(count, batch):
    images, labels = linear.images(count)
    evaluate = training.evaluator(linear.apply, linear.TASK, batch)
    found = evaluate(variables(), None, images, labels)
    expected = plain_mean(variables(), 1, images, labels)
    assert set(found) == set(expected)
    for name, value in expected.items():
        assert float(found[name]) == pytest.approx(value, rel=1e-5), name


def test_the_filling_of_the_last_batch_counts_for_nothing():
    """Even where it scores infinity: it is left out, not weighted with zero."""
    images, labels = linear.images(5)
    task = linear.TASK._replace(
        score=lambda outputs, labels: {"bad": jnp.where(jnp.arange(len(labels)) > 0, jnp.inf, 1.0)}
    )
    found = training.evaluator(linear.apply, task, 4)(variables(), None, images, labels)
    assert np.isinf(found["bad"]), "of the first batch"
    found = training.evaluator(linear.apply, task, 1)(variables(), None, images, labels)
    assert float(found["bad"]) == 1.0
    last = linear.TASK._replace(
        score=lambda outputs, labels: {
            "bad": jnp.where(
                (jnp.arange(len(labels)) > 0) & (outputs == outputs[:1]).all(1), jnp.inf, 1.0
            )
        }
    )
    found = training.evaluator(linear.apply, last, 4)(variables(), None, images, labels)
    assert float(found["bad"]) == 1.0


def test_gates_are_given_to_the_network():
    images, labels = linear.images(7)
    evaluate = training.evaluator(linear.apply, linear.TASK, 4)
    found = evaluate(variables(), jnp.float32(-2.0), images, labels)
    for name, value in plain_mean(variables(), -2.0, images, labels).items():
        assert float(found[name]) == pytest.approx(value, rel=1e-5), name


@pytest.mark.parametrize("gates", [None, jnp.array([1.0, -0.5, 2.0])], ids=["alone", "gated"])
def test_networks_side_by_side_are_scored_each_for_itself(gates):
    images, labels = linear.images(7)
    each = [variables(seed) for seed in range(3)]
    wide = jax.tree.map(lambda *leaves: jnp.stack(leaves), *each)
    found = training.evaluator(linear.apply, linear.TASK, 4, wide=True)(wide, gates, images, labels)
    alone = training.evaluator(linear.apply, linear.TASK, 4)
    for index in range(3):
        expected = alone(each[index], None if gates is None else gates[index], images, labels)
        for name, value in expected.items():
            assert found[name].shape == (3,)
            assert float(found[name][index]) == pytest.approx(float(value), rel=1e-5)


def test_all_batches_and_all_networks_are_one_program():
    images, labels = linear.images(11)
    traces = []

    def counted(*args):
        traces.append(1)
        return linear.apply(*args)

    evaluate = training.evaluator(counted, linear.TASK, 4)
    scores = [float(evaluate(variables(seed), None, images, labels)["loss"]) for seed in range(3)]
    assert len(set(scores)) == 3
    assert len(traces) == 1


def test_a_network_is_evaluated_with_its_running_statistics():
    base = dataclasses.replace(zoo.named("resnet20"), stem=2, blocks=(Block("normal", 2),))
    network = nn.build(base, linear.CLASSES)
    apply = training.flax_apply(network)
    made = nn.init(network, jax.random.key(0), (linear.SIDE, linear.SIDE, 3))
    inputs = linear.TASK.inputs(linear.images(4)[0])
    others = inputs.at[1:].multiply(-3)

    def stats_of(tree):
        return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(tree)])

    before = stats_of(made["batch_stats"])
    (evaluated, stats), (among_others, _) = (apply(made, x, None, False) for x in (inputs, others))
    np.testing.assert_array_equal(stats_of(stats), before)
    np.testing.assert_array_equal(evaluated[0], among_others[0])
    (trained, stats), (among_others, _) = (apply(made, x, None, True) for x in (inputs, others))
    assert np.all(stats_of(stats) != before)
    assert not np.allclose(trained[0], among_others[0])


def small_network(gated=False):
    """A network of one block, its variables from the start on, and gates where it takes them."""
    base = dataclasses.replace(zoo.named("resnet20"), stem=4, blocks=(Block("normal", 4),))
    space = AdaptationSpace(base, "full")
    gates = jnp.full(space.shape, 1 / 3) if gated else None
    given = () if gates is None else (gates,)
    network = nn.supernet(space, 0) if gated else nn.build(base, 0)
    return (
        network,
        nn.init(network, jax.random.key(0), (linear.SIDE, linear.SIDE, 3), *given),
        gates,
    )


@pytest.mark.parametrize("gated", [False, True], ids=["plain", "gated"])
def test_an_untrained_network_is_judged_by_statistics_of_the_images(gated):
    """Its features are spread as those of a batch of all images in training mode."""
    network, made, gates = small_network(gated)
    images = linear.images(60)[0] // 8  # dark: far from the mean 0 and variance 1 of the start
    apply = training.flax_apply(network)
    found = training.statistics_estimator(apply, linear.TASK, 40)(made, gates, images)
    assert all(map(np.array_equal, *map(jax.tree.leaves, (found["params"], made["params"]))))
    inputs = linear.TASK.inputs(images)
    expected, _ = apply(made, inputs, gates, True)
    estimated, _ = apply(found, inputs, gates, False)
    at_start, _ = apply(made, inputs, gates, False)
    spread = [float(jnp.std(each, 0).mean()) for each in (expected, estimated, at_start)]
    assert spread[1] == pytest.approx(spread[0], rel=0.1)
    assert spread[2] < 0.7 * spread[0]


def test_less_than_a_hundredth_of_the_first_statistics_is_left():
    images, _ = linear.images(8)
    estimate = training.statistics_estimator(linear.apply, linear.TASK, 8)
    far = {**variables(), "batch_stats": {"mean": jnp.full(linear.SIZE, 1e3)}}
    mean = np.asarray(estimate(far, None, images)["batch_stats"]["mean"])
    left = mean - linear.flat(images).mean(0)
    assert np.all((left > 5) & (left < 10))


@pytest.mark.parametrize(("steps", "told"), [(1, "90.0%"), (13, "25.4%"), (28, "5.2%"), (29, "")])
def test_a_training_too_short_for_the_running_statistics_is_warned_of(steps, told):
    norm = BatchNorm()
    zeros = jnp.zeros((4, 1))  # which move the variance from 1 towards 0, what is left of the start
    variables = norm.init(jax.random.key(0), zeros, True)
    for _ in range(steps):
        variables |= norm.apply(variables, zeros, True, mutable=["batch_stats"])[1]
    left = float(variables["batch_stats"]["var"][0])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        training.warn_of_few_steps("original", steps)
    assert bool(caught) == (left > 0.05) == bool(told)
    if told:
        assert told == f"{left:.1%}"
        sentence = str(caught[0].message)
        assert f"original: the {steps} steps of training leave {told} of" in sentence
        assert "29 steps leave less than 5%" in sentence


def test_statistics_of_networks_side_by_side_are_one_program():
    images, _ = linear.images(7)
    traces = []

    def counted(*args):
        traces.append(1)
        return linear.apply(*args)

    wide = jax.tree.map(lambda *leaves: jnp.stack(leaves), variables(0), variables(1))
    found = training.statistics_estimator(counted, linear.TASK, 4, wide=True)(wide, None, images)
    assert len(traces) == 1
    alone = training.statistics_estimator(linear.apply, linear.TASK, 4)
    for index in range(2):
        expected = alone(variables(index), None, images)["batch_stats"]["mean"]
        np.testing.assert_allclose(found["batch_stats"]["mean"][index], expected, rtol=1e-5)

"""Evaluation against a plain mean over all images."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnas import nn, training
from jaxnas.spaces import Block, zoo

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

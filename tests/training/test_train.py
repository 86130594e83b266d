"""A step of training: what it computes, and that it depends on nothing but its arguments."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxnas import nn, training
from jaxnas.randomness import stream
from jaxnas.tasks import Task

from . import linear

pytestmark = pytest.mark.oldest


def step_and_state(task=linear.TASK, gates=None, **options):
    optimizer = training.sgd(0.1, 20, **options)
    step = training.train_step(linear.apply, task, optimizer)
    return step, training.init(linear.variables(), optimizer, gates)


def assert_equal_trees(one, other):
    assert jax.tree.structure(one) == jax.tree.structure(other)
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_array_equal(a, b)


def test_steps_are_those_of_softmax_regression_by_hand():
    step, state = step_and_state(weight_decay=0.01)
    dense = {k: np.asarray(v, np.float64) for k, v in state.variables["params"]["dense"].items()}
    memory = {name: np.zeros_like(value) for name, value in dense.items()}
    mean = np.zeros(linear.SIZE)
    for number in range(6):
        images, labels = linear.images(5, seed=number)
        assert int(state.step) == number
        state, metrics = step(state, {"train": (images, labels)}, jax.random.key(0))

        x = linear.flat(images)
        logits = x @ dense["kernel"] + dense["bias"]
        logits -= logits.max(1, keepdims=True)
        probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
        loss = -np.log(probabilities[np.arange(5), labels]).mean()
        assert float(metrics["loss"]) == pytest.approx(loss, rel=1e-4), "the loss before the step"
        error = (probabilities - np.eye(3)[labels]) / 5
        gradients = {"kernel": x.T @ error, "bias": error.sum(0)}
        rate = 0.1 * (1 + math.cos(math.pi * number / 20)) / 2
        for name, gradient in gradients.items():
            gradient = gradient + 0.01 * dense[name]
            memory[name] = 0.9 * memory[name] + gradient
            dense[name] = dense[name] - rate * (gradient + 0.9 * memory[name])
        mean = 0.9 * mean + 0.1 * x.mean(0)
    for name, value in state.variables["params"]["dense"].items():
        np.testing.assert_allclose(value, dense[name], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(state.variables["batch_stats"]["mean"], mean, rtol=1e-4, atol=1e-5)


def test_a_step_is_a_pure_function():
    step, state = step_and_state()
    before = jax.tree.map(np.array, state)
    batch = {"train": linear.images(4)}
    jitted = jax.jit(step)
    first = jitted(state, batch, jax.random.key(0))
    again = jitted(state, batch, jax.random.key(0))
    assert_equal_trees(first, again)
    assert_equal_trees(state, before)
    moved = first[0].variables["params"]["dense"]["kernel"]
    assert not np.array_equal(moved, before.variables["params"]["dense"]["kernel"])


def test_gates_reach_the_network_and_stay():
    gates = jnp.float32(0.5)
    step, state = step_and_state(gates=gates)
    batch = {"train": linear.images(4)}
    after, metrics = step(state, batch, jax.random.key(0))
    np.testing.assert_array_equal(after.gates, gates)
    outputs, _ = linear.apply(state.variables, linear.TASK.inputs(batch["train"][0]), gates, True)
    expected = linear.TASK.loss(outputs, batch["train"][1])
    assert float(metrics["loss"]) == pytest.approx(float(expected), rel=1e-6)


def key_showing_task():
    """A task whose loss is a random number of the key that augments."""

    def prepare(key, images, labels):
        return jnp.broadcast_to(jax.random.uniform(key), (len(images), linear.SIZE)), labels

    return Task(
        prepare=prepare,
        judge=prepare,
        inputs=lambda images: images,
        loss=lambda outputs, targets: 0 * outputs.sum() + outputs.shape[0],
        score=lambda outputs, labels: {},
        outputs=3,
    )


def augmentation_seen(state, key, batch):
    """The random number that a step's augmentation drew, read off the batch statistics."""
    optimizer = training.sgd(0.1, 20)
    step = training.train_step(linear.apply, key_showing_task(), optimizer)
    after, _ = step(state, {"train": batch}, key)
    before = state.variables["batch_stats"]["mean"]
    return float((after.variables["batch_stats"]["mean"] - 0.9 * before)[0] / 0.1)


def test_the_augmentation_depends_on_the_root_key_and_the_step_alone():
    optimizer = training.sgd(0.1, 20)
    first, second = (
        training.init(linear.variables(seed), optimizer)._replace(step=jnp.int32(5))
        for seed in (0, 1)
    )
    key = jax.random.key(7)
    expected = augmentation_seen(first, key, linear.images(4, 1))
    assert augmentation_seen(second, key, linear.images(3, 2)) == pytest.approx(expected, abs=1e-5)
    draws = [
        augmentation_seen(first._replace(step=jnp.int32(n)), jax.random.key(seed), linear.images(4))
        for n in range(3)
        for seed in range(2)
    ]
    assert np.abs(np.subtract.outer(draws, draws))[~np.eye(6, dtype=bool)].min() > 1e-4
    wanted = jax.random.uniform(jax.random.fold_in(stream(key, "augment"), 5))
    assert expected == pytest.approx(float(wanted), abs=1e-5)


def test_weights_that_learn_from_augmented_images_see_them():
    """The step's loss is that of `prepare`'s images under the step's own key."""
    task = linear.supervised(
        linear.CLASSES, linear.MEAN, linear.STD, linear.Augmentation(pad=1, flip=True)
    )
    optimizer = optax.sgd(0.1)
    state = training.init(linear.variables(), optimizer)._replace(step=jnp.int32(3))
    images, labels = linear.images(6)
    key = jax.random.key(1)
    _, metrics = training.train_step(linear.apply, task, optimizer)(
        state, {"train": (images, labels)}, key
    )
    augment_key = jax.random.fold_in(stream(key, "augment"), 3)
    inputs, targets = task.prepare(augment_key, images, labels)
    outputs, _ = linear.apply(state.variables, inputs, None, True)
    assert float(metrics["loss"]) == pytest.approx(float(task.loss(outputs, targets)), rel=1e-6)


def test_a_state_starts_at_step_0_without_gates():
    optimizer = training.sgd(0.1, 20)
    variables = linear.variables()
    state = training.init(variables, optimizer)
    assert (int(state.step), state.step.dtype, state.gates) == (0, jnp.int32, None)
    assert state.variables is variables
    assert_equal_trees(state.opt_state, optimizer.init(variables["params"]))


# What is added to the network's own loss.


def noise_of(regularisation, step):
    noise = regularisation.noise(jax.random.key(0), jnp.int32(step))
    return None if noise is None else float(noise.drop_path)


def test_drop_path_grows_linearly_to_its_end_and_stays():
    growing = training.Regularisation(drop_path=0.4, drop_path_steps=4)
    rates = [noise_of(growing, step) for step in range(6)]
    np.testing.assert_allclose(rates, [0.1, 0.2, 0.3, 0.4, 0.4, 0.4], rtol=1e-6)
    assert noise_of(training.Regularisation(), 3) is None
    assert noise_of(training.Regularisation(dropout=0.1), 3) == 0


def test_noise_has_a_key_of_its_own_in_each_step():
    some = training.Regularisation(dropout=0.5)
    seen = {
        int(jax.random.bits(some.noise(jax.random.key(seed), jnp.int32(step)).key))
        for seed in (0, 1)
        for step in (0, 1)
    }
    assert len(seen) == 4


def test_the_noise_of_a_step_reaches_the_network_and_its_second_output_the_loss():
    calls = []

    def apply(variables, inputs, gates, train, noise=None):
        calls.append(noise)
        logits, stats = linear.apply(variables, inputs, gates, train)
        return nn.WithAuxiliary(logits, 2 * logits), stats

    optimizer = training.sgd(0.1, 20)
    losses = {}
    for weight in (0.0, 0.4):
        step = training.train_step(
            apply,
            linear.TASK,
            optimizer,
            training.Regularisation(weight, drop_path=0.5, drop_path_steps=2, dropout=0.25),
        )
        state = training.init(linear.variables(), optimizer)
        _, metrics = step(state, {"train": linear.images(5)}, jax.random.key(0))
        losses[weight] = float(metrics["loss"])
    assert [float(calls[0].drop_path), calls[0].dropout] == [0.25, 0.25]
    images, labels = linear.images(5)
    x = linear.flat(images)
    dense = linear.variables()["params"]["dense"]
    logits = jnp.asarray(x) @ dense["kernel"] + dense["bias"]
    second = optax.softmax_cross_entropy_with_integer_labels(2 * logits, labels).mean()
    assert losses[0.4] - losses[0.0] == pytest.approx(0.4 * float(second), rel=1e-4)

"""Optimisers against the same steps by hand in NumPy."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxnas.training import accumulate, adamw, lars, sgd

pytestmark = pytest.mark.oldest

PATHS = [("block", "kernel"), ("block", "scale"), ("block", "bias"), ("dense", "bias")]


def tree(values):
    out = {}
    for (module, name), value in zip(PATHS, values, strict=True):
        out.setdefault(module, {})[name] = value
    return out


def flat(tree):
    return [np.asarray(tree[module][name], np.float64) for module, name in PATHS]


def draw(seed):
    rng = np.random.default_rng(seed)
    return [jnp.asarray(rng.normal(size=3), jnp.float32) for _ in PATHS]


def rates(optimizer, steps, start=0.1):
    """The learning rate of each step: what it makes of a gradient of 1 without momentum."""
    params = {"kernel": jnp.zeros(())}
    state = optimizer.init(params)
    out = []
    for _ in range(steps):
        update, state = optimizer.update({"kernel": jnp.ones(())}, state, params)
        out.append(-float(update["kernel"]))
    return np.array(out) / start


def plain(total, schedule, start=0.1):
    return sgd(start, total, schedule=schedule, momentum=0.0, weight_decay=0.0)


@pytest.mark.parametrize("total", [1, 2, 7, 40])
def test_a_cosine_comes_down_from_the_start_to_zero(total):
    found = rates(plain(total, "cosine"), total + 3)
    steps = np.minimum(np.arange(total + 3), total)
    np.testing.assert_allclose(found, (1 + np.cos(np.pi * steps / total)) / 2, atol=1e-6)
    assert found[0] == pytest.approx(1)
    assert np.abs(found[total:]).max() < 1e-6


@pytest.mark.parametrize("total", [4, 7, 20, 21])
def test_steps_divide_by_ten_at_half_and_three_quarters(total):
    found = rates(plain(total, "step"), total + 2)
    expected = [
        0.01 if step >= 3 * total // 4 else 0.1 if step >= total // 2 else 1
        for step in range(total + 2)
    ]
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_another_schedule_is_refused_by_name():
    with pytest.raises(ValueError, match="'cosine', 'step' or 'constant', not 'linear'"):
        sgd(0.1, 10, schedule="linear")


@pytest.mark.parametrize("clip", [None, 0.5, 1e6])
@pytest.mark.parametrize("decays_all", [True, False])
@pytest.mark.parametrize("momentum", [0.9, 0.0])
def test_steps_are_clip_then_decay_then_nesterovs_momentum(momentum, decays_all, clip):
    decay, start, total = 0.3, 0.2, 6
    optimizer = sgd(
        start,
        total,
        momentum=momentum,
        weight_decay=decay,
        decay_norm_and_bias=decays_all,
        grad_clip=clip,
    )
    params = tree(draw(0))
    state = optimizer.init(params)
    expected = flat(params)
    memory = [np.zeros(3) for _ in PATHS]
    for step in range(total):
        gradients = draw(step + 1)
        updates, state = optimizer.update(tree(gradients), state, params)
        params = jax.tree.map(lambda p, u: p + u, params, updates)

        wide = [np.asarray(each, np.float64) for each in gradients]
        norm = math.sqrt(sum((each**2).sum() for each in wide))
        factor = 1 if clip is None else min(1, clip / norm)
        rate = start * (1 + math.cos(math.pi * step / total)) / 2
        for index, (_, name) in enumerate(PATHS):
            gradient = wide[index] * factor
            if decays_all or name == "kernel":
                gradient = gradient + decay * expected[index]
            memory[index] = momentum * memory[index] + gradient
            expected[index] = expected[index] - rate * (gradient + momentum * memory[index])
    for found, wanted in zip(flat(params), expected, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)


# Warm-up.


@pytest.mark.parametrize("schedule", ["cosine", "step"])
@pytest.mark.parametrize(("warmup", "total"), [(1, 9), (4, 12), (7, 8), (5, 5)])
def test_a_warm_up_grows_from_zero_and_the_schedule_has_the_rest(warmup, total, schedule):
    optimizer = sgd(
        0.1, total, schedule=schedule, momentum=0.0, weight_decay=0.0, warmup_steps=warmup
    )
    found = rates(optimizer, total)
    np.testing.assert_allclose(found[:warmup], np.arange(warmup) / warmup, atol=1e-6)
    if total > warmup:
        rest = rates(plain(total - warmup, schedule), total - warmup)
        np.testing.assert_allclose(found[warmup:], rest, atol=1e-6)
        assert found[warmup] == pytest.approx(1 if schedule == "cosine" else rest[0])


@pytest.mark.parametrize("make", [sgd, lars, adamw])
@pytest.mark.parametrize("warmup", [-1, 6])
def test_a_warm_up_longer_than_the_training_is_refused(make, warmup):
    with pytest.raises(ValueError, match=f"warm-up of {warmup} steps .* from 0 to 5"):
        make(0.1, 5, warmup_steps=warmup)


# LARS.


@pytest.mark.parametrize("warmup", [0, 2])
def test_lars_gives_each_kernel_a_rate_and_leaves_the_rest_plain(warmup):
    start, total, decay, trust, momentum = 0.5, 6, 0.3, 0.02, 0.8
    optimizer = lars(
        start,
        total,
        momentum=momentum,
        weight_decay=decay,
        trust_coefficient=trust,
        warmup_steps=warmup,
    )
    params = tree(draw(0))
    state = optimizer.init(params)
    expected = flat(params)
    memory = [np.zeros(3) for _ in PATHS]
    for step in range(total):
        gradients = draw(step + 1)
        updates, state = optimizer.update(tree(gradients), state, params)
        params = optax.apply_updates(params, updates)

        done = (step - warmup) / (total - warmup)
        rate = start * (step / warmup if step < warmup else (1 + math.cos(math.pi * done)) / 2)
        for index, (_, name) in enumerate(PATHS):
            move = np.asarray(gradients[index], np.float64)
            if name == "kernel":
                move = move + decay * expected[index]
                move *= trust * np.linalg.norm(expected[index]) / np.linalg.norm(move)
            memory[index] = momentum * memory[index] + rate * move
            expected[index] = expected[index] - memory[index]
    for found, wanted in zip(flat(params), expected, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)


def test_kernels_of_zero_leave_it():
    optimizer = lars(0.5, 4)
    params = {"kernel": jnp.zeros(3)}
    updates, _ = optimizer.update({"kernel": jnp.ones(3)}, optimizer.init(params), params)
    np.testing.assert_allclose(updates["kernel"], -0.5 * np.ones(3), rtol=1e-6)


# AdamW.


@pytest.mark.parametrize("decays_all", [False, True])
def test_adamw_moves_by_adam_and_takes_a_share_of_the_weights_away(decays_all):
    start, total, decay, first, second = 0.02, 5, 0.3, 0.8, 0.999
    optimizer = adamw(
        start, total, momentum=first, weight_decay=decay, decay_norm_and_bias=decays_all
    )
    params = tree(draw(0))
    state, expected = optimizer.init(params), flat(params)
    means, squares = ([np.zeros(3) for _ in PATHS] for _ in range(2))
    for step in range(total):
        gradients = draw(step + 1)
        updates, state = optimizer.update(tree(gradients), state, params)
        params = optax.apply_updates(params, updates)
        rate = start * (1 + math.cos(math.pi * step / total)) / 2
        for index, (_, name) in enumerate(PATHS):
            gradient = np.asarray(gradients[index], np.float64)
            means[index] = first * means[index] + (1 - first) * gradient
            squares[index] = second * squares[index] + (1 - second) * gradient**2
            mean = means[index] / (1 - first ** (step + 1))
            move = mean / (np.sqrt(squares[index] / (1 - second ** (step + 1))) + 1e-8)
            if decays_all or name == "kernel":
                move = move + decay * expected[index]
            expected[index] = expected[index] - rate * move
    for found, wanted in zip(flat(params), expected, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)


# Accumulated gradients.


@pytest.mark.parametrize("make", [sgd, lars, adamw])
@pytest.mark.parametrize("every", [2, 3])
def test_micro_batches_are_one_step_at_their_mean(make, every):
    moves = 3
    whole = make(0.2, moves, weight_decay=0.1, warmup_steps=1)
    parts = accumulate(whole, every)
    params = found = tree(draw(0))
    state, found_state = whole.init(params), parts.init(params)
    update = jax.jit(parts.update)
    for move in range(moves):
        gradients = [tree(draw(1 + move * every + part)) for part in range(every)]
        mean = jax.tree.map(lambda *each: sum(each) / every, *gradients)
        updates, state = whole.update(mean, state, params)
        params = optax.apply_updates(params, updates)
        for part, gradient in enumerate(gradients):
            before = found
            updates, found_state = update(gradient, found_state, found)
            found = optax.apply_updates(found, updates)
            if part < every - 1:
                for one, other in zip(flat(found), flat(before), strict=True):
                    np.testing.assert_array_equal(one, other)
        for one, other in zip(flat(found), flat(params), strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)
    for one, other in zip(flat(found), draw(0), strict=True):
        assert np.abs(one - np.asarray(other)).max() > 1e-5, "they have moved"


def test_of_one_batch_nothing_is_accumulated_and_of_none_nothing_can_be():
    optimizer = sgd(0.1, 3)
    assert accumulate(optimizer, 1) is optimizer
    with pytest.raises(ValueError, match="at least 1 micro-batch, not 0"):
        accumulate(optimizer, 0)

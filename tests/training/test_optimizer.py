"""SGD against the same steps by hand in NumPy."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnas.training import sgd

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
    with pytest.raises(ValueError, match="'cosine' or 'step', not 'linear'"):
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

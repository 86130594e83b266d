"""ProxylessNAS's gates: exactly one-hot, pairs as they should be drawn, the rest left alone."""

from __future__ import annotations

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnas.search.shared.binary_gates import draw_pair, gates_of, rescale

from .formulas import FULL, GATES_GRADIENT, PAIR, PROBABILITIES, THETA

SHAPE = (4, 3)


def random_alpha(seed: int, scale: float = 1.0) -> jax.Array:
    return scale * jax.random.normal(jax.random.key(seed), SHAPE)


@pytest.mark.parametrize("row", [0, 1])
def test_gates_have_the_published_gradients(row: int):
    """Reference numbers of ProxylessNAS's formulas, for all paths and for pairs."""
    alpha = jnp.asarray(THETA[row], jnp.float32)[None]

    def gradient(drawn: list[bool] | np.ndarray, active: int) -> np.ndarray:
        def loss(alpha: jax.Array) -> jax.Array:
            gates = gates_of(alpha, jnp.asarray(drawn)[None], jnp.asarray([active]))
            return (gates * GATES_GRADIENT).sum()

        return np.asarray(jax.grad(loss)(alpha))[0]

    for active in range(3):
        np.testing.assert_allclose(gradient([True] * 3, active), FULL[row], atol=1e-7)
    for (index, pair), expected in PAIR.items():
        if index == row:
            drawn = np.isin(np.arange(3), pair)
            np.testing.assert_allclose(gradient(drawn, pair[0]), expected, atol=1e-7)


@pytest.mark.parametrize("scale", [0.1, 1.0, 300.0])  # with the last, probabilities underflow
def test_gates_are_exactly_one_hot_beside_their_gradient(scale: float):
    alpha, cotangent = random_alpha(1, scale), random_alpha(2)
    drawn = jnp.ones(SHAPE, bool).at[0, 1].set(False)
    active = jnp.asarray([0, 1, 2, 0])

    def weighted(alpha: jax.Array) -> tuple[jax.Array, jax.Array]:
        gates = gates_of(alpha, drawn, active)
        return (gates * cotangent).sum(), gates

    (_, gates), gradient = jax.value_and_grad(weighted, has_aux=True)(alpha)
    np.testing.assert_array_equal(gates, np.eye(3)[active])
    assert np.isfinite(gradient).all()
    np.testing.assert_allclose(gradient.sum(-1), 0.0, atol=1e-6)
    assert gradient[0, 1] == 0
    assert (np.abs(gradient).max(-1) > 0).all() or scale == 300.0


def test_pairs_are_drawn_without_replacement_and_one_of_them_by_q():
    logits = jnp.asarray(THETA[1], jnp.float32)
    count = 50_000
    keys = jax.random.split(jax.random.key(0), (2, count))
    pair, active = jax.vmap(draw_pair, (None, 0, 0))(logits, *keys)
    assert (pair.sum(-1) == 2).all()
    partner = np.asarray(pair & (jnp.arange(3) != active[:, None])).argmax(-1)
    p = PROBABILITIES[1]
    for i, j in itertools.permutations(range(3), 2):
        either = p[i] * p[j] * (1 / (1 - p[i]) + 1 / (1 - p[j]))
        expected = either * p[i] / (p[i] + p[j])
        share = float(((active == i) & (partner == j)).mean())
        assert abs(share - expected) < 5 * np.sqrt(expected * (1 - expected) / count)


def test_a_pair_is_shifted_as_published():
    before = jnp.asarray(THETA[1:], jnp.float32)
    pair = jnp.asarray([[True, False, True]])
    moved = jnp.asarray([[0.290389570170, -0.2, 0.709610429830]])
    shifted = rescale(before, moved, pair)
    np.testing.assert_allclose(shifted, [[0.288448384091, -0.2, 0.707669243750]], atol=1e-6)
    np.testing.assert_allclose((moved - shifted)[0, 0], 0.001941186079, atol=1e-6)
    probabilities = jax.nn.softmax(shifted)[0]
    np.testing.assert_allclose(
        probabilities, [0.319045020286, PROBABILITIES[1, 1], 0.485196072243], atol=1e-6
    )


def test_rescaling_leaves_other_probabilities_alone_however_far_the_step():
    before, moved = random_alpha(0, 3.0), random_alpha(1, 30.0)
    third = jnp.asarray([0, 1, 2, 1])
    pair = ~jax.nn.one_hot(third, 3, dtype=bool)
    after = rescale(before, jnp.where(pair, moved, before), pair)
    assert np.isfinite(after).all()
    unsampled = [
        np.take_along_axis(np.asarray(jax.nn.log_softmax(alpha)), np.asarray(third)[:, None], -1)
        for alpha in (before, after)
    ]
    np.testing.assert_allclose(unsampled[1], unsampled[0], rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(rescale(before, before, pair), before)

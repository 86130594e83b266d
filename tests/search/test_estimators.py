"""Estimators: their gates, the gradients of these, and what is derived from θ."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnas.search import ESTIMATORS
from jaxnas.search.shared.adaptation import initial_theta
from jaxnas.search.shared.costs import expected_cost
from jaxnas.spaces import AdaptationSpace, Block, Cell, Edge, Genotype, Node

from .formulas import FULL, GATES_GRADIENT, PROBABILITIES, THETA


def small_space(*cells: Cell) -> AdaptationSpace:
    """Granularity cell over one block of each of `cells`."""
    blocks = tuple(Block(cell.name, 4) for cell in cells)
    return AdaptationSpace(Genotype("base", "residual", 4, cells, blocks), "cell")


# Every kind of edge: convolutions in a row, a null edge and a shortcut beside them.
WIDE = Cell(
    "wide",
    inputs=1,
    nodes=(Node(), Node()),
    edges=(
        Edge("conv_3x3", 0, 1),
        Edge("null", 0, 2),
        Edge("skip_connect", 0, 2),
        Edge("conv_3x3", 1, 2),
    ),
    output=(2,),
)
# Fewer edges, so that its table is padded; a null edge is its only way round a convolution.
NARROW = Cell(
    "narrow",
    inputs=1,
    nodes=(Node(),),
    edges=(Edge("conv_3x3", 0, 1), Edge("null", 0, 1)),
    output=(1,),
)
SPACE = small_space(WIDE, NARROW)


def random_theta(space: AdaptationSpace, seed: int = 0, scale: float = 1.0) -> jax.Array:
    return scale * jax.random.normal(jax.random.key(seed), space.shape)


def softmax(theta: np.ndarray) -> np.ndarray:
    exponentials = np.exp(theta)
    return exponentials / exponentials.sum(-1, keepdims=True)


@pytest.mark.parametrize("name", ESTIMATORS)
def test_gates_at_the_start(name: str):
    theta = initial_theta(SPACE)
    operation = SPACE.carries[..., 2]  # neither null nor padding
    np.testing.assert_array_equal(theta[operation], [[0, 0, 1]] * operation.sum())
    np.testing.assert_array_equal(theta[~operation], [[0, 0, 0]] * (~operation).sum())
    gates = jax.jit(ESTIMATORS[name](SPACE).gates)(theta)
    assert gates.shape == SPACE.shape
    assert gates.dtype == jnp.float32
    if name == "mixed":
        expected = np.broadcast_to(PROBABILITIES[0], gates[operation].shape)
        np.testing.assert_allclose(gates[operation], expected, atol=1e-7)
        np.testing.assert_allclose(gates[~operation], 1 / 3, atol=1e-7)
    else:
        weight_of_what_carries = np.where(SPACE.carries, gates, 0)
        base = np.where(SPACE.carries, [0, 0, 1], 0)
        np.testing.assert_array_equal(weight_of_what_carries, base)


def test_gradient_of_the_mixture():
    gates = ESTIMATORS["mixed"](small_space(NARROW)).gates
    _, back = jax.vjp(gates, jnp.asarray(THETA[None], jnp.float32))
    (got,) = back(jnp.broadcast_to(jnp.float32(GATES_GRADIENT), (1, 2, 3)))
    np.testing.assert_allclose(got, FULL[None], atol=2e-7)


def test_gradient_of_raw_weights_is_that_of_the_gates():
    theta, cotangent = random_theta(SPACE), random_theta(SPACE, 1)
    raw = ESTIMATORS["raw"](SPACE)
    gates, back = jax.vjp(raw.gates, theta)
    np.testing.assert_array_equal(gates, theta)
    np.testing.assert_array_equal(back(cotangent)[0], cotangent)


def test_raw_weights_stay_at_or_above_zero():
    raw = ESTIMATORS["raw"](SPACE)
    after = random_theta(SPACE, 1)
    kept = raw.allowed(after)
    np.testing.assert_array_equal(kept, np.maximum(after, 0))


def test_raw_derives_the_nearest_one_hot_row():
    raw = ESTIMATORS["raw"](SPACE)
    weights = np.abs(np.asarray(random_theta(SPACE, 2)))
    weights[0, 0], weights[0, 3] = [0, 0.4, 0.45], [0, 0.2, 0.9]  # node 1 goes, node 2 stays
    scores = np.asarray(raw.scores(jnp.asarray(weights)))
    for table, cell in enumerate(SPACE.cells):
        for edge, (row, operation) in enumerate(zip(weights[table], cell.edges, strict=False)):
            if operation.op == "skip_connect":
                continue
            candidates = [0, 1, 2] if operation.op != "null" else [0, 1]
            effect = np.where(SPACE.carries[table, edge], row, 0)
            far = {c: np.square(effect - np.eye(3)[c] * (c > 0)).sum() for c in candidates}
            nearest = min(far, key=far.__getitem__)
            best = scores[table, edge].argmax()
            assert best == nearest or ({best, nearest} == {0, 2} and operation.op == "null")


@pytest.mark.parametrize("name", ESTIMATORS)
def test_what_pads_a_table_changes_nothing_else(name: str):
    gates = jax.jit(ESTIMATORS[name](SPACE).gates)
    theta = random_theta(SPACE, 6)
    padded = jnp.where(SPACE.valid[..., None], theta, random_theta(SPACE, 7, 10.0))
    np.testing.assert_array_equal(gates(theta)[SPACE.valid], gates(padded)[SPACE.valid])


def test_expected_cost_is_the_mean_cost_of_draws():
    theta = random_theta(SPACE, 9)
    costs = jax.random.uniform(jax.random.key(1), SPACE.shape)
    p = softmax(np.asarray(theta, np.float64))
    np.testing.assert_allclose(
        expected_cost(theta, costs), (p * np.asarray(costs)).sum(), rtol=1e-6
    )

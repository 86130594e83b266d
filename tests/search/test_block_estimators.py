"""The estimators on granularity ``block``, where an edge may not become everything."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnas.search.shared.adaptation import initial_theta
from jaxnas.search.shared.costs import expected_cost
from jaxnas.search.shared.estimators import ESTIMATORS, ruled_out
from jaxnas.spaces import AdaptationSpace, zoo
from jaxnas.spaces.adaptation import NONE, SAME

SPACE = AdaptationSpace(
    zoo.inverted_chain("chain", "k3e1c4s1 k3e6c4s1q k3e6c8s2 k3e6c8s1", stem=4, head=8), "block"
)
NEVER = ruled_out(SPACE)


@pytest.mark.parametrize("name", ESTIMATORS)
def test_what_is_ruled_out_is_never_weighted_and_never_moves(name):
    estimator = ESTIMATORS[name](SPACE)
    rng = np.random.default_rng(0)
    free = jnp.asarray(SPACE.possible)
    cotangent = jnp.asarray(rng.normal(size=SPACE.shape), jnp.float32)

    @jax.jit
    def step(theta):
        def weighted(theta):
            gates = estimator.gates(theta)
            return (gates * cotangent).sum(), gates

        (_, gates), gradient = jax.value_and_grad(weighted, has_aux=True)(theta)
        moved = jnp.where(free, theta - gradient, theta)
        return gates, gradient, estimator.allowed(moved)

    theta = initial_theta(SPACE)
    for number in range(20):
        gates, gradient, theta = step(theta)
        assert np.isfinite(gradient).all()
        assert not np.asarray(gates)[NEVER].any(), number
        edges = SPACE.valid & (SPACE.possible.sum(-1) == 1)
        np.testing.assert_array_equal(np.asarray(gates)[edges][:, SAME], 1.0)
        choices = SPACE.derive(np.asarray(estimator.scores(theta))).choices
        for table, edge in np.argwhere(SPACE.valid).tolist():
            taken = choices[table, edge]
            gone_along = taken == NONE and (choices[table] == NONE).sum() > 1
            assert SPACE.possible[table, edge, taken] or gone_along


def test_the_expected_cost_is_that_of_what_may_be_chosen():
    theta = initial_theta(SPACE)
    costs = np.where(NEVER, 1e6, 1.0)
    # A softmax of exactly 0; every edge costs 1 whatever becomes of it.
    expected = SPACE.valid.sum() + (~SPACE.valid).sum()
    assert expected_cost(theta, jnp.asarray(costs, jnp.float32)) == pytest.approx(expected)

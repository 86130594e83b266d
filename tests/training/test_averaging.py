"""The moving average of the weights."""

import jax.numpy as jnp
import numpy as np
import pytest

from jaxnas.training import moving_average


def test_the_average_warms_up_and_then_decays_by_its_rate():
    average, expected = {"w": jnp.zeros(2), "s": jnp.ones(())}, [0.0, 1.0]
    for step in range(30):
        new = {"w": jnp.full(2, float(step)), "s": jnp.asarray(2.0 * step)}
        average = moving_average(average, new, jnp.asarray(step), 0.5)
        share = min(0.5, (1 + step) / (10 + step))
        for place, value in enumerate((step, 2 * step)):
            expected[place] = share * expected[place] + (1 - share) * value
    np.testing.assert_allclose(average["w"], expected[0], rtol=1e-5)
    assert float(average["s"]) == pytest.approx(expected[1], rel=1e-5)


def test_of_equal_weights_it_is_these():
    average = {"w": jnp.arange(4.0)}
    assert (moving_average(average, average, jnp.asarray(99), 0.999)["w"] == average["w"]).all()

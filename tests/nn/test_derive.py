"""Cutting a network's variables, and all that is built around them, out of a supernet's."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxnas.nn import abstract_variables, build, cut, cut_like, supernet
from jaxnas.spaces import AdaptationSpace

from .networks import CLASSES, SHAPE, SMALL, by_path, random_variables


def whole_variables(space, classes=CLASSES):
    gates = jnp.zeros((len(space.base.blocks), space.shape[1], 3))
    return random_variables(supernet(space, classes), gates)


def some_network(space, seed=0):
    return build(
        space.derive(np.random.default_rng(seed).normal(size=space.shape)).genotype, CLASSES
    )


@pytest.mark.parametrize("granularity", ["cell", "full"])
@pytest.mark.parametrize("name", SMALL)
def test_a_cut_is_what_the_network_asks_for_with_the_supernets_values(name, granularity):
    space = AdaptationSpace(SMALL[name], granularity)
    variables, network = whole_variables(space), some_network(space)
    shapes = abstract_variables(network, SHAPE)
    found = cut(variables, network, SHAPE)
    assert jax.tree.structure(found) == jax.tree.structure(shapes)
    whole = by_path(variables)
    for path, values in by_path(found).items():
        np.testing.assert_array_equal(values, whole[path])
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(shapes), strict=True):
        assert (one.shape, one.dtype) == (other.shape, other.dtype)


def test_an_optimisers_memory_is_cut_like_the_variables():
    space = AdaptationSpace(SMALL["nat_resnet20_cells"], "full")
    params = whole_variables(space)["params"]
    optimizer = optax.chain(optax.trace(0.9), optax.adam(lambda step: 0.1))
    _, state = optimizer.update(params, optimizer.init(params), params)
    own = cut(
        {"params": params, "batch_stats": whole_variables(space)["batch_stats"]},
        some_network(space),
        SHAPE,
    )
    fresh = optimizer.init(own["params"])
    found = cut_like(state, fresh)
    assert jax.tree.structure(found) == jax.tree.structure(fresh)
    _, expected = optimizer.update(own["params"], fresh, own["params"])
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_array_equal(one, other)


def test_what_the_supernet_lacks_is_named():
    plain = AdaptationSpace(SMALL["plain20"], "cell")
    option_b = build(SMALL["resnet20_b"], CLASSES)
    with pytest.raises(
        ValueError, match=r"supernet has no variable .*'block_1'\]\['edge_1_conv_1x1'\]"
    ):
        cut(whole_variables(plain), option_b, SHAPE)
    params = whole_variables(plain)
    del params["params"]["block_0"]
    with pytest.raises(ValueError, match=r"supernet has no variable .*\['params'\]\['block_0'\]"):
        cut(params, build(SMALL["plain20"], CLASSES), SHAPE)

"""Cutting a network's variables, and all that is built around them, out of a supernet's."""

import dataclasses

import jax
import numpy as np
import optax
import pytest

from jaxnas import training
from jaxnas.nn import abstract_variables, build, cut, cut_like
from jaxnas.spaces import AdaptationSpace
from support.networks import CLASSES, ONE_OF_EACH_FAMILY, SHAPE, SMALL, by_path, quick, whole


def some_network(name):
    space = AdaptationSpace(SMALL[name], "full")
    theta = np.random.default_rng(0).normal(size=space.shape)
    return build(space.derive(theta).genotype, CLASSES)


@pytest.mark.quick_cases(1)
@pytest.mark.parametrize("name", quick(*ONE_OF_EACH_FAMILY))
def test_a_cut_is_what_the_network_asks_for_with_the_supernets_values(name):
    _, variables = whole(name)
    network = some_network(name)
    shapes = abstract_variables(network, SHAPE)
    found = cut(variables, network, SHAPE)
    assert jax.tree.structure(found) == jax.tree.structure(shapes)
    values = by_path(variables)
    for path, leaf in by_path(found).items():
        np.testing.assert_array_equal(leaf, values[path])
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(shapes), strict=True):
        assert (one.shape, one.dtype) == (other.shape, other.dtype)


OPTIMIZERS = {
    "trace and adam": optax.chain(optax.trace(0.9), optax.adam(lambda step: 0.1)),
    "lars": training.lars(0.1, 10, warmup_steps=2),
    "sgd, accumulated": training.accumulate(training.sgd(0.1, 10, decay_norm_and_bias=False), 2),
    "lars, accumulated": training.accumulate(training.lars(0.1, 10), 2),
}


@pytest.mark.parametrize("optimizer", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_an_optimisers_memory_is_cut_like_the_variables(optimizer):
    _, variables = whole("residual_cells")
    shapes = abstract_variables(some_network("residual_cells"), SHAPE)["params"]
    memory, wanted = (
        jax.eval_shape(optimizer.init, params) for params in (variables["params"], shapes)
    )
    rng = np.random.default_rng(0)
    memory = jax.tree.map(lambda leaf: rng.normal(size=leaf.shape), memory)
    found = cut_like(memory, wanted)
    assert jax.tree.structure(found) == jax.tree.structure(wanted)
    assert len(jax.tree.leaves(found)) < len(jax.tree.leaves(memory))
    everything = dict(jax.tree_util.tree_leaves_with_path(memory))
    for path, leaf in jax.tree_util.tree_leaves_with_path(found):
        assert leaf is everything[path]


def test_what_the_supernet_lacks_is_named():
    _, variables = whole("concat")
    base = SMALL["concat"]
    (cell,) = base.cells
    edges = tuple(
        dataclasses.replace(edge, op="conv_1x1") if index == 1 else edge
        for index, edge in enumerate(cell.edges)
    )
    other = dataclasses.replace(base, cells=(dataclasses.replace(cell, edges=edges),))
    missing = r"supernet has no variable .*\['block_0'\]\['edge_1_conv_1x1'\]"
    with pytest.raises(ValueError, match=missing):
        cut(variables, build(other, CLASSES), SHAPE)
    params = {name: leaf for name, leaf in variables["params"].items() if name != "block_1"}
    with pytest.raises(ValueError, match=r"supernet has no variable .*\['params'\]\['block_1'\]"):
        cut({**variables, "params": params}, build(base, CLASSES), SHAPE)

"""ENAS's macro supernet: each candidate computes what the network built from its genotype does."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnas import nn
from jaxnas.nn.macro import MacroSupernet, cut_macro, macro_choice
from jaxnas.spaces import SpaceError
from jaxnas.spaces.enas_macro import MACRO_OPERATIONS, EnasMacroSpace

from .built import assert_same_step, loss_of

SHAPE = (12, 12, 3)
SPACE = EnasMacroSpace(layers=4, channels=4)
NETWORK = MacroSupernet(SPACE, 10)
DECISIONS = len(SPACE.decisions)


@pytest.fixture(scope="module")
def images():
    return jnp.asarray(np.random.default_rng(0).normal(size=(8, *SHAPE)), jnp.float32)


@pytest.fixture(scope="module")
def variables():
    some = macro_choice(SPACE, np.zeros(DECISIONS))
    return nn.init(NETWORK, jax.random.key(0), SHAPE, some)


@pytest.fixture(scope="module")
def step():
    return loss_of(NETWORK)


@pytest.mark.parametrize("seed", [0, *(pytest.param(n, marks=pytest.mark.slow) for n in (1, 2))])
def test_a_candidate_is_the_network_of_its_genotype(seed, images, variables, step):
    candidate = np.random.default_rng(seed).integers(0, SPACE.options).astype(np.int32)
    choice = jax.jit(functools.partial(macro_choice, SPACE))(candidate)
    built = nn.build(SPACE.decode(candidate), 10)
    initial = cut_macro(NETWORK, variables, candidate)
    abstract = nn.abstract_variables(built, SHAPE)
    assert jax.tree.map(jnp.shape, initial) == jax.tree.map(lambda leaf: leaf.shape, abstract)
    found = step(variables["params"], variables, images, choice)
    cut = functools.partial(cut_macro, NETWORK, candidate=candidate)
    assert_same_step(found, cut, built, initial, images)
    assert step._cache_size() == 1, "other candidates, the same program"


def test_every_operation_of_a_layer_is_another(images, variables, step):
    # In the authors' code all branches return the last one's output.
    outs = []
    for op in range(len(MACRO_OPERATIONS)):
        candidate = np.zeros(DECISIONS, np.int32)
        candidate[0] = op
        choice = macro_choice(SPACE, candidate)
        outs.append(step(variables["params"], variables, images, choice)[0][1][0])
    for one in range(len(outs)):
        for other in range(one):
            assert np.abs(outs[one] - outs[other]).max() > 1e-3, (one, other)
    assert step._cache_size() == 1, "other operations, the same program"


def test_a_wrong_candidate_is_refused(variables):
    with pytest.raises(SpaceError, match="has decided 3 of 10"):
        cut_macro(NETWORK, variables, np.zeros(3, np.int32))

"""ENAS's macro supernet: each candidate computes what the network built from its genotype does."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnas import nn
from jaxnas.nn import MacroSupernet, cut_macro, macro_choice
from jaxnas.spaces import SpaceError
from jaxnas.spaces.enas_macro import MACRO_OPERATIONS, EnasMacroSpace

from .built import assert_same_step, loss_of

SHAPE = (12, 12, 3)


class Case(NamedTuple):
    space: EnasMacroSpace
    network: MacroSupernet
    variables: Any
    step: Any


@pytest.fixture(scope="module")
def images():
    return jnp.asarray(np.random.default_rng(0).normal(size=(8, *SHAPE)), jnp.float32)


SLOW_LAYERS = [pytest.param(layers, marks=pytest.mark.slow) for layers in (3, 4)]


@pytest.fixture(scope="module", params=[2, *SLOW_LAYERS])  # two have a skip and no reduction
def case(request):
    """A supernet of so many layers, its variables and its compiled step."""
    space = EnasMacroSpace(layers=request.param, channels=4)
    network = MacroSupernet(space, 10)
    some = macro_choice(space, np.zeros(len(space.decisions)))
    variables = nn.init(network, jax.random.key(0), SHAPE, some)
    return Case(space, network, variables, loss_of(network))


@pytest.mark.parametrize("seed", [0, *(pytest.param(n, marks=pytest.mark.slow) for n in (1, 2))])
def test_a_candidate_is_the_network_of_its_genotype(seed, images, case):
    space, network, variables, step = case
    candidate = np.random.default_rng(seed).integers(0, space.options).astype(np.int32)
    choice = jax.jit(functools.partial(macro_choice, space))(candidate)
    built = nn.build(space.decode(candidate), 10)
    initial = cut_macro(network, variables, candidate)
    abstract = nn.abstract_variables(built, SHAPE)
    assert jax.tree.map(jnp.shape, initial) == jax.tree.map(lambda leaf: leaf.shape, abstract)
    found = step(variables["params"], variables, images, choice)
    cut = functools.partial(cut_macro, network, candidate=candidate)
    assert_same_step(found, cut, built, initial, images)
    assert step._cache_size() == 1, "other candidates, the same program"


def test_every_operation_of_a_layer_is_another(images, case):
    space, _, variables, step = case
    # In the authors' code all branches return the last one's output.
    outs = []
    for op in range(len(MACRO_OPERATIONS)):
        candidate = np.zeros(len(space.decisions), np.int32)
        candidate[0] = op
        choice = macro_choice(space, candidate)
        outs.append(step(variables["params"], variables, images, choice)[0][1][0])
    for one in range(len(outs)):
        for other in range(one):
            assert np.abs(outs[one] - outs[other]).max() > 1e-3, (one, other)
    assert step._cache_size() == 1, "other operations, the same program"


def test_a_wrong_candidate_is_refused(case):
    with pytest.raises(SpaceError, match=f"has decided 1 of {len(case.space.decisions)}"):
        cut_macro(case.network, case.variables, np.zeros(1, np.int32))

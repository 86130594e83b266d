"""ENAS's macro supernet: each candidate computes what the network built from its genotype does."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnas import nn
from jaxnas.nn.macro import MacroSupernet, cut_macro, macro_choice
from jaxnas.spaces import SpaceError
from jaxnas.spaces.enas_macro import MACRO_OPERATIONS, EnasMacroSpace

SHAPE = (12, 12, 3)
SPACE = EnasMacroSpace(layers=4, channels=4)
NETWORK = MacroSupernet(SPACE, 10)
DECISIONS = len(SPACE.decisions)


def weighted(out):
    """A scalar that depends on every number in `out`."""
    return (out * jnp.cos(jnp.arange(10.0))).sum()


@pytest.fixture(scope="module")
def images():
    return jnp.asarray(np.random.default_rng(0).normal(size=(8, *SHAPE)), jnp.float32)


@pytest.fixture(scope="module")
def variables():
    some = macro_choice(SPACE, np.zeros(DECISIONS))
    return nn.init(NETWORK, jax.random.key(0), SHAPE, some)


@pytest.fixture(scope="module")
def step():
    def loss(params, variables, x, candidate):
        choice = macro_choice(SPACE, candidate)
        out, changed = NETWORK.apply(
            {**variables, "params": params}, x, choice, train=True, mutable=["batch_stats"]
        )
        return weighted(out), (out, changed["batch_stats"])

    return jax.jit(jax.value_and_grad(loss, has_aux=True))


def close(found, wanted, tolerance):
    assert jax.tree.structure(found) == jax.tree.structure(wanted)
    for (path, ours), theirs in zip(
        jax.tree_util.tree_leaves_with_path(found), jax.tree.leaves(wanted), strict=True
    ):
        scale = np.abs(theirs).max() + 1e-2
        assert np.abs(ours - theirs).max() <= tolerance * scale, jax.tree_util.keystr(path)


@pytest.mark.parametrize("seed", range(3))
def test_a_candidate_is_the_network_of_its_genotype(seed, images, variables, step):
    candidate = np.random.default_rng(seed).integers(0, SPACE.options).astype(np.int32)
    (_, (out, statistics)), gradient = step(variables["params"], variables, images, candidate)
    built = nn.build(SPACE.decode(candidate), 10)
    initial = cut_macro(NETWORK, variables, candidate)
    abstract = nn.abstract_variables(built, SHAPE)
    assert jax.tree.map(jnp.shape, initial) == jax.tree.map(lambda leaf: leaf.shape, abstract)

    @jax.jit
    def alone(params):
        def loss(params):
            out, changed = built.apply(
                {**initial, "params": params}, images, train=True, mutable=["batch_stats"]
            )
            return weighted(out), (out, changed["batch_stats"])

        return jax.value_and_grad(loss, has_aux=True)(params)

    (_, (wanted, wanted_statistics)), wanted_gradient = alone(initial["params"])
    assert np.abs(wanted).max() > 0.1
    np.testing.assert_allclose(out, wanted, rtol=1e-4, atol=1e-4)
    cut = cut_macro(NETWORK, {"params": gradient, "batch_stats": statistics}, candidate)
    close(cut["batch_stats"], wanted_statistics, 1e-4)
    close(cut["params"], wanted_gradient, 1e-2)
    # All of the gradient is in what was cut.
    whole, part = (
        sum(float((leaf**2).sum()) for leaf in jax.tree.leaves(tree))
        for tree in (gradient, cut["params"])
    )
    assert whole == pytest.approx(part, rel=1e-4)
    assert step._cache_size() == 1, "other candidates, the same program"


def test_every_operation_of_a_layer_is_another(images, variables, step):
    # In the authors' code all branches return the last one's output.
    outs = []
    for op in range(len(MACRO_OPERATIONS)):
        candidate = np.zeros(DECISIONS, np.int32)
        candidate[0] = op
        outs.append(step(variables["params"], variables, images, candidate)[0][1][0])
    for one in range(len(outs)):
        for other in range(one):
            assert np.abs(outs[one] - outs[other]).max() > 1e-3, (one, other)


def test_a_wrong_candidate_is_refused(variables):
    with pytest.raises(SpaceError, match="has decided 3 of 10"):
        cut_macro(NETWORK, variables, np.zeros(3, np.int32))

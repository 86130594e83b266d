"""Scores without training: against NumPy, and of a supernet against the network alone."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen

from jaxnas import nn
from jaxnas.nn import NASBench201Supernet
from jaxnas.nn.layers import Dense
from jaxnas.search import gradient_norm, naswot, synflow
from jaxnas.spaces import NASBench201Space, zoo
from support import reference
from support.networks import SMALL, images, random_variables

SHAPE = (8, 8, 3)
LABELS = jnp.arange(6) % 5
X = images(batch=6, shape=SHAPE)
NETWORK = nn.build(SMALL["nasbench201"], 5)
VARIABLES = random_variables(NETWORK, shape=SHAPE)


@pytest.mark.parametrize("scale", [1.0, 1e9])
def test_synflow_is_the_growth_of_the_sum_of_logits_as_all_kernels_grow(scale):
    """Nothing is negative, and so the sum of w dR/dw is the derivative of R((1 + t) w) by t."""

    class WithoutNorms(reference.Reference):
        def norm(self, path, x):
            return x

    def output(factor):
        kernels = jax.tree.map(
            lambda w: factor * np.abs(np.asarray(w, np.float64)) * scale, VARIABLES["params"]
        )
        # The classifier's bias is no kernel: it does not grow.
        kernels["classifier"]["bias"] = np.zeros(5)
        found = WithoutNorms({"params": kernels}).network(NETWORK.genotype, np.ones((1, *SHAPE)))
        return found.sum()

    step = 1e-4
    expected = np.log((output(1 + step) - output(1 - step)) / (2 * step))
    params = jax.tree.map(lambda w: w * scale, VARIABLES["params"])
    assert expected > np.log(np.finfo(np.float32).max) or scale == 1, "float32 would not hold it"
    found = jax.jit(lambda params: synflow(NETWORK, params, SHAPE))(params)
    assert float(found) == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize(
    "name", ["darts_v2", "proxyless_mobile", "mnasnet_a1", "enas_macro", "nas2017"]
)
def test_synflow_refuses_networks_that_are_not_linear(name):
    genotype = SMALL[name] if name == "nas2017" else zoo.named(name)
    with pytest.raises(ValueError, match=f"synflow is for chains of blocks with ReLU.*{name}"):
        synflow(nn.build(genotype, 10), {}, (32, 32, 3))


def test_naswot_is_the_determinant_of_how_often_codes_agree(monkeypatch):
    codes = []

    def relu(x):
        codes.append(x.reshape(len(x), -1) > 0)
        return np.maximum(x, 0)

    monkeypatch.setattr(reference, "relu", relu)
    reference.Reference(VARIABLES, train=True).network(NETWORK.genotype, X)
    codes = np.concatenate(codes, 1)
    agree = (codes[:, None] == codes[None]).sum(-1)
    expected = np.linalg.slogdet(agree.astype(np.float64))[1]
    found = jax.jit(lambda variables: naswot(NETWORK, variables, X))(VARIABLES)
    assert float(found) == pytest.approx(expected, abs=1e-3)


class TwoLayers(linen.Module):
    """A linear network of the images' mean."""

    @linen.compact
    def __call__(self, x, *, train):
        return Dense(5, name="last")(Dense(4, name="first")(x.mean((1, 2))))


def test_the_gradient_norm_is_a_sum_over_kernels():
    module = TwoLayers()
    variables = module.init(jax.random.key(0), X, train=True)
    x = np.asarray(X, np.float64).mean((1, 2))
    first, last = (
        np.asarray(variables["params"][name]["kernel"], np.float64) for name in ("first", "last")
    )
    logits = x @ first @ last
    shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    by_logits = (shares - np.eye(5)[LABELS]) / len(x)
    expected = np.linalg.norm(x.T @ by_logits @ last.T) + np.linalg.norm((x @ first).T @ by_logits)
    assert float(gradient_norm(module, variables, X, LABELS)) == pytest.approx(expected, rel=1e-5)


SCORES = {
    "synflow": lambda network, variables, *args: synflow(
        network, variables["params"], SHAPE, *args
    ),
    "naswot": lambda network, variables, *args: naswot(network, variables, X, *args),
    "gradient_norm": lambda network, variables, *args: gradient_norm(
        network, variables, X, LABELS, *args
    ),
}
# It follows from equal logits, of which there is a quicker test.
SLOW = pytest.param("gradient_norm", marks=pytest.mark.slow)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["synflow", "naswot", SLOW])
def test_the_supernet_scores_the_chosen_network(name):
    space = NASBench201Space(channels=4, cells=1)
    supernet = NASBench201Supernet(space, 5)
    variables = random_variables(supernet, jnp.zeros((6, 5)), shape=SHAPE)
    score, candidate = SCORES[name], np.array([3, 1, 2, 4, 2, 0])  # every operation
    network = nn.build(space.decode(candidate), 5)
    expected = jax.jit(lambda own: score(network, own))(nn.cut(variables, network, SHAPE))
    whole = jax.jit(lambda variables, gates: score(supernet, variables, gates))
    found = whole(variables, jnp.eye(5)[candidate])
    assert float(found) == pytest.approx(float(expected), rel=1e-4)
    if name == "synflow":
        assert whole(variables, jnp.eye(5)[np.array([3, 0, 0, 0, 0, 3])]) == -jnp.inf

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


@pytest.mark.parametrize(
    ("name", "scale"),
    [
        ("nasbench201", 1.0),
        ("nasbench201", 1e9),
        *(
            pytest.param(name, scale, marks=pytest.mark.slow)
            for name, genotype in SMALL.items()
            for scale in (1.0, 1e9)
            # The reference's ReLU6 cuts off; and no float32 holds five such kernels in one block.
            if name != "nasbench201" and genotype.activation == "relu"
            if scale == 1 or name in ("resnets", "bottlenecks", "tangle", "macro")
        ),
    ],
)
def test_synflow_is_the_growth_of_the_sum_of_logits_as_all_kernels_grow(name, scale):
    """Nothing is negative, and so the sum of w dR/dw is the derivative of R((1 + t) w) by t."""
    network = nn.build(SMALL[name], 5)
    variables = random_variables(network, shape=SHAPE)

    class WithoutNorms(reference.Reference):
        def norm(self, path, x):
            return x

    def output(factor):
        kernels = jax.tree.map(
            lambda w: factor * np.abs(np.asarray(w, np.float64)) * scale, variables["params"]
        )
        # The classifier's bias is no kernel: it does not grow.
        kernels["classifier"]["bias"] = np.zeros(5)
        found = WithoutNorms({"params": kernels}).network(network.genotype, np.ones((1, *SHAPE)))
        return found.sum()

    step = 1e-4
    expected = np.log((output(1 + step) - output(1 - step)) / (2 * step))
    params = jax.tree.map(lambda w: w * scale, variables["params"])
    assert expected > np.log(np.finfo(np.float32).max) or scale == 1, "float32 would not hold it"
    found = jax.jit(lambda params: synflow(network, {**variables, "params": params}, SHAPE))(params)
    assert float(found) == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("name", ["mnasnet_a1", "chain"])
def test_synflow_refuses_networks_that_are_not_linear(name):
    network = nn.build(SMALL[name] if name in SMALL else zoo.named(name), 10)
    with pytest.raises(ValueError, match=r"synflow is for networks that are lin.*squeeze_exc"):
        jax.eval_shape(
            lambda variables: synflow(network, variables, (32, 32, 3)),
            nn.abstract_variables(network, (32, 32, 3)),
        )


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


@pytest.mark.slow
def test_synflow_of_no_path_is_minus_infinity():
    space = NASBench201Space(channels=4, cells=1)
    supernet = NASBench201Supernet(space, 5)
    variables = random_variables(supernet, jnp.zeros((6, 5)), shape=SHAPE)
    score = jax.jit(lambda gates: synflow(supernet, variables, SHAPE, gates))
    assert score(jnp.eye(5)[np.array([3, 0, 0, 0, 0, 3])]) == -jnp.inf
    assert jnp.isfinite(score(jnp.eye(5)[np.array([3, 0, 0, 3, 0, 3])]))


def test_what_has_no_logits_or_no_relu_is_refused():
    without_logits = nn.build(SMALL["nasbench201"], nn.Projector((4,)))
    variables = random_variables(without_logits, shape=SHAPE)
    for refused in (
        lambda: synflow(without_logits, variables, SHAPE),
        lambda: gradient_norm(without_logits, variables, X, LABELS),
    ):
        with pytest.raises(ValueError, match="scores are of networks that end in logits"):
            jax.eval_shape(refused)
    module = TwoLayers()
    with pytest.raises(ValueError, match="naswot is for networks with ReLUs"):
        naswot(module, module.init(jax.random.key(0), X, train=True), X)

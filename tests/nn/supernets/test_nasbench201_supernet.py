"""NAS-Bench-201's networks and their supernet."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnas import nn
from jaxnas.nn import NASBench201Supernet
from jaxnas.spaces import NASBench201Space
from support.networks import assert_close, images, random_variables

SMALL = NASBench201Space(channels=4, cells=1)
SHAPE = (8, 8, 3)
# Every operation; a node that nothing reaches, one that nothing reads, none of both.
CANDIDATES = [[3, 1, 2, 4, 2, 0], [0, 4, 2, 3, 1, 2], [2, 3, 4, 1, 0, 0]]


def gates(candidate):
    return jax.nn.one_hot(jnp.array(candidate), 5)


def test_costs_are_the_parameters_that_the_space_says():
    whole = NASBench201Space()
    for candidate in CANDIDATES:
        network = nn.build(whole.decode(np.array(candidate)), 100)
        cost = nn.cost(network, (32, 32, 3))
        assert cost.params == whole.parameters(np.array(candidate), 100)
        # A multiply-add for each weight of a convolution and each pixel it is at: by stages.
        small = nn.cost(network, (16, 16, 3))
        classifier = 64 * 100
        assert cost.macs - classifier == 4 * (small.macs - classifier)
    with pytest.raises(ValueError, match="no path of edges leads"):
        nn.build(whole.decode(np.array([3, 0, 0, 0, 0, 3])), 10)


@pytest.mark.slow
def test_the_supernet_with_one_hot_gates_is_the_network_alone():
    supernet = NASBench201Supernet(SMALL, 5)
    variables = random_variables(supernet, gates(CANDIDATES[0]), shape=SHAPE)
    x = images(shape=SHAPE)

    @jax.jit
    def chosen(gates):
        logits, changed = supernet.apply(variables, x, gates, train=True, mutable=["batch_stats"])
        return supernet.apply(variables, x, gates, train=False), logits, changed["batch_stats"]

    for candidate in CANDIDATES[:2]:
        network = nn.build(SMALL.decode(np.array(candidate)), 5)
        own = nn.cut(variables, network, SHAPE)
        alone, (trained, changed) = jax.jit(
            lambda own, network=network: (
                network.apply(own, x, train=False),
                network.apply(own, x, train=True, mutable=["batch_stats"]),
            )
        )(own)
        found = chosen(gates(candidate))
        assert_close(found[:2], (alone, trained))
        assert_close(nn.cut_like(found[2], changed["batch_stats"]), changed["batch_stats"])


def test_supernet_and_network_start_from_the_same_values():
    key = jax.random.key(3)
    network = nn.build(SMALL.decode(np.array(CANDIDATES[0])), 5)
    supernet = nn.init(NASBench201Supernet(SMALL, 5), key, SHAPE, gates(CANDIDATES[0]))
    alone = nn.init(network, key, SHAPE)
    jax.tree.map(np.testing.assert_array_equal, nn.cut(supernet, network, SHAPE), alone)


@pytest.mark.slow
def test_a_network_learns():
    network = nn.build(SMALL.decode(np.array(CANDIDATES[0])), 5)
    variables = nn.init(network, jax.random.key(0), SHAPE)
    x, labels = images(batch=8, shape=SHAPE), jnp.arange(8) % 5

    @jax.jit
    def step(params):
        def loss(params):
            now = {**variables, "params": params}
            logits, _ = network.apply(now, x, train=True, mutable=["batch_stats"])
            return -jax.nn.log_softmax(logits)[jnp.arange(8), labels].mean()

        value, gradients = jax.value_and_grad(loss)(params)
        return value, jax.tree.map(lambda w, g: w - 0.05 * g, params, gradients)

    losses, params = [], variables["params"]
    for _ in range(5):
        value, params = step(params)
        losses.append(float(value))
    assert np.all(np.diff(losses) < 0)

"""The space of NAS (Zoph & Le 2017): its rules, its size, and which candidates are one network."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnas import nn
from jaxnas.spaces import Nas2017Space, SpaceError, zoo

TINY = Nas2017Space(layers=4, sides=(1, 3), filters=(2, 3), strides=(1, 2, 3))


def test_sizes():
    """Of 15 layers there are 64 kinds of each, or 576 with strides, and 105 skips."""
    assert Nas2017Space().size == 64**15 * 2**105
    assert f"{Nas2017Space().size:.1e}" == "5.0e+58"
    strided = Nas2017Space(strides=(1, 2, 3))
    assert strided.size == (9 * 64) ** 15 * 2**105
    # At least as many as if each network had all 15! orders of its layers, at most all.
    for space in (Nas2017Space(), strided):
        assert space.size // 1_307_674_368_000 < space.unique_size < space.size
    assert Nas2017Space(layers=1).unique_size == 64
    # Two layers, one behind the other, or side by side in either order.
    assert Nas2017Space(layers=2).unique_size == 64 * 64 + 64 * 65 // 2


def test_decides_in_the_papers_order():
    assert [each.name for each in TINY.decisions][5:11] == [
        "layer 2, filter height",
        "layer 2, filter width",
        "layer 2, stride height",
        "layer 2, stride width",
        "layer 2, skip from layer 1",
        "layer 2, filters",
    ]
    assert [each.kind for each in Nas2017Space(layers=1).decisions] == [
        "filter height",
        "filter width",
        "filters",
    ]
    assert Nas2017Space().levels[-1] == len(Nas2017Space().decisions) == 45 + 105


def test_a_candidate_means_what_it_says():
    layers = [[1, 0, 2, 0, 1], [0, 0, 0, 0, 0, 0], [0, 1, 0, 1, 1, 1, 0], [1] * 4 + [0, 1, 0] + [1]]
    network = TINY.decode(np.concatenate(layers))
    assert str(network).split("\n")[-1] == (
        "  blocks: conv_3x1 3/3x1 of -1, conv_1x1 2 of -1, conv_1x3 2/1x2 of 0 1, "
        "conv_3x3 3/2x2 of 1"
    )
    assert network.head_inputs() == (2, 3)
    plain = Nas2017Space(layers=2).decode(np.array([0, 3, 2, 1, 2, 1, 3]))
    assert str(plain).endswith("blocks: conv_1x7 48 of -1, conv_3x5 64 of 0")


def test_renumbered_layers_are_one_network():
    """One behind the other stays so; two side by side come in one order."""
    space = Nas2017Space(layers=2, sides=(1, 3), filters=(4,))
    side_by_side = np.array([[1, 0, 0, 0, 1, 0, 0], [0, 1, 0, 1, 0, 0, 0]])
    one, other = space.canonical(side_by_side)
    np.testing.assert_array_equal(one, other)
    behind = np.array([[1, 0, 0, 0, 1, 1, 0], [0, 1, 0, 1, 0, 1, 0]])
    np.testing.assert_array_equal(space.canonical(behind), behind)


def test_the_canonical_network_is_the_same_in_another_order():
    rng = np.random.default_rng(0)
    moved = 0
    for _ in range(6):
        candidate = rng.integers(0, TINY.options)
        before, after = (TINY.decode(each) for each in (candidate, TINY.canonical(candidate)))
        moved += before != after
        layers = [
            sorted((b.cell, b.channels, b.strides, len(b.sources)) for b in each.blocks)
            for each in (before, after)
        ]
        assert layers[0] == layers[1]
        costs = [nn.cost(nn.build(each, 10), (9, 7, 3)) for each in (before, after)]
        assert costs[0] == costs[1]
    assert moved > 1


def test_a_network_learns_from_small_images():
    rng = np.random.default_rng(1)
    space = Nas2017Space(layers=4, sides=(1, 3), filters=(8,), strides=(1, 2))
    network = nn.build(space.decode(rng.integers(0, space.options)), 10)
    variables = nn.init(network, jax.random.key(0), (9, 7, 3))
    x = jnp.asarray(rng.normal(size=(4, 9, 7, 3)), jnp.float32)

    @jax.jit
    def gradient(params):
        def loss(params):
            tree = {**variables, "params": params}
            logits, _ = network.apply(tree, x, train=True, mutable=["batch_stats"])
            return jax.nn.log_softmax(logits)[jnp.arange(4), jnp.arange(4)].sum()

        return jax.grad(loss)(params)

    for path, leaf in jax.tree_util.tree_leaves_with_path(gradient(variables["params"])):
        assert np.isfinite(leaf).all()
        assert np.any(leaf), jax.tree_util.keystr(path)


def test_parameters_by_hand():
    """A chain of two layers of 24 filters 3x5, and one beside it: 36 of 7x1."""
    space = Nas2017Space(layers=3)
    candidate = np.array([1, 2, 0, 1, 2, 1, 0, 3, 0, 0, 0, 1])
    cost = nn.cost(nn.build(space.decode(candidate), 10), (32, 32, 3))
    kernels = 15 * 3 * 24, 15 * 24 * 24, 7 * 3 * 36
    assert cost.params == sum(kernels) + 2 * (24 + 24 + 36) + 60 * 10 + 10
    assert cost.macs == 32 * 32 * sum(kernels) + 600


def test_refuses_networks():
    space = Nas2017Space(layers=2, sides=(3,), filters=(4, 8))
    network = space.decode(np.array([0, 0, 1, 0, 0, 1, 0]))
    first, second = network.blocks
    others = [
        zoo.resnet(8),
        zoo.enas_macro(4, 2),
        Nas2017Space(layers=3).decode(np.zeros(12, int)),
        Nas2017Space(layers=2, sides=(1, 3)).decode(np.zeros(7, int)),
    ]
    others += [
        dataclasses.replace(network, blocks=(first, dataclasses.replace(second, **changes)))
        for changes in ({"channels": 6}, {"strides": (1, 2)}, {"sources": (-1, 0)})
    ]
    for other in others:
        with pytest.raises(
            SpaceError, match=r"is no network of 2 layers of nas2017 with .*\(4, 8\)"
        ):
            space.encode(other)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"layers": 0}, "layers must be positive, not 0"),
        ({"sides": ()}, r"sides must be of 1, 3, 5 and 7, each once, not \(\)"),
        ({"sides": (3, 9)}, r"sides must be of 1, 3, 5 and 7, .* not \(3, 9\)"),
        ({"filters": ()}, r"filters must be positive, each once, not \(\)"),
        ({"filters": (4, 0)}, r"filters must be positive, .* not \(4, 0\)"),
        ({"filters": (4, 4)}, r"filters .* each once, not \(4, 4\)"),
        ({"strides": (1, 4)}, r"strides must be of 1, 2 and 3, .* not \(1, 4\)"),
        ({"strides": (2, 2)}, r"strides .* each once, not \(2, 2\)"),
    ],
)
def test_refuses_choices(changes, message):
    with pytest.raises(ValueError, match=message):
        Nas2017Space(**changes)


def test_the_network_that_nas_found_is_in_its_space():
    space = Nas2017Space()
    found = zoo.named("nas_v1")
    assert space.decode(space.encode(found)) == dataclasses.replace(found, name=space.name)

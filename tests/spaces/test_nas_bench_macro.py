"""NAS-Bench-Macro's chain against its published sizes and a count of parameters by hand."""

import numpy as np
import pytest

from jaxnas import nn
from jaxnas.spaces import NasBenchMacroSpace, SpaceError, zoo

SPACE = NasBenchMacroSpace()


def test_published_sizes():
    assert SPACE.size == 6_561
    assert SPACE.unique_size == 3_969
    everything = np.indices([3] * 8).reshape(8, -1).T
    assert len(np.unique(SPACE.canonical(everything), axis=0)) == 3_969
    assert len(SPACE.decisions) == 8


def params_by_hand(candidate: list[int]) -> int:
    """Convolutions without bias, a scale and a bias for each batch norm, and a dense layer."""
    total, width = 27 * 32 + 2 * 32, 32
    for index, choice in enumerate(candidate):
        first = index in (0, 2, 5)
        out = 2 * width if first else width
        if choice == 0:
            total += width * out + 2 * out if first else 0
        else:
            kernel, inner = ((3, 3), (5, 6))[choice - 1]
            inner *= width
            total += width * inner + 2 * inner + kernel**2 * inner + 2 * inner
            total += inner * out + 2 * out
        width = out
    return total + width * 1280 + 2 * 1280 + 1280 * 10 + 10


def test_networks_have_the_parameters_of_the_authors_model():
    for candidate in ([0, 0, 0, 0, 0, 0, 0, 0], [1, 2, 0, 2, 0, 2, 1, 1]):
        network = nn.build(SPACE.decode(np.array(candidate)), 10)
        assert nn.cost(network, (32, 32, 3)).params == params_by_hand(candidate)


def test_identities_are_left_out_but_for_the_first_of_a_stage():
    network = SPACE.decode(np.array([0, 0, 1, 0, 2, 2, 0, 0]))
    assert [(block.cell, block.channels, block.stride) for block in network.blocks] == [
        ("projection", 64, 2),
        ("k3e3", 128, 2),
        ("k5e6_shortcut", 128, 1),
        ("k5e6", 256, 2),
    ]
    canonical = SPACE.canonical(np.array([0, 0, 1, 0, 2, 2, 0, 0]))
    np.testing.assert_array_equal(canonical, [0, 0, 1, 2, 0, 2, 0, 0])
    np.testing.assert_array_equal(SPACE.encode(network), canonical)


def test_refuses_networks_and_fields():
    longer = NasBenchMacroSpace(stages=(2, 3, 4))
    others = (
        zoo.resnet(20),
        longer.decode(np.full(9, 1)),
        NasBenchMacroSpace((2, 3)).decode(np.full(5, 1)),
        NasBenchMacroSpace(head=64).decode(np.full(8, 1)),
    )
    for other in others:
        with pytest.raises(SpaceError, match="is no network of nas_bench_macro with stages of 2"):
            SPACE.encode(other)
    with pytest.raises(ValueError, match=r"must be positive, not \(2, 0\), 32 and 1280"):
        NasBenchMacroSpace(stages=(2, 0))

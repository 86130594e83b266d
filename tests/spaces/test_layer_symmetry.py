"""Orders and counts of layers against enumeration and published numbers."""

import itertools
import random

import pytest

from jaxnas.spaces.symmetry.layers import first_order, unique_layers


def test_counts_of_graphs_without_circles_are_the_known_ones():
    """OEIS A003087."""
    known = [1, 2, 6, 31, 302, 5984, 243668, 20286025]
    assert [unique_layers(layers, 1) for layers in range(1, 9)] == known


def networks(layers, colours):
    """All networks as (colours, sources)."""
    pairs = [(source, layer) for layer in range(layers) for source in range(layer)]
    for chosen in itertools.product(range(colours), repeat=layers):
        for bits in itertools.product((False, True), repeat=len(pairs)):
            edges = [pair for pair, taken in zip(pairs, bits, strict=True) if taken]
            yield chosen, [[s for s, t in edges if t == layer] for layer in range(layers)]


def renumbered(colours, sources, order):
    """The network whose layer at each place is that of `order`."""
    place = {layer: index for index, layer in enumerate(order)}
    reads = tuple(tuple(sorted(place[each] for each in sources[layer])) for layer in order)
    return tuple(colours[layer] for layer in order), reads


@pytest.mark.parametrize(("layers", "colours"), [(1, 3), (2, 3), (3, 2), (4, 2)])
def test_orders_and_counts_against_all_orders(layers, colours):
    forms = {}
    for network in networks(layers, colours):
        found = renumbered(*network, first_order(*network))
        assert all(max(reads, default=-1) < place for place, reads in enumerate(found[1]))
        # The least of all numberings, in order or not: equal for equal networks, and only for them.
        orders = itertools.permutations(range(layers))
        label = min(renumbered(*network, order) for order in orders)
        assert forms.setdefault(label, found) == found
    assert len(set(forms.values())) == len(forms) == unique_layers(layers, colours)


def some_order(sources, chance):
    """A random order in which each layer comes behind its sources."""
    order = []
    while len(order) < len(sources):
        free = [
            layer
            for layer, reads in enumerate(sources)
            if layer not in order and set(reads) <= set(order)
        ]
        order.append(chance.choice(free))
    return order


ALIKE = {
    "none reads another": [[]] * 15,
    "seven times two in a row": [[] if layer < 7 else [layer - 7] for layer in range(14)],
    "all are read in part": [[]] * 9 + [list(range(k, 9, k)) for k in range(1, 6)],
    "each reads all": [list(range(layer)) for layer in range(15)],
}


@pytest.mark.parametrize("sources", ALIKE.values(), ids=ALIKE)
def test_many_layers_that_are_alike_have_one_order(sources):
    colours, chance = [0] * len(sources), random.Random(0)
    first = renumbered(colours, sources, first_order(colours, sources))
    for _ in range(2):
        other = renumbered(colours, sources, some_order(sources, chance))
        assert renumbered(*other, first_order(*other)) == first

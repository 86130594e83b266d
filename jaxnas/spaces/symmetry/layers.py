"""Networks of layers that are the same network: with the layers in another order.

A layer has a colour, which is all that it decides on its own, and reads earlier layers. How a
network numbers its layers says nothing, as long as each comes behind those that it reads.
"""

from __future__ import annotations

import collections
import functools
import itertools
import math
from collections.abc import Hashable, Sequence
from typing import Any

from jaxnas.spaces.symmetry.blocks import cycle_types


def first_order(colours: Sequence[Hashable], sources: Sequence[Sequence[int]]) -> tuple[int, ...]:
    """An order of the layers that is the same however they came numbered.

    Layers that differ in their colours, or in those of what they read and of what reads them, and
    so on, are told apart first. At each place of the order then stands the least of the layers
    whose sources stand before it. Where several are alike all are tried, save those that may be
    exchanged outright: networks of many layers that are alike, but not exchangeable, take long.

    Args:
      colours: of each layer, comparable.
      sources: of each layer the earlier ones that it reads.

    Returns:
      The layers, by their numbers.
    """
    layers = range(len(colours))
    readers = [[each for each in layers if layer in sources[each]] for layer in layers]
    classes, count = _ranks(colours), 0
    while len(set(classes)) > count:
        count = len(set(classes))
        classes = _ranks(
            [
                (
                    classes[layer],
                    sorted(classes[each] for each in sources[layer]),
                    sorted(classes[each] for each in readers[layer]),
                )
                for layer in layers
            ]
        )
    orders: list[tuple[int, ...]] = [()]
    for _ in layers:
        following: dict[tuple[int, ...], list[tuple[int, ...]]] = collections.defaultdict(list)
        for order in orders:
            place = {layer: index for index, layer in enumerate(order)}
            seen = []
            for layer in layers:
                free = layer not in place and all(each in place for each in sources[layer])
                alike = (classes[layer], set(sources[layer]), readers[layer])
                if free and alike not in seen:
                    seen.append(alike)
                    key = (classes[layer], *sorted(place[each] for each in sources[layer]))
                    following[key].append((*order, layer))
        orders = following[min(following)]
    return orders[0]


def _ranks(values: Sequence[Any]) -> list[int]:
    """The place of each value among the different ones, in order."""
    different = [key for key, _ in itertools.groupby(sorted(values))]
    return [different.index(value) for value in values]


@functools.lru_cache
def unique_layers(layers: int, colours: int) -> int:
    """How many networks of layers differ by more than the order of their layers, exactly.

    These are directed graphs without circles, up to isomorphism (Robinson 1977). By Burnside's
    lemma: the mean, over all orders of the layers, of the number of labelled networks that they
    leave as they are. The layers of a cycle have one colour and read none of their own cycle, and
    the cycles among themselves have no circle.

    Args:
      layers: how many.
      colours: that each may have.
    """
    total = sum(
        orders * colours ** len(cycles) * _acyclic(cycles) for cycles, orders in cycle_types(layers)
    )
    return total // math.factorial(layers)


@functools.cache
def _acyclic(cycles: tuple[int, ...]) -> int:
    """How many graphs without circles an order with cycles of such lengths leaves as they are.

    By inclusion and exclusion over the cycles that read none (Robinson's recursion). Of the edges
    between cycles of lengths a and b the order makes gcd(a, b) orbits, each there or not.
    """
    if not cycles:
        return 1
    total = 0
    counted = sorted(collections.Counter(cycles).items())
    for chosen in itertools.product(*(range(times + 1) for _, times in counted)):
        if not any(chosen):
            continue
        pairs = list(zip(counted, chosen, strict=True))
        rest = [(length, times - taken) for (length, times), taken in pairs]
        orbits = sum(
            taken * times * math.gcd(length, other)
            for (length, _), taken in pairs
            for other, times in rest
        )
        ways = math.prod(math.comb(times, taken) for (_, times), taken in pairs)
        left = tuple(length for length, times in rest for _ in range(times))
        total -= (-1) ** sum(chosen) * ways * 2**orbits * _acyclic(left)
    return total

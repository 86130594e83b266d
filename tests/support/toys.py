"""Spaces of no networks, to search where the answer is known."""

import numpy as np

from jaxnas.spaces import Decision, Space


class Toy(Space):
    """Decisions of given numbers of options."""

    def __init__(self, *options):
        self._decisions = tuple(
            Decision(f"decision {place}", tuple(f"option {i}" for i in range(count)), f"of {count}")
            for place, count in enumerate(options)
        )

    name = "toy"
    decisions = property(lambda self: self._decisions)


MIXED = Toy(2, 5, 1, 3, 7, 2, 4, 4)
"""With a decision that leaves no choice."""

TARGET = np.array([1, 3, 0, 2, 6, 0, 1, 2])


def share_right(candidates):
    """float32 [...]: the share of decisions that are as in `TARGET`."""
    return (candidates == TARGET).mean(-1).astype(np.float32)

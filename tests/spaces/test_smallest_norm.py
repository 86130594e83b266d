"""What is dropped first, and what is left."""

import numpy as np
import pytest

from jaxnas.spaces import AdaptationSpace
from jaxnas.spaces.adaptation.smallest_norm import without_smallest
from support import tiny

SPACE = AdaptationSpace(tiny.BASE, "full")
# Block 0: a 3x3 convolution (edge 0) and a 1x1 (edge 2) in a row, an identity (edge 1) beside them.
# Block 1: a convolution alone (edge 0), which nothing stands beside but a null edge.
COSTS = np.zeros(SPACE.shape, np.int64)
COSTS[0, 0, 2], COSTS[0, 2, 2], COSTS[1, 0, 1], COSTS[1, 0, 2] = 90, 10, 5, 100
FREE = np.array([[True, True, True], [False, False, True]])
NAN = np.nan


def left(norms, most, least=0, free=FREE):
    return without_smallest(SPACE, np.array(norms), free, COSTS, most, least).choices.tolist()


@pytest.mark.parametrize(
    ("norms", "most", "least", "block"),
    [
        # The branch goes as a whole.
        ([[0.9, NAN, 0.1], [0.2, NAN, NAN]], 190, 0, [0, 2, 0]),
        # Without it too little is left. The 3x3 is the smallest, and an identity takes its place.
        ([[0.1, NAN, 0.9], [0.2, NAN, NAN]], 190, 110, [1, 2, 2]),
        # The 1x1 is.
        ([[0.9, NAN, 0.1], [0.2, NAN, NAN]], 190, 110, [2, 2, 1]),
        # Less than 150 should not be left, so what is cheap goes though it is not the smallest.
        ([[0.1, NAN, 0.9], [0.2, NAN, NAN]], 190, 150, [2, 2, 1]),
        # Whatever goes leaves less than 195: what leaves most of it does.
        ([[0.1, NAN, 0.9], [0.2, NAN, NAN]], 199, 195, [2, 2, 1]),
    ],
)
def test_the_smallest_goes_first(norms, most, least, block):
    found = left(norms, most, least)
    assert found[0] == block
    assert found[1] == [2, 2, 0]


def test_nothing_is_dropped_that_need_not_be():
    assert left([[0.1, NAN, 0.1], [0.1, NAN, NAN]], 200) == SPACE.base_choices().tolist()


def test_a_branch_goes_as_a_whole_where_no_identity_is_free():
    found = left([[0.5, NAN, 0.1], [0.2, NAN, NAN]], 190, free=np.zeros((2, 3), bool))
    assert found[0] == [0, 2, 0]


def test_what_cannot_be_reached_is_told():
    with pytest.raises(ValueError, match="the others still cost 100, above 50"):
        left([[0.5, NAN, 0.1], [0.2, NAN, NAN]], 50)

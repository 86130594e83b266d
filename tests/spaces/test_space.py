"""Every search space keeps its promises, on a small instance."""

import numpy as np
import pytest

from jaxnas.spaces import Decision, Space, SpaceError, enas_micro_space, zoo
from support.space_promises import PROMISES, SPACES


def kept(promise, space):
    """Whether a space is held to a promise as it stands.

    nasbench201 cuts identities short, and nas2017 renumbers blocks: see their own tests.
    """
    other_networks = promise == "the_canonical_form_is_the_same_network"
    return not (other_networks and space.startswith(("nasbench201", "nas2017")))


@pytest.mark.parametrize(
    ("promise", "space"),
    [(promise, space) for promise in PROMISES for space in SPACES if kept(promise, space)],
)
def test_a_space_keeps_its_promise(promise: str, space: str):
    PROMISES[promise](SPACES[space])


def test_codes_do_not_overflow():
    space = enas_micro_space()
    with pytest.raises(SpaceError, match="too many for codes of int32"):
        space.codes(np.zeros(len(space.decisions), np.int32))


def test_a_space_to_search_is_a_name_and_decisions():
    class Mixer(Space):
        name = "mixer"
        decisions = (Decision("depth", ("2", "4"), "depth"), Decision("width", ("64",), "width"))

    class Symmetric(Mixer):
        def canonical(self, candidates: np.ndarray) -> np.ndarray:
            return np.sort(candidates)

    assert Mixer().unique_size == Mixer().size == 2
    for call in (lambda: Mixer().decode(np.zeros(2)), lambda: Mixer().encode(zoo.resnet(8))):
        with pytest.raises(NotImplementedError, match=r"space mixer defines no (de|en)code, "):
            call()
    with pytest.raises(NotImplementedError, match="its unique_size is to be defined as well"):
        _ = Symmetric().unique_size

"""The code of docs/your_space.md runs as printed, and its space keeps what all spaces promise."""

import dataclasses

import numpy as np
import pytest

from jaxnas import nn
from jaxnas.spaces import SpaceError, zoo
from support import pages
from support.space_promises import PROMISES

PAGE = "your_space.md"


@pytest.fixture(scope="module")
def names():
    return pages.run(PAGE)


@pytest.mark.parametrize("promise", PROMISES.values(), ids=PROMISES)
def test_the_guides_space_is_one(names, promise):
    assert len(PROMISES) >= 8
    promise(names["space"])


def test_the_guides_space_holds_resnet(names):
    again = names["space"].decode(names["target"])
    assert dataclasses.replace(again, name="resnet20_b") == zoo.named("resnet20_b")


def test_widths_that_two_stages_share_are_no_space():
    """As the page warns."""
    (_, code), *_ = pages.blocks(PAGE)
    names: dict = {}
    exec(code.replace('("0.75", "1", "1.25")', '("0.5", "1", "1.5")'), names)
    promise = PROMISES["a_candidate_becomes_a_network_and_comes_back"]
    with pytest.raises(SpaceError, match="is no network of staged"):
        promise(names["space"])


def test_the_guides_search_keeps_to_its_budget(names):
    cost = nn.cost(nn.build(names["best"], 10), (32, 32, 3))
    assert cost.macs <= 20e6
    assert cost.params / 1e6 == pytest.approx(names["trials"].rewards.max())
    canonical = names["space"].canonical(names["trials"].candidates)
    assert len(np.unique(canonical, axis=0)) == len(names["known"])

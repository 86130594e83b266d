"""`jaxnas search`: every searcher over every space of cells, and what becomes of a winner."""

from typing import get_args

import jax
import numpy as np
import pytest

from jaxnas.children.child_config import CellExperiment
from jaxnas.children.child_training import Outcome
from jaxnas.children.child_winners import TRAINED
from jaxnas.cli.commands import CellSpaceName, Search
from jaxnas.commands import cell_search
from jaxnas.commands.tabular.tabular_search import SEARCHERS
from jaxnas.runs.search_config import SearcherName


@pytest.fixture
def asked(monkeypatch):
    """What `run_children` would be asked for by a command."""

    def ask(**changes):
        calls = []
        monkeypatch.setattr(cell_search, "run_children", lambda *arguments: calls.append(arguments))
        Search(experiment=CellExperiment(children=30, channels=6, cells=9), **changes).run()
        (call,) = calls
        return call

    return ask


def test_every_name_is_known():
    assert set(get_args(CellSpaceName)) == set(cell_search.SPACES)
    assert get_args(SearcherName) == tuple(SEARCHERS)


@pytest.mark.quick_cases(1)
@pytest.mark.parametrize("algorithm", get_args(SearcherName))
def test_every_searcher_asks_for_children_of_the_space(asked, algorithm):
    _, name, networks, _, searchers, _, reward, settings, _ = asked(algorithm=algorithm, blocks=2)
    assert name == settings["algorithm"] == algorithm
    assert list(searchers) == list(dict.fromkeys([algorithm, "random"]))
    for searcher in searchers.values():
        assert searcher.children == 30
        algorithm = searcher.algorithm
        for candidate in algorithm.ask(algorithm.init(jax.random.key(0)))[1]:
            networks.space.validate(np.array(candidate))
    assert reward(Outcome((), (10.0, 50.0), {}, "")) == 0.5


@pytest.mark.parametrize("space", get_args(CellSpaceName))
def test_a_winner_is_built_at_full_size(asked, space):
    _, _, networks, _, _, full_size, _, settings, _ = asked(
        space=space, blocks=2, child_channels=4, child_cells=3
    )
    assert networks.space.name == settings["space"] == space
    candidate = np.zeros(len(networks.space.options), np.int32)
    child = networks.genotype(candidate)
    sizes = full_size(tuple(candidate.tolist()))
    assert child.blocks[0].channels == 4
    assert sizes[TRAINED].blocks[0].channels == 6
    assert len(sizes[TRAINED].blocks) - len(child.blocks) == 6
    assert {cell.edges for cell in sizes[TRAINED].cells} == {cell.edges for cell in child.cells}
    # ENAS's operations and inputs mean something else in NASNet's stack.
    stacks = set() if space == "enas_micro" else {"imagenet", "imagenet_large"}
    assert set(sizes) == {TRAINED} | stacks

"""A search whose children grow: one controller for all depths, and resumption across them."""

import json

import pytest

from jaxnas import search
from jaxnas.children.child_search import ChildSearch, ChildStore
from jaxnas.children.child_searchers import staged_searcher
from jaxnas.storage.directory import RunDirectory
from support.child_searches import Counting, Killed, assert_same_state
from support.toy_children import SPACE
from support.toys import Toy

SMALLER = Toy(*SPACE.options[:2])


def stages(name):
    controller = search.independent(SPACE)
    return tuple(
        search.Stage(
            start,
            space,
            search.reinforce(space, controller=search.prefix(controller, SPACE, space), batch=4)
            if name == "reinforce"
            else search.random(space, batch=4),
        )
        for start, space in ((0, SMALLER), (10, SPACE))
    )


def run(folder, name="reinforce", most=10**9):
    searcher = staged_searcher(stages(name), 22)
    searched = ChildSearch(name, searcher, 2, lambda each: each.accuracies[-1] / 100, 3)
    with RunDirectory(folder, {}, resume=True) as directory:
        return searched.run(directory, ChildStore(directory), Counting(most))[0]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole") / "run"
    return folder, run(folder)


@pytest.mark.parametrize("name", ["reinforce", "random"])
def test_a_batch_has_one_depth(tmp_path, name):
    trials = run(tmp_path / "run", name)
    # The twelve of three batches, the last of which begins before the tenth child; then the rest.
    assert [len(trial.candidate) for trial in trials] == [2] * 12 + [4] * 10


def test_all_children_are_kept_whatever_their_depth(whole):
    folder, trials = whole
    rows = [json.loads(line) for line in (folder / "children.jsonl").read_text().splitlines()]
    assert {tuple(row["candidate"]) for row in rows} == {trial.candidate for trial in trials}
    assert {len(row["candidate"]) for row in rows} == {2, 4}


# In the first stage, at the end of it, and in the second.
@pytest.mark.quick_cases(1)
@pytest.mark.parametrize("killed_after", [3, 7, 12])
def test_a_killed_search_goes_on_to_the_same_bits(whole, tmp_path, killed_after):
    folder, trials = whole
    with pytest.raises(Killed):
        run(tmp_path / "run", most=killed_after)
    assert run(tmp_path / "run") == trials
    assert_same_state(tmp_path / "run", folder, search.staged(stages("reinforce")))

"""A search of children: nothing is trained twice, and a killed search goes on to the same bits."""

import json

import numpy as np
import pytest

from jaxnas import search
from jaxnas.children import child_report
from jaxnas.children.child_search import ChildSearch, ChildStore, accuracy
from jaxnas.children.child_searchers import Trial, child_searcher
from jaxnas.storage.directory import RunDirectory
from jaxnas.storage.files import RunError
from support.child_searches import Counting, Killed, assert_same_state
from support.toy_children import SPACE, ToyTraining


def one(name="ppo", children=30):
    algorithm = {
        "ppo": lambda: search.ppo(
            SPACE, controller=search.lstm(SPACE, units=6), learning_rate=0.05, batch=4, epochs=3
        ),
        "random": lambda: search.random(SPACE, batch=4),
    }[name]()
    searcher = child_searcher(SPACE, algorithm, children)
    return ChildSearch(name, searcher, 2, lambda each: accuracy(each) / 100, 7)


def run(folder, evaluator, searched=None):
    with RunDirectory(folder, {"a": 1}, resume=True) as directory:
        return (searched or one()).run(directory, ChildStore(directory), evaluator)[0]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole") / "run"
    evaluator = Counting()
    return folder, run(folder, evaluator), evaluator.trained


def test_each_child_is_trained_once(whole):
    folder, trials, trained = whole
    assert [trial.number for trial in trials] == list(range(1, 31))
    asked = [trial.candidate for trial in trials]
    assert len(trained) == len(set(trained)) < len(asked)
    assert set(trained) == set(asked)
    for trial in trials:
        np.testing.assert_array_equal(SPACE.canonical(np.array(trial.candidate)), trial.candidate)
    rows = [json.loads(line) for line in (folder / "children.jsonl").read_text().splitlines()]
    assert [tuple(row["candidate"]) for row in rows] == trained


def test_a_child_that_fails_has_the_reward_of_the_worst(whole):
    failed = [trial for trial in whole[1] if trial.candidate[:2] == (2, 2)]
    assert failed
    assert all(trial.reward == trial.accuracy == 0 for trial in failed)


# Before the first checkpoint, within a batch, and after its last child.
@pytest.mark.quick_cases(1)
@pytest.mark.parametrize("killed_after", [0, 2, 9, 13])
def test_a_killed_search_goes_on_to_the_same_bits(whole, tmp_path, killed_after):
    folder, trials, trained = whole
    with pytest.raises(Killed):
        run(tmp_path / "run", Counting(killed_after))
    again = Counting()
    assert run(tmp_path / "run", again) == trials
    assert again.trained == trained[killed_after:], "lost or doubled"
    assert_same_state(tmp_path / "run", folder, one().searcher.algorithm)


def test_a_finished_search_trains_nothing_more(whole):
    folder, trials, _ = whole
    evaluator = Counting()
    assert run(folder, evaluator) == trials
    assert not evaluator.trained


def test_an_improvement_is_told_once(tmp_path):
    told = []
    with RunDirectory(tmp_path / "run", {"a": 1}) as directory:
        trials, _ = one().run(directory, ChildStore(directory), Counting(), improved=told.append)
    assert told[-1].reward == max(trial.reward for trial in trials)
    assert [trial.reward for trial in told] == sorted({trial.reward for trial in told})


def test_a_damaged_store_is_told_of(tmp_path):
    with RunDirectory(tmp_path / "run", {"a": 1}) as directory:
        (tmp_path / "run" / "children.jsonl").write_text('{"child": 1, "candidate": [0]}\n')
        with pytest.raises(RunError, match="row 1 is no child"):
            ChildStore(directory)


def test_the_table_and_the_curves(tmp_path):
    ours = [Trial(n, (n % 3, 0, 0, 0), 50.0 + n % 3, 0.5) for n in range(1, 41)]
    theirs = [Trial(n, (n % 3, 0, 0, 0), 40.0 + n % 3, 0.4) for n in range(1, 41)]
    with RunDirectory(tmp_path / "run", {"a": 1}) as directory:
        store = ChildStore(directory)
        for candidate in [(0,), (1,), (2,)]:
            store.add(ToyTraining().train((*candidate, 0, 0, 0), 2))
        table = child_report.reward_table({"ppo": ours, "random": theirs}, store).markdown()
        row = next(line for line in table.splitlines() if line.startswith("| ppo"))
        cells = [cell.strip() for cell in row.split("|")]
        assert cells[2:6] == ["40", "3", "52.00", "51.00 ± 0.82"], "three are no best five"
        assert cells[6].startswith("100%")
        seconds = sum(sum(each.seconds.values()) for each in store.outcomes())
        assert cells[7] == f"{seconds:,.0f}"
        assert "3 different children were trained, 0 failed" in table
        assert "| train | 6.0 | 2.00 |" in child_report.seconds_table(store.outcomes()).markdown()
        child_report.reward_curves({"ppo": ours, "random": theirs}, tmp_path / "rewards")
    assert (tmp_path / "rewards.svg").stat().st_size > 1000

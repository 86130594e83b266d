"""A search of children: nothing is trained twice, and a killed search goes on to the same bits."""

import json

import numpy as np
import pytest

from jaxnas import search
from jaxnas.children import child_report
from jaxnas.children.child_search import ChildSearch, ChildStore
from jaxnas.children.child_searchers import ChildSearcher, Trial, best, child_searcher
from jaxnas.children.child_training import Outcome
from jaxnas.jobs.job import Watcher
from jaxnas.storage.directory import RunDirectory
from jaxnas.storage.files import RunError
from support.child_searches import Counting, Killed, assert_same_state
from support.toy_children import SPACE, ToyTraining
from support.toys import Toy


def one(name="ppo", children=30):
    algorithm = {
        "ppo": lambda: search.ppo(
            SPACE, controller=search.lstm(SPACE, units=6), learning_rate=0.05, batch=4, epochs=3
        ),
        "random": lambda: search.random(SPACE, batch=4),
    }[name]()
    searcher = child_searcher(SPACE, algorithm, children)
    return ChildSearch(name, searcher, 2, lambda each: each.accuracies[-1] / 100, 7)


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


def test_a_child_that_fails_has_the_reward_of_the_worst_and_no_accuracy(whole):
    failed = [trial for trial in whole[1] if trial.candidate[:2] == (2, 2)]
    assert failed
    assert all((trial.reward, trial.accuracy) == (0, None) for trial in failed)


def test_failures_are_told_batch_by_batch(whole, tmp_path):
    folder, trials, _ = whole
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    failed = [trial.accuracy is None for trial in trials]
    batches = [failed[start : start + 4] for start in range(0, 30, 4)]
    assert [row["failed"] for row in rows] == [sum(batch) for batch in batches]
    assert {row["failure"] for row in rows} == {"", "the loss was not finite"}
    told = []
    with RunDirectory(tmp_path / "run", {"a": 1}) as directory:
        watcher = Watcher(tell=told.append)
        one().run(directory, ChildStore(directory), Counting(), watcher)
    lines = [line for line in told if "failed (the loss was not finite)" in line]
    assert len(lines) == sum(any(batch) for batch in batches) > 0


def test_a_batch_of_failures_alone_is_told_as_that(tmp_path):
    told, drawn = [], []
    space = Toy(3, 4)
    algorithm = search.random(space, batch=2)
    asking = algorithm._replace(
        ask=lambda state: (algorithm.ask(state)[0], np.array([[2, 2], [2, 2]]))
    )
    searcher = ChildSearcher(asking, space, 2, np.asarray)
    failing = ChildSearch("random", searcher, 2, lambda each: each.accuracies[-1] / 100, 7)
    with RunDirectory(tmp_path / "run", {"a": 1}) as directory:
        store = ChildStore(directory)
        watcher = Watcher(tell=told.append)
        trials, _ = failing.run(directory, store, Counting(), watcher, drawn.append)
    assert "mean accuracy none, best none, 2 failed (the loss was not finite)" in told[0]
    assert not drawn
    assert best(trials, 2) == []


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
        assert cells[2:7] == ["40", "3", "0", "52.00", "51.00 ± 0.82"], "three are no best five"
        assert cells[7].startswith("100%")
        seconds = sum(sum(each.seconds.values()) for each in store.outcomes())
        assert cells[8] == f"{seconds:,.0f}"
        assert "3 different children were trained, 0 failed" in table
        assert "| train | 6.0 | 2.00 |" in child_report.seconds_table(store.outcomes()).markdown()
        child_report.reward_curves({"ppo": ours, "random": theirs}, tmp_path / "rewards")
    assert (tmp_path / "rewards.svg").stat().st_size > 1000


def test_a_child_that_failed_is_no_child_of_no_accuracy(tmp_path):
    """One is right of nothing, another was not trained: a mean is of the former, not of both."""
    zero, failed = Outcome((0,), (0.0,), {}, ""), Outcome((1,), (), {}, "the loss was not finite")
    good = Outcome((2,), (30.0,), {}, "")
    trials = [Trial(n, each.candidate, each.accuracy, 0.0) for n, each in enumerate((zero, good))]
    lost = Trial(3, (1,), failed.accuracy, 0.0)
    with RunDirectory(tmp_path / "run", {"a": 1}) as directory:
        store = ChildStore(directory)
        for each in (zero, failed, good):
            store.add(each)
        searched = {"ppo": [*trials, lost], "random": [lost, lost], "zero": trials[:1]}
        table = child_report.reward_table(searched, store).markdown()
        child_report.reward_curves({"ppo": searched["ppo"]}, tmp_path / "rewards")
    rows = {line.split(" | ")[0]: line.split(" | ") for line in table.splitlines()}
    assert rows["| ppo"][2:6] == ["3", "1", "30.00", "15.00 ± 21.21"]
    assert rows["| random"][2:5] == ["1", "1", ""]
    assert rows["| random"][6].startswith("0%"), "a failure is beaten by 0.00%"
    assert "1 failed, mostly because the loss was not finite" in table

"""PNAS by children: a level at a time, resumed at any of them, and told level by level."""

import json

import numpy as np
import pytest

from jaxnas import search
from jaxnas.children.child_networks import CellNetworks
from jaxnas.children.child_search import ChildSearch, ChildStore
from jaxnas.children.child_searchers import Trial, level_searcher
from jaxnas.children.child_training import Outcome
from jaxnas.children.child_winners import TRAINED
from jaxnas.commands.child_experiment import Searches
from jaxnas.commands.progressive_search import others, progressive_searcher, tell_levels
from jaxnas.runs.config import ConfigError
from jaxnas.spaces import Genotype
from jaxnas.spaces.block_cells import pnas_space
from jaxnas.storage.directory import RunDirectory
from support.child_searches import Counting, Killed, assert_same_state
from support.growing import SPACE, accuracies

FIRST = len(SPACE.grow())


class Training:
    """Children that cost nothing."""

    def train(self, candidate, epochs):
        value = 100 * float(accuracies(np.array([candidate]))[0])
        seconds = {"compile": 0.0, "init": 0.1, "train": 1.0, "judge": 0.1}
        return Outcome(candidate, (value,), seconds, "")


def searcher(train_last=True):
    surrogate = search.mlp_surrogate(SPACE, members=2, units=8, steps=20)
    return level_searcher(search.Progressive(SPACE, surrogate, 6, train_last))


def run(folder, most=10**9, train_last=True):
    one = ChildSearch(
        "progressive", searcher(train_last), 2, lambda each: each.accuracies[-1] / 100, 4
    )
    evaluator = Counting(most, Training)
    with RunDirectory(folder, {"a": 1}, resume=True) as directory:
        return *one.run(directory, ChildStore(directory), evaluator), evaluator.trained


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole") / "progressive"
    return folder, *run(folder)


def test_a_level_is_a_batch(whole):
    folder, trials, _, trained = whole
    assert [len(trial.candidate) for trial in trials] == [4] * FIRST + [8] * 6 + [12] * 6
    assert trained == [trial.candidate for trial in trials]
    assert searcher().children == len(trials)
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [row["level"] for row in rows] == [1, 2, 3]
    assert rows[0]["spearman_chosen"] is None
    for row in rows:
        assert -1 <= row["kendall_trained"] <= 1


# At the start, within the first level, at its end, within the second, and before the last child.
@pytest.mark.quick_cases(1)
@pytest.mark.parametrize("killed_after", [0, 5, FIRST, FIRST + 2, FIRST + 11])
def test_a_killed_search_goes_on_to_the_same_bits(whole, tmp_path, killed_after):
    folder, trials, _, trained = whole
    with pytest.raises(Killed):
        run(tmp_path / "run", killed_after)
    again, _, rest = run(tmp_path / "run")
    assert again == trials
    assert rest == trained[killed_after:], "lost or doubled"
    assert_same_state(tmp_path / "run", folder, searcher().algorithm)
    ours, theirs = (
        [json.loads(line) for line in (each / "metrics.jsonl").read_text().splitlines()]
        for each in (tmp_path / "run", folder)
    )
    for row, same in zip(ours, theirs, strict=True):
        for each in (row, same):
            del each["seconds"], each["searcher_seconds"]
        # Children that were trained before the kill are not trained anew.
        assert row.pop("trained") <= same.pop("trained")
        assert row == same


def test_finalists_are_of_the_last_level(whole):
    _, trials, state, _ = whole
    last = sorted(
        (trial for trial in trials if len(trial.candidate) == 12), key=lambda t: -t.reward
    )
    assert searcher().finalists(trials, state, 3) == [trial.candidate for trial in last[:3]]


def test_without_its_training_finalists_are_those_expected_to_be_best(tmp_path):
    trials, state, _ = run(tmp_path / "run", train_last=False)
    assert {len(trial.candidate) for trial in trials} == {4, 8}
    finalists = searcher(train_last=False).finalists(trials, state, 3)
    assert [len(each) for each in finalists] == [12] * 3
    np.testing.assert_array_equal(finalists, np.asarray(state.cells)[:3])


@pytest.mark.parametrize(
    ("blocks", "children", "options", "per_level"),
    [(5, 1160, {}, 256), (5, 904, {"train_last": False}, 256), (2, 144, {}, 8)],
)
def test_children_say_how_many_a_level_trains(blocks, children, options, per_level):
    made = progressive_searcher(pnas_space(blocks), children, **options)
    assert made.algorithm.ask.__self__.per_level == per_level
    assert made.children == children


def test_two_blocks_of_which_the_last_are_not_trained_leave_no_choice():
    made = progressive_searcher(pnas_space(2), 136, train_last=False)
    assert made.children == 136


@pytest.mark.parametrize(
    ("blocks", "children", "train_last", "message"),
    [
        (1, 136, True, "--blocks must be at least 2"),
        (5, 1161, True, "136 cells of the first level .* of 4 later ones; 1160 or 1164 can"),
        (5, 100, True, "140 or 144 can"),
        (2, 137, False, "of 0 later ones; 136 can"),
    ],
)
def test_children_that_cannot_be_shared_out_are_refused(blocks, children, train_last, message):
    with pytest.raises(ConfigError, match=message):
        progressive_searcher(pnas_space(blocks), children, train_last=train_last)


def test_the_others_ask_for_as_many():
    made = others(SPACE, 20, "ppo", "evolution", "random")
    assert list(made) == ["ppo", "evolution", "random"]
    assert {each.children for each in made.values()} == {20}


def test_levels_are_told(whole, tmp_path):
    _, trials, *_ = whole
    run(tmp_path / "progressive")
    random = [Trial(n, (0,) * 11 + (n % 3,), 50.0 + n % 3, 0.5) for n in range(1, 41)]
    networks = CellNetworks(SPACE)
    pictures, notes = tell_levels(
        Searches(
            tmp_path,
            {"progressive": trials, "random": random},
            networks,
            lambda candidate: {TRAINED: networks.genotype(np.array(candidate))},
            5400,
        )
    )
    names = [section.blocks[0].file for section in pictures]
    assert names == [f"network_level_{level}.svg" for level in (1, 2, 3)]
    assert all((tmp_path / name).is_file() for name in names)
    _, levels, above = notes
    levels = levels.markdown()
    last = [trial.accuracy for trial in trials if len(trial.candidate) == 12]
    pairs = [(a > b) + 0.5 * (a == b) for a in last for b in [trial.accuracy for trial in random]]
    assert f"{np.mean(pairs):.0%}" in above
    for level in (1, 2, 3):
        of_level = [trial for trial in trials if len(trial.candidate) == 4 * level]
        best = max(of_level, key=lambda trial: trial.accuracy)
        assert f"| {level} | {len(of_level)} | " in levels
        assert f"{best.accuracy:.2f}" in levels
        genotype = Genotype.from_json((tmp_path / f"genotype_level_{level}.json").read_text())
        assert genotype.cells == networks.genotype(np.array(best.candidate)).cells

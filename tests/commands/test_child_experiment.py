"""A search of real children from its flags to its report, at the smallest size."""

import dataclasses
import functools
import json
import re

import pytest

from jaxnas import search
from jaxnas.children.child_config import CellExperiment
from jaxnas.children.child_networks import CellNetworks
from jaxnas.children.child_search import ChildStore
from jaxnas.children.child_searchers import Trial, best
from jaxnas.children.child_training import ChildrenFailed, Outcome
from jaxnas.children.child_winners import cells_at_full_size
from jaxnas.commands.child_experiment import beside_random, check_trained, run_children
from jaxnas.runs.config import RunFlags, Training
from jaxnas.runs.flags.data import DataFlags
from jaxnas.spaces import Genotype
from jaxnas.storage.directory import RunDirectory
from support import tiny
from support.children import SPACE

CHILD = Training(epochs=1, batch_size=16, learning_rate=0.05)


def run(folder, child=CHILD, run_dir=None, **changes):
    experiment = CellExperiment(
        data=DataFlags(str(folder / "tiny.npz")),
        run=tiny.taken(RunFlags, changes, run_dir=run_dir or folder / "run"),
        children=6,
        train_share=0.7,
        finalists=2,
        finalist_epochs=2,
        channels=2,
        cells=2,
        training=Training(epochs=1, batch_size=40),
        **changes,
    )
    searcher = search.reinforce(SPACE, batch=3)
    return run_children(
        experiment,
        "reinforce",
        CellNetworks(SPACE),
        child,
        beside_random("reinforce", searcher, SPACE, experiment.children),
        functools.partial(cells_at_full_size, experiment, SPACE),
        lambda each: each.accuracies[-1] / 100,
        {},
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tiny.write(tmp_path_factory.mktemp("experiment"))
    run(folder)
    return folder


def test_the_report_tells_of_both_searches(folder):
    report = (folder / "run" / "report.md").read_text()
    for text in ("| reinforce | 6 |", "| random | 6 |", "| compile |", "rewards.svg"):
        assert text in report
    assert re.search(r"to be told, .*: reinforce [\d.]+, random [\d.]+\.", report)
    trained = [
        json.loads(line) for line in (folder / "run" / "children.jsonl").read_text().splitlines()
    ]
    assert f"{len(trained)} different children were trained, 0 failed" in report
    finals = (folder / "run" / "finals" / "children.jsonl").read_text().splitlines()
    assert 2 <= len(finals) <= 4
    assert all(json.loads(line)["seconds"]["compile"] == 0 for line in finals), "one program"


@pytest.mark.parametrize("name", ["reinforce", "random"])
def test_the_winner_can_be_taken_elsewhere(folder, name):
    read = [
        Genotype.from_json((folder / "run" / f"genotype_{name}{suffix}.json").read_text())
        for suffix in ("", "_imagenet")
    ]
    assert read[0].cells == read[1].cells
    assert [genotype.stem_form for genotype in read] == ["small", "valid"]
    for picture in (f"network_{name}.svg", f"{name}/best.svg", "rewards.svg"):
        assert (folder / "run" / picture).is_file()


def test_a_finished_run_goes_through_again_and_trains_nothing(folder):
    before = (folder / "run" / "results.json").read_bytes()
    children = (folder / "run" / "children.jsonl").read_bytes()
    run(folder, resume=True)
    assert (folder / "run" / "results.json").read_bytes() == before
    assert (folder / "run" / "children.jsonl").read_bytes() == children


def test_the_best_are_different_children():
    trials = [
        Trial(number, candidate, 0.0, reward)
        for number, (candidate, reward) in enumerate(
            [((1,), 0.2), ((2,), 0.9), ((2,), 0.9), ((3,), 0.5), ((4,), 0.9)]
        )
    ]
    assert best(trials, 3) == [(2,), (4,), (3,)]


@pytest.mark.slow
def test_a_search_without_a_trained_child_names_no_winner(folder, tmp_path):
    diverging = dataclasses.replace(CHILD, learning_rate=1e30)
    told = r"reinforce: of (\d) children \1 failed, mostly because the loss was not finite; "
    for resume in (False, True):
        with pytest.raises(ChildrenFailed, match=told + "there is none to choose from"):
            run(folder, diverging, run_dir=tmp_path / "run", resume=resume)
    assert not (tmp_path / "run" / "results.json").exists()
    assert not list((tmp_path / "run").glob("genotype_*"))


def test_more_than_half_failed_is_said_and_all_are_refused(tmp_path):
    told = []
    with RunDirectory(tmp_path / "run", {}) as directory:
        store = ChildStore(directory)
        for number, failure in enumerate(["", "the loss was not finite in epoch 1, step 2"] * 2):
            accuracies = () if failure else (40.0,)
            store.add(Outcome((number,), accuracies, {}, failure))
        check_trained("random", [(0,), (1,), (2,)], store, told.append)
        assert not told
        check_trained("random", [(0,), (1,), (3,)], store, told.append)
    with pytest.raises(ChildrenFailed, match="random: of 2 children 2 failed, mostly because the"):
        check_trained("random", [(1,), (3,)], store, told.append)
    assert told == [
        "random: of 3 children 2 failed, mostly because the loss was not finite, more than half: "
        "a lower --child.learning-rate or a --child.grad-clip may help"
    ]

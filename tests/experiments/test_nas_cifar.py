"""The command line of NAS (Zoph & Le 2017)."""

import json
import runpy

import numpy as np
import pytest

from jaxnas.children.child_networks import BuiltNetworks
from jaxnas.children.child_training import Outcome
from jaxnas.commands.methods.nas_method import (
    NasFlags,
    cubed_accuracy,
    nas_stages,
    with_more_filters,
)
from jaxnas.spaces import Genotype
from support import scripts

NAME = "nas_cifar"


@pytest.fixture(scope="module")
def script():
    return runpy.run_path(str(scripts.EXPERIMENTS / f"{NAME}.py"))


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--filters", "0"], "there is no such space: filters must be positive"),
        (["--strides", "1", "4"], "there is no such space: strides must be of 1, 2 and 3"),
        (["--first-layers", "0"], "--first-layers must be above 0, not 0"),
        (["--grow-every", "0"], "--grow-every must be above 0, not 0"),
        (["--more-filters", "-1"], "--more-filters must not be negative, not -1"),
        (["--child.epochs", "4", "--dataset", "digits"], "--judged must be from 1 to"),
        (["--dataset", "digits", "--drop-path", "0.1"], "--drop-path is for cell networks"),
        (["--dataset", "digits", "--auxiliary-weight", "0.4"], "no place for an auxiliary head"),
    ],
)
def test_what_is_wrong_is_told_in_one_line(monkeypatch, tmp_path, flags, message):
    scripts.assert_refuses(monkeypatch, NAME, tmp_path, flags, message)


def test_children_grow_as_in_the_paper(script):
    """From 6 layers by 2 for every 1,600, and as much faster with fewer children."""
    default = script["DEFAULTS"]
    assert [space.layers for space in default.spaces] == [6, 8, 10, 12, 14, 16, 18, 20]
    assert default.experiment.children * 1600 == 12_800 * default.grow_every
    stages = nas_stages(default)
    assert [stage.start for stage in stages] == list(range(0, 192, 24))
    assert {stage.algorithm.batch for stage in stages} == {8}


@pytest.mark.parametrize(
    ("accuracies", "expected"), [((40.0, 50.0, 20.0), 0.125), ((0.0,), 0.0), ((100.0,), 1.0)]
)
def test_the_reward_is_the_cube_of_the_best_of_the_last_epochs(accuracies, expected):
    assert cubed_accuracy(Outcome((0,), accuracies, {}, "")) == pytest.approx(expected)


def test_full_size_has_more_filters():
    flags = NasFlags(filters=(4, 6), first_layers=2)
    networks = BuiltNetworks(flags.spaces)
    child = (0, 0, 0, 1, 2, 1, 1)
    larger = with_more_filters(networks, 40, child)[""]
    assert [block.channels for block in larger.blocks] == [44, 46]
    ours = networks.genotype(np.array(child))
    assert [block.sources for block in larger.blocks] == [block.sources for block in ours.blocks]
    assert larger.cells == ours.cells


SMALL = {
    "dataset": "digits",
    "train-limit": 120,
    "children": 4,
    "controller-batch": 2,
    "sides": 1,
    "filters": 2,
    "first-layers": 1,
    "grow-by": 1,
    "grow-every": 2,
    "child.epochs": 2,
    "child.batch-size": 32,
    "judged": 2,
    "finalists": 1,
    "finalist-epochs": 2,
    "more-filters": 1,
    "epochs": 1,
    "batch-size": 32,
}


@pytest.mark.slow  # seven networks are compiled
def test_a_run_ends_with_a_report(monkeypatch, tmp_path):
    flags = [word for name, value in SMALL.items() for word in (f"--{name}", value)]
    folder = tmp_path / "run"
    scripts.run(monkeypatch, NAME, "--run-dir", folder, *flags)
    rows = json.loads((folder / "results.json").read_text())
    assert {row["method"] for row in rows} == {"reinforce", "random"}
    assert all(np.isfinite(row["test_accuracy"]) for row in rows)
    trials = (folder / "reinforce" / "trials.jsonl").read_text().splitlines()
    assert [len(json.loads(trial)["candidate"]) for trial in trials] == [3, 3, 7, 7]
    for name in ("reinforce", "random"):
        network = Genotype.from_json((folder / f"genotype_{name}.json").read_text())
        assert {block.channels for block in network.blocks} == {3}
        assert not (folder / f"genotype_{name}_imagenet.json").exists()
        assert f"genotype_{name}.json is it at full size (" in (folder / "report.md").read_text()

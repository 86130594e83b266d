"""The command lines of PNAS and of its comparison with other searches."""

import json
import runpy
import signal

import numpy as np
import pytest

from jaxnas.reports import read_results
from jaxnas.spaces import Genotype
from support import scripts
from support.killing import KILLER, call

NAMES = ("pnas_cifar", "efficiency_cifar")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--blocks", "1"], "--blocks must be at least 2: progressive search grows its cells"),
        (["--blocks", "9"], "there is no such space: blocks must be 1 to 7, not 9"),
        (["--children", "200", "--blocks", "4"], "199 or 202 can"),
        (["--child-channels", "0"], "--child-channels must be above 0, not 0"),
        (["--dataset", "nowhere"], "no data set and no path that exists"),
    ],
)
def test_what_is_wrong_is_told_in_one_line(monkeypatch, tmp_path, name, flags, message):
    scripts.assert_refuses(monkeypatch, name, tmp_path, flags, message)


def test_the_defaults_are_the_papers():
    flags = runpy.run_path(str(scripts.EXPERIMENTS / "pnas_cifar.py"))["Flags"]()
    assert flags.experiment.children == 136 + 4 * 256
    assert (flags.blocks, flags.child_channels, flags.child_cells) == (5, 24, 6)
    assert (flags.experiment.cells, flags.experiment.channels) == (9, 48)
    assert (flags.child.epochs, flags.child.learning_rate) == (20, 0.01)


SMALL = {
    "dataset": "digits",
    "train-limit": 120,
    "blocks": 2,
    "children": 138,
    "child-channels": 2,
    "child-cells": 3,
    "child.epochs": 1,
    "child.batch-size": 64,
    "finalists": 1,
    "finalist-epochs": 2,
    "channels": 2,
    "cells": 3,
    "epochs": 1,
    "batch-size": 64,
    "cutout": 0,
    "auxiliary-weight": 0,
}
FLAGS = [str(word) for name, value in SMALL.items() for word in (f"--{name}", value)]


def command(name):
    """The command line, but for the folder that ends it."""
    return [str(scripts.EXPERIMENTS / f"{name}.py"), *FLAGS, "--resume", "--run-dir"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The folder of a run that nothing disturbed."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    done = call([*command("pnas_cifar"), str(folder)])
    assert done.returncode == 0, done.stderr
    return folder


def trials(folder, name="progressive"):
    return (folder / name / "trials.jsonl").read_text()


@pytest.mark.slow  # 138 children, twice
def test_a_run_ends_with_a_report_of_its_levels(whole):
    rows = {row.method: row for row in read_results(whole)}
    assert set(rows) == {"progressive", "random"}
    assert all(np.isfinite(row.test_accuracy) for row in rows.values())
    report = (whole / "report.md").read_text()
    for text in ("The best cell of level 1", "The best cell of level 2", "| 2 | 2 | "):
        assert text in report
    lengths = [len(json.loads(row)["candidate"]) for row in trials(whole).splitlines()]
    assert lengths == [4] * 136 + [8] * 2
    for name in ("progressive", "level_1", "level_2", "progressive_imagenet_large"):
        Genotype.from_json((whole / f"genotype_{name}.json").read_text())


@pytest.mark.slow  # as above
def test_a_run_killed_at_each_level_ends_where_it_would_have_ended(whole, tmp_path):
    killed = tmp_path / "killed"
    moments = [
        ("os.rename", "/progressive/checkpoints/1.orbax-checkpoint-tmp", 1),
        ("os.rename", "/progressive/checkpoints/2.orbax-checkpoint-tmp", 1),
    ]
    for event, part, count in moments:
        words = [*command("pnas_cifar"), str(killed)]
        end = call(["-c", KILLER, event, part, str(count), *words])
        assert end.returncode == -signal.SIGKILL, end.stderr
    last = call([*command("pnas_cifar"), str(killed)])
    assert last.returncode == 0, last.stderr
    for name in ("progressive", "random"):
        assert trials(killed, name) == trials(whole, name)
    assert [row.digest for row in read_results(killed)] == [
        row.digest for row in read_results(whole)
    ]


@pytest.mark.slow  # 138 children of each of four searches
def test_the_searches_are_compared(tmp_path):
    done = call([*command("efficiency_cifar"), str(tmp_path / "run")])
    assert done.returncode == 0, done.stderr
    names = ("progressive", "ppo", "evolution", "random")
    assert {row.method for row in read_results(tmp_path / "run")} == set(names)
    report = (tmp_path / "run" / "report.md").read_text()
    for name in names:
        assert f"| {name} | 138 | " in report
    assert (tmp_path / "run" / "efficiency.svg").is_file()
    assert "different ones trained." in report

"""The command line of NASNet."""

import json
import runpy

import numpy as np
import pytest

from . import scripts

NAME = "nasnet_cifar"


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--blocks", "0"], "there is no such space: blocks must be 1 to 7, not 0"),
        (["--clip", "0"], "--clip must be above 0, not 0"),
        (["--children", "0"], "--children must be at least 1, not 0"),
        (["--workers", "0"], "--workers must be at least 1, not 0"),
        (["--workers", "2"], "--workers 2 is for --evaluator processes or --evaluator ray"),
        (["--gpus-per-child", "0.5"], "--gpus-per-child is for --evaluator ray"),
        (
            ["--evaluator", "ray", "--gpus-per-child", "2"],
            "--gpus-per-child must be at most 1, not 2.0: a child trains on one device",
        ),
        (
            ["--evaluator", "ray", "--cpus-per-child", "-1"],
            "--cpus-per-child must not be negative, not -1.0",
        ),
        (["--train-share", "1"], "--train-share must be between 0 and 1, not 1"),
        (["--child.epochs", "0"], "--epochs must be above 0, not 0"),
        (["--dataset", "digits", "--child.drop-path", "0.2"], "--child.drop-path is not for"),
        (["--dataset", "digits", "--cutout", "99"], "--cutout 99 is more than the side"),
        (["--dataset", "nowhere"], "no data set and no path that exists"),
    ],
)
def test_what_is_wrong_is_told_in_one_line(monkeypatch, tmp_path, flags, message):
    scripts.assert_refuses(monkeypatch, NAME, tmp_path, flags, message)


def test_the_flags_make_the_controller_and_its_space():
    script = runpy.run_path(str(scripts.EXPERIMENTS / f"{NAME}.py"))
    flags = script["Flags"](blocks=2, combine=True, child_channels=8, controller_batch=6)
    assert len(flags.space.decisions) == 2 * 2 * 5
    assert flags.space.channels == 8
    assert script["make"](flags).batch == 6


SMALL = {
    "dataset": "digits",
    "train-limit": 200,
    "blocks": 1,
    "children": 4,
    "controller-batch": 2,
    "child-channels": 2,
    "child-cells": 1,
    "child.epochs": 1,
    "child.batch-size": 32,
    "finalists": 1,
    "finalist-epochs": 2,
    "channels": 2,
    "cells": 1,
    "epochs": 1,
    "batch-size": 32,
    "cutout": 0,
    "auxiliary-weight": 0,
}


# The thirteen operations compile for more than a minute.
@pytest.mark.slow
def test_a_run_with_two_workers_ends_with_a_report(monkeypatch, tmp_path):
    flags = [word for name, value in SMALL.items() for word in (f"--{name}", value)]
    workers = ("--evaluator", "processes", "--workers", 2)
    scripts.run(monkeypatch, NAME, "--run-dir", tmp_path / "run", *workers, *flags)
    rows = json.loads((tmp_path / "run" / "results.json").read_text())
    assert {row["method"] for row in rows} == {"ppo", "random"}
    assert all(np.isfinite(row["test_accuracy"]) for row in rows)

"""The command line of NASNet."""

import json
import signal

import jax
import numpy as np
import pytest

from jaxnas.commands.methods.nasnet_method import NasnetFlags, nasnet_controller
from jaxnas.reports import read_results
from jaxnas.storage.checkpoints import Checkpoints
from support import scripts, tiny
from support.killing import KILLER, call
from support.leaves import plain
from support.picture_files import tiny_imagenet

NAME = "nasnet_cifar"


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--blocks", "0"], "there is no such space: blocks must be 1 to 7, not 0"),
        (["--clip", "0"], "--clip must be above 0, not 0"),
        (["--children", "0"], "--children must be at least 1, not 0"),
        (["--train-share", "1"], "--train-share must be between 0 and 1, not 1"),
        (["--child.epochs", "0"], "--child.epochs must be above 0, not 0"),
        (["--dataset", "digits", "--child.drop-path", "0.2"], "--child.drop-path is not for"),
        (["--dataset", "digits", "--cutout", "99"], "--cutout 99 is more than the side"),
        (["--dataset", "nowhere"], "no data set and no path that exists"),
    ],
)
def test_what_is_wrong_is_told_in_one_line(monkeypatch, tmp_path, flags, message):
    scripts.assert_refuses(monkeypatch, NAME, tmp_path, flags, message)


def test_the_flags_make_the_controller_and_its_space():
    flags = NasnetFlags(blocks=2, combine=True, child_channels=8, controller_batch=6)
    assert len(flags.space.decisions) == 2 * 2 * 5
    assert flags.space.channels == 8
    assert nasnet_controller(flags).batch == 6


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
    workers = ("--workers", "processes")
    scripts.run(monkeypatch, NAME, "--run-dir", tmp_path / "run", *workers, *flags)
    rows = json.loads((tmp_path / "run" / "results.json").read_text())
    assert {row["method"] for row in rows} == {"ppo", "random"}
    assert all(np.isfinite(row["test_accuracy"]) for row in rows)


SCRIPT = scripts.EXPERIMENTS / f"{NAME}.py"
MOMENTS = [
    ("step", "0", 3),  # within the controller's second batch
    ("os.rename", "/ppo/checkpoints/3.orbax-checkpoint-tmp", 1),  # in a save
    ("step", "1", 2),  # in the random search beside it
]


def controller(folder):
    """The controller's last checkpoint: how many batches, its state and the rest."""
    flags = {"blocks": 1, "child_channels": 2, "child_cells": 1, "controller_batch": 2}
    start = nasnet_controller(NasnetFlags(**flags)).init
    form = jax.eval_shape(start, jax.random.key(0))
    batches, state, _ = Checkpoints(folder / "ppo" / "checkpoints").restore(lambda meta: form)
    return batches, jax.tree.map(plain, state)


def children(folder):
    """Each that was trained in the search, in order, and what became of it, but for its times."""
    rows = [json.loads(line) for line in (folder / "children.jsonl").read_text().splitlines()]
    assert all(row.pop("seconds") for row in rows)
    return rows


@pytest.fixture(scope="module")
def command():
    """The command line, but for the folder that ends it."""
    flags = [str(word) for name, value in SMALL.items() for word in (f"--{name}", value)]
    return [str(SCRIPT), *flags, "--children", "6", "--resume", "--run-dir"]


@pytest.fixture(scope="module")
def whole(command, tmp_path_factory):
    """The folder of a run that nothing disturbed."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    done = call([*command, str(folder)])
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.slow  # as above
def test_a_command_killed_again_and_again_ends_where_it_would_have_ended(whole, command, tmp_path):
    killed = tmp_path / "killed"
    before = b""
    for event, part, count in MOMENTS:
        end = call(["-c", KILLER, event, part, str(count), *command, str(killed)])
        assert end.returncode == -signal.SIGKILL, end.stderr
        after = (killed / "children.jsonl").read_bytes()
        assert after.startswith(before), "a child was lost, or trained twice"
        before = after
    last = call([*command, str(killed)])
    assert last.returncode == 0, last.stderr
    assert (killed / "children.jsonl").read_bytes().startswith(before)
    assert children(killed) == children(whole)
    trained = [tuple(row["candidate"]) for row in children(whole)]
    assert len(trained) == len(set(trained))
    assert children(killed / "finals") == children(whole / "finals")
    (batches, ours), (most, theirs) = controller(killed), controller(whole)
    assert batches == most == 3
    assert tiny.same_trees(ours, theirs)
    names = [f"{name}/trials.jsonl" for name in ("ppo", "random")]
    names += [
        f"genotype_{name}{kind}.json" for name in ("ppo", "random") for kind in ("", "_imagenet")
    ]
    for name in names:
        assert (killed / name).read_bytes() == (whole / name).read_bytes(), name
    rows = [read_results(folder) for folder in (whole, killed)]
    assert [row.digest for row in rows[0]] == [row.digest for row in rows[1]]
    assert [row.test_accuracy for row in rows[0]] == [row.test_accuracy for row in rows[1]]


@pytest.mark.slow  # as above, and the stack for large images has fourteen cells
@pytest.mark.parametrize("real", [False, True])
def test_the_winner_trains_on_tiny_imagenet(whole, real, request, tmp_path):
    if real:
        folder = request.getfixturevalue("real_data_dir")
        if not (folder / "tiny-imagenet-200").is_dir():
            pytest.skip("needs tiny-imagenet-200 in JAXNAS_DATA_DIR")
    else:
        folder = tmp_path
        tiny_imagenet(folder / "tiny-imagenet-200")
    flags = {
        "dataset": "tiny_imagenet",
        "data-dir": folder,
        "base": whole / "genotype_ppo_imagenet.json",
        "run-dir": tmp_path / "run",
        "methods": "original",
        "train-limit": 400 if real else 6,
        "batch-size": 40 if real else 2,
        "epochs": 1,
    }
    words = [str(word) for name, value in flags.items() for word in (f"--{name}", value)]
    done = call([str(scripts.EXPERIMENTS / "proxyless_cifar.py"), *words])
    assert done.returncode == 0, done.stderr
    (row,) = read_results(tmp_path / "run")
    assert row.base.endswith("_imagenet")
    assert np.isfinite(row.test_accuracy)

"""Whoever does a command's jobs, its numbers are the same."""

import json
import os
from pathlib import Path

import pytest

from jaxnas.commands.experiment import run_experiment
from jaxnas.jobs.worker_flags import WorkerFlags
from jaxnas.runs.config import Experiment, RunFlags
from jaxnas.runs.flags.data import DataFlags
from support import tiny
from support.killing import call

ROOT = Path(__file__).parents[2]


def rows(folder):
    """What a command found, but for its clocks."""
    found = json.loads((folder / "results.json").read_text())
    return [{k: v for k, v in row.items() if not k.endswith("seconds")} for row in found]


@pytest.mark.slow  # every worker compiles
def test_processes_find_what_this_process_does(tmp_path):
    folder = tiny.write(tmp_path)
    for workers in ("in-process", "processes"):
        experiment = Experiment(
            data=DataFlags(str(folder / "tiny.npz")),
            base=str(folder / "base.json"),
            methods=("original",),
            seeds=(0, 1),
            run=RunFlags(tmp_path / workers),
            **tiny.settings(epochs=1, adapt_epochs=0, warmup_epochs=0),
            jobs=WorkerFlags(workers=workers),
        )
        run_experiment(experiment, "test")
    assert [row["seed"] for row in rows(tmp_path / "processes")] == [0, 1]
    assert rows(tmp_path / "processes") == rows(tmp_path / "in-process")
    names = [sorted(p.name for p in (tmp_path / n).iterdir()) for n in ("processes", "in-process")]
    assert names[0] == names[1]


SMALL = ["--epochs", "1", "--batch-size", "16"]
COMMANDS = {
    "proxyless_cifar": ["--methods", "original", "cell", "--seeds", "0", "1", *SMALL],
    "cost_front": ["--targets", "0.5", "0.9", *SMALL],
    "compare_cifar": ["--method", "original", "adapt_full", "--seeds", "2", *SMALL],
    "proxylessnas_cifar": [
        *(
            "--width",
            "0.25",
            "--stages",
            "1",
            "--depth",
            "2",
            "--kernels",
            "3",
            "5",
            "--head",
            "32",
        ),
        *("--search-epochs", "2", "--search-batch-size", "16", *SMALL),
    ],
}


@pytest.mark.slow  # every worker compiles
@pytest.mark.parametrize("name", COMMANDS)
def test_all_ways_find_the_same(tmp_path, name):
    folder = tiny.write(tmp_path)
    common = [f"{ROOT / 'experiments' / name}.py", "--dataset", str(folder / "tiny.npz")]
    if name != "proxylessnas_cifar":
        common += ["--base", str(folder / "base.json")]
    environment = {**os.environ, "RAY_ADDRESS": "local", "PYTHONPATH": str(ROOT)}
    for workers in ("in-process", "processes", "ray"):
        command = [*common, *COMMANDS[name], "--run-dir", workers, "--workers", workers]
        if workers == "ray":
            command += ["--worker-count", "2", "--cpus-per-worker", "0.1"]
        done = call(command, env=environment, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    files = {
        workers: sorted(path.relative_to(tmp_path / workers) for path in found)
        for workers in ("in-process", "processes", "ray")
        if (found := list((tmp_path / workers).rglob("results.json")))
    }
    assert files["processes"] == files["ray"] == files["in-process"]
    for file in files["in-process"]:
        ways = [rows((tmp_path / workers / file).parent) for workers in files]
        assert ways[0] == ways[1] == ways[2]
        assert all(row["digest"] for row in ways[0])

"""A run that is resumed with more epochs than it had."""

import dataclasses

import pytest

from jaxnas.commands.experiment import run_experiment
from jaxnas.reports import read_results
from jaxnas.runs.config import Experiment, RunFlags, Training
from jaxnas.runs.flags.data import DataFlags
from jaxnas.storage import RunDirectory, RunError
from jaxnas.storage.directory import OUTCOME
from support import tiny


def config(epochs, **more):
    return {"training": {"epochs": epochs}} | more


def resumed(path, settings, reason=""):
    return RunDirectory(path, settings, resume=True, growing={"training.epochs": reason})


@pytest.fixture
def finished(tmp_path):
    with RunDirectory(tmp_path, config(20)) as run:
        (run.path / "cell_seed0").mkdir()
        run.write_json(f"cell_seed0/{OUTCOME}", [])
    return tmp_path


def test_a_folder_of_more_epochs_is_no_longer_done(finished):
    resumed(finished, config(30)).check()
    outcome = finished / "cell_seed0" / OUTCOME
    assert outcome.exists()  # checked only
    with resumed(finished, config(30)) as run:
        written = run.read_json("config.json")
        assert written["training"] == {"epochs": 30}
        assert "environment" in written
    assert not outcome.exists()
    with pytest.raises(RunError, match=r"training\.epochs was 30 and is 20; resume"):
        resumed(finished, config(20)).check()


@pytest.mark.parametrize(
    ("settings", "reason", "message"),
    [
        (config(30), "as it is", r"epochs was 20 and is 30 \(as it is\); resume"),
        (config(10), "", "epochs was 20 and is 10; resume"),
        (config(30.5), "", "epochs was 20 and is 30.5; resume"),
        (config(30, rate=1), "", "epochs was 20 and is 30, rate was absent and is 1; resume"),
        (config(20, rate=1), "", "configuration: rate was absent and is 1; resume"),
    ],
)
def test_other_changes_are_refused_and_leave_all_as_it_was(finished, settings, reason, message):
    with pytest.raises(RunError, match=message):
        with resumed(finished, settings, reason):
            pass
    assert (finished / "cell_seed0" / OUTCOME).exists()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, ""),
        ({"schedule": "cosine"}, "--schedule cosine is laid out over all epochs"),
        ({"drop_path": 0.1}, "--drop-path grows over all epochs"),
        ({"rate_warmup_epochs": None}, "--rate-warmup-epochs follows --epochs"),
    ],
)
def test_what_binds_a_training_to_its_epochs_is_told(changes, reason):
    bound = Training(**({"schedule": "constant"} | changes)).bound_to_epochs
    assert bound.startswith(reason)
    assert bool(bound) == bool(reason)


def experiment(inputs, run_dir, resume=False, **changes):
    return Experiment(
        data=DataFlags(dataset=str(inputs / "tiny.npz")),
        run=RunFlags(run_dir=run_dir, resume=resume),
        base=str(inputs / "base.json"),
        **tiny.settings(schedule="constant", **changes),
    )


@pytest.mark.slow
def test_a_run_of_a_constant_rate_goes_on_to_the_bits_of_a_longer_one(tmp_path):
    inputs = tiny.write(tmp_path)
    run_experiment(experiment(inputs, tmp_path / "long", epochs=5), "test")
    run_experiment(experiment(inputs, tmp_path / "run", epochs=2), "test")
    run_experiment(experiment(inputs, tmp_path / "run", True, epochs=5), "test")
    left, right = (
        [dataclasses.replace(row, seconds=0.0) for row in read_results(tmp_path / name)]
        for name in ("long", "run")
    )
    assert [row.method for row in left] == ["original", "cell", "full"]
    assert left == right


@pytest.mark.slow
def test_an_adaptation_that_follows_its_epochs_does_not_go_on(tmp_path):
    inputs = tiny.write(tmp_path)
    short = experiment(inputs, tmp_path / "run", epochs=3, adapt_epochs=None, warmup_epochs=0)
    run_experiment(dataclasses.replace(short, methods=("cell",)), "test")
    longer = experiment(inputs, tmp_path / "run", True, adapt_epochs=None, warmup_epochs=0)
    with pytest.raises(RunError, match="--adapt-epochs follows --epochs unless it is given"):
        run_experiment(dataclasses.replace(longer, methods=("cell",)), "test")

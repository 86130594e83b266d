"""A run that is killed, anywhere and as often as one likes, ends where it would have ended."""

import shutil
import signal
from pathlib import Path

import pytest

from jaxnas.commands.experiment import run_experiment
from jaxnas.jobs.job import Watcher
from jaxnas.reports import read_results
from jaxnas.runs.config import Experiment, RunFlags
from jaxnas.runs.flags.data import DataFlags
from jaxnas.storage import RunError
from jaxnas.storage.checkpoints import Checkpoints
from jaxnas.storage.directory import RunDirectory
from support import tiny
from support.killing import KILLER, call

SCRIPT = Path(__file__).parents[2] / "experiments" / "proxyless_cifar.py"

KINDS = {
    "original": {"method": "original"},
    "cell, train": {"method": "cell"},
    "cell, holdout": {"method": "cell", "arch_data": "holdout", "estimator": "mixed"},
    "full, train": {"method": "full", "estimator": "raw"},
    "full, holdout": {"method": "full", "arch_data": "holdout", "estimator": "raw"},
    "two seeds side by side": {"method": "cell", "seeds": (0, 1)},
}


class Killed(BaseException):
    """Ends a run as nothing in it expects."""


def steps_before(kind, epoch):
    """Steps of the epochs before `epoch`, counted from 0: 72 or 80 images in batches of 16."""
    adaptation = 4 if kind.get("arch_data") == "holdout" else 5
    return sum(adaptation if each < 2 else 5 for each in range(epoch))


def run_until(run, folder, monkeypatch, moment, before):
    """Runs until a moment after the `before` steps of the epochs that are done.

    Args:
      moment: a number of steps, "logged" (but not saved) or "saved", or None to run to the end.

    Returns:
      the outcomes, or None if it was killed; and how often progress was told.
    """
    calls = []

    def progress():
        calls.append(None)
        if isinstance(moment, int) and len(calls) == before + moment:
            raise Killed

    def then_kill(function):
        def killing(*arguments):
            function(*arguments)
            raise Killed

        return killing

    with monkeypatch.context() as patch, tiny.open_run(folder) as directory:
        if moment == "logged":
            patch.setattr(RunDirectory, "log", then_kill(RunDirectory.log))
        if moment == "saved":
            patch.setattr(Checkpoints, "save", then_kill(Checkpoints.save))
        try:
            return run.run(directory, Watcher(progress)), len(calls)
        except Killed:
            return None, len(calls)


def same_outcomes(left, right):
    """Whether outcomes agree in all but the time they took."""
    for one, other in zip(left, right, strict=True):
        assert one.result.digest == other.result.digest
        assert one.result.genotype == other.result.genotype
        assert tiny.same_trees(one.variables, other.variables)
        assert (one.theta is None) == (other.theta is None)
        assert one.theta is None or tiny.same_trees(one.theta, other.theta)
        assert one.notes == other.notes
    return True


# The other kinds stop and start as these do.
QUICK = ("cell, holdout",)


@pytest.mark.parametrize(
    "name",
    [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in KINDS],
)
def test_killed_in_every_epoch_at_every_kind_of_moment(tmp_path, monkeypatch, name):
    """In turn after the first, the last but one and the last step, and before and after saving."""
    kind = KINDS[name]
    run = tiny.run(**kind)
    whole, told = run_until(run, tmp_path / "whole", monkeypatch, None, 0)
    assert told == steps_before(kind, 4) == run.total_steps
    for epoch in range(4):
        before = steps_before(kind, epoch)
        steps = steps_before(kind, epoch + 1) - before
        for moment in (1, steps - 1, steps, "logged", "saved"):
            outcomes, told = run_until(run, tmp_path / "killed", monkeypatch, moment, before)
            assert outcomes is None
            # What is done is told as done at once, what was killed is done again.
            assert told == before + (moment if isinstance(moment, int) else steps)
    resumed, told = run_until(run, tmp_path / "killed", monkeypatch, None, 0)
    assert told == run.total_steps
    assert same_outcomes(whole, resumed)
    files = tiny.left_behind(tmp_path / "whole")
    assert files == tiny.left_behind(tmp_path / "killed")
    assert "checkpoint 4" in files
    # A kill before anything is written of the outcome, and no state in memory.
    again = tiny.run(**kind)
    with tiny.open_run(tmp_path / "killed") as directory:
        assert same_outcomes(again.run(directory), whole)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The folder of a finished run of a method, and its outcomes."""
    folder = tmp_path_factory.mktemp("finished") / "run"
    with tiny.open_run(folder) as directory:
        return folder, tiny.run().run(directory)


def damage(checkpoint):
    """Flips bytes in the largest file of a checkpoint."""
    files = [path for path in checkpoint.rglob("*") if path.is_file()]
    path = max(files, key=lambda each: each.stat().st_size)
    data = bytearray(path.read_bytes())
    for place in range(len(data) // 3, len(data) // 3 + 40):
        data[place] ^= 0xFF
    path.write_bytes(bytes(data))


def again(finished, tmp_path, change):
    """Resumes a copy of the finished run after `change` to its checkpoints' folder."""
    folder = Path(shutil.copytree(finished[0], tmp_path / "copy"))
    change(folder / "checkpoints")
    said = []
    with tiny.open_run(folder) as directory:
        outcomes = tiny.run().run(directory, Watcher(say=said.append))
    return folder, outcomes, said


def test_a_damaged_checkpoint_is_named_and_the_one_before_is_used(finished, tmp_path):
    folder, outcomes, said = again(finished, tmp_path, lambda each: damage(each / "4"))
    assert len(said) == 1
    assert f"{folder}/checkpoints/4 is passed over" in said[0]
    assert same_outcomes(outcomes, finished[1])
    assert tiny.left_behind(folder) == tiny.left_behind(finished[0])


def test_if_all_checkpoints_are_damaged_a_sentence_says_so(finished, tmp_path):
    def change(checkpoints):
        for each in checkpoints.iterdir():
            damage(each)

    with pytest.raises(RunError, match=r"none of the checkpoints in .* can be used; use --over"):
        again(finished, tmp_path, change)


def test_another_seeds_checkpoints_are_refused(finished, tmp_path):
    folder = Path(shutil.copytree(finished[0], tmp_path / "copy"))
    said = []
    with tiny.open_run(folder) as directory:
        with pytest.raises(RunError, match=r"none of the checkpoints in .* can be used"):
            tiny.run(seeds=(7,)).run(directory, Watcher(say=said.append))
    assert said
    assert all("its seeds are [" in text for text in said)


@pytest.mark.slow
def test_another_methods_checkpoints_are_refused(finished, tmp_path):
    foreign = tmp_path / "foreign"
    with tiny.open_run(foreign) as directory:
        alone = tiny.run("original", epochs=1, adapt_epochs=0, warmup_epochs=0)
        alone.run(directory)

    def change(checkpoints):
        shutil.rmtree(checkpoints)
        shutil.copytree(foreign / "checkpoints", checkpoints)

    with pytest.raises(RunError, match=r"none of the checkpoints in .* can be used; use --over"):
        again(finished, tmp_path, change)
    # And the other way round.
    shutil.rmtree(foreign / "checkpoints")
    shutil.copytree(finished[0] / "checkpoints", foreign / "checkpoints")
    said = []
    with tiny.open_run(foreign) as directory:
        with pytest.raises(
            RunError, match=r"none of the checkpoints in .* can be used; use --over"
        ):
            alone.run(directory, Watcher(say=said.append))
    assert all("its phase is" in text or "its metadata describes no" in text for text in said)


MOMENTS = [
    ("step", "0", 3),  # in the first epoch of all
    ("os.rename", "/original_seed0/checkpoints/1.orbax-checkpoint-tmp", 1),  # in a save
    ("os.mkdir", "/cell_seed0", 1),  # between two methods
    ("step", "1", 8),  # in the middle of the adaptation
    ("step", "1", 11),  # in the first step of the fixed phase
    ("os.rename", "/cell_seed0/.outcome.json.tmp", 1),  # when all is done but the outcome written
    ("os.rename", "/.report.md.tmp", 1),  # in the report
]


@pytest.mark.slow
def test_a_command_killed_again_and_again_ends_where_it_would_have_ended(tmp_path):
    folder = tiny.write(tmp_path)
    experiment = Experiment(
        data=DataFlags(str(folder / "tiny.npz")),
        base=str(folder / "base.json"),
        methods=("original", "cell"),
        run=RunFlags(tmp_path / "whole"),
        **tiny.settings(),
    )
    run_experiment(experiment, "test")
    flags = {"methods": experiment.methods, "run_dir": tmp_path / "killed", "resume": True}
    command = [str(SCRIPT), *tiny.command(folder, **flags)]
    for event, part, count in MOMENTS:
        killed = call(["-c", KILLER, event, part, str(count), *command])
        assert killed.returncode == -signal.SIGKILL, killed.stderr
    last = call(command)
    assert last.returncode == 0, last.stderr
    rows = [read_results(tmp_path / name) for name in ("whole", "killed")]
    assert [row.digest for row in rows[0]] == [row.digest for row in rows[1]]
    assert [row.test_accuracy for row in rows[0]] == [row.test_accuracy for row in rows[1]]
    for method in ("original_seed0", "cell_seed0"):
        whole, killed = (tiny.left_behind(tmp_path / name / method) for name in ("whole", "killed"))
        assert whole == killed
    names = [sorted(p.name for p in (tmp_path / n).iterdir()) for n in ("whole", "killed")]
    assert names[0] == names[1]

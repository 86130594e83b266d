"""The code of docs/your_dataset.md runs as printed, up to where training starts."""

import shlex
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from jaxnas.data import Augmentation, load, loading
from jaxnas.reports.results import SeedOutcome
from jaxnas.runs.training_run import TrainingRun
from jaxnas.storage.directory import RunDirectory
from support import pages, scripts

PAGE = "your_dataset.md"


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """The folder in which the page ran, the names it left, and the runs that it began."""
    folder, runs = tmp_path_factory.mktemp("guide"), []
    metrics = ("test_accuracy", "test_loss", "params", "macs", "seconds", "digest")

    def begin(run, **_):
        runs.append(run)
        result = SimpleNamespace(**dict.fromkeys(metrics), genotype=run.base)
        return [SeedOutcome(result, None, None, ())]

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(TrainingRun, "run", begin)
        names = pages.run(PAGE)
    (folder / "scans/train/digit_0/wide.png").unlink()  # the page's mistake
    return folder, names, runs


def test_the_guides_files_hold_its_arrays(ran):
    folder, names, _ = ran
    split = load(folder / "signs.npz")
    for part, array in zip(("train_images", "train_labels"), names["parts"][:2], strict=True):
        np.testing.assert_array_equal(np.squeeze(getattr(split, part)), array)
    whole = load(folder / "whole.npz")
    np.testing.assert_array_equal(whole.test_labels, names["labels"][-len(whole.test_labels) :])
    scans = load(folder / "scans")
    assert scans.train_labels[:20].tolist() == 2 * list(range(10)), "the classes take turns"
    assert set(map(bytes, scans.train_images)) == set(map(bytes, names["images"][:200]))


def test_the_guides_network_learns_the_guides_signs(ran):
    _, names, (run,) = ran
    assert run.dataset is names["signs"]
    assert run.dataset.augmentation == Augmentation(pad=1, flip=False)
    assert (run.base.name, run.settings.epochs, run.settings.cutout) == ("plain20", 30, 2)


COMMANDS = [
    shlex.split(line)[1:]
    for kind, content in pages.blocks(PAGE)
    if not kind
    for line in content.splitlines()
]


class Understood(BaseException):
    """Ends a command before it does anything."""


@pytest.mark.parametrize("command", COMMANDS, ids=shlex.join)
def test_the_guides_commands_are_understood(ran, monkeypatch, command):
    """Up to where the run directory is made: all that is refused is refused before."""

    def understand(*_, **__):
        raise Understood

    monkeypatch.chdir(ran[0])
    monkeypatch.setattr(RunDirectory, "__enter__", understand)
    monkeypatch.setattr(loading, "load_tfds", understand)
    script, *arguments = command
    with pytest.raises(Understood):
        scripts.run(monkeypatch, Path(script).stem, *arguments)

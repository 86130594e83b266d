"""A search runs, resumes to the same bits, stops and fails as it should, and is compared."""

import contextlib
import dataclasses
import io
import json
import re

import jax
import numpy as np
import pytest

from jaxnas.commands.search_experiment import SearchMethod, run_search
from jaxnas.jobs.job import Watcher
from jaxnas.reports import read_results
from jaxnas.runs.config import ConfigError, RunFlags, Training
from jaxnas.runs.flags.data import DataFlags
from jaxnas.runs.loop import TrainingError
from jaxnas.runs.search_config import SearchExperiment
from jaxnas.runs.search_run import SearchImages, SearchRun
from jaxnas.spaces import Genotype
from jaxnas.storage.checkpoints import Checkpoints
from jaxnas.storage.directory import RunDirectory
from jaxnas.storage.files import RunError
from support import tiny, toy_search
from support.toy_search import ARCH_STEPS, BATCH, EPOCHS, SHARE, TRAIN_STEPS

STEPS = TRAIN_STEPS + ARCH_STEPS


class Killed(BaseException):
    """Ends a run as nothing in it expects."""


def search_run(seed=0, epochs=EPOCHS, batch_size=BATCH, train_share=SHARE, **options):
    images = SearchImages(tiny.dataset(), train_share, seed)
    return SearchRun(toy_search.search(**options), "toy", images, epochs, batch_size)


def left_behind(folder):
    """Rows of metrics and the last checkpoint's digest, without times."""
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    for row in rows:
        assert row.pop("seconds") > 0
    newest = max((int(each.name), each) for each in (folder / "checkpoints").iterdir())[1]
    return rows, json.loads((newest / "meta" / "metadata").read_text())["digest"]


def same(one, other):
    return one._replace(seconds=0) == other._replace(seconds=0)


def test_epochs_are_rows_with_the_means_of_each_phase(tmp_path):
    lines, calls = [], []
    run = search_run()
    with tiny.open_run(tmp_path / "run") as folder:
        watcher = Watcher(lambda: calls.append(None), tell=lines.append)
        searched = run.run(folder, watcher)
        told = folder.rows()
    assert [line.split(", ")[1] for line in lines] == [f"seed 0: epoch {n}/4" for n in range(1, 5)]
    assert len(calls) == run.total_steps == TRAIN_STEPS + 3 * STEPS
    assert [row["epoch"] for row in told] == [1, 2, 3, 4]
    assert [set(row) for row in told] == [
        {"epoch", "seed", "seconds", "alpha", "weights_loss"}
        | ({"architecture_loss"} if epoch else set())
        for epoch in range(EPOCHS)
    ]
    assert told[0]["alpha"] == 0
    assert searched.epochs == EPOCHS
    assert searched.found.notes == ("A note.",)
    assert searched.found.genotype == toy_search.genotype(told[-1]["alpha"])
    assert re.fullmatch("[0-9a-f]{64}", searched.digest)


def test_the_seed_decides_alone():
    once, again, other = (search_run(seed).run() for seed in (0, 0, 1))
    assert same(once, again)
    assert once.digest != other.digest
    assert once.found.genotype != other.found.genotype


def test_a_pass_takes_every_image_of_its_first_part_once_and_goes_round_the_others():
    run = search_run()
    orders = [run._order("architecture", epoch) for epoch in (1, 2)]
    for order in orders:
        assert {part: rows.shape for part, rows in order.items()} == {
            "arch": (ARCH_STEPS, BATCH),
            "train": (ARCH_STEPS, BATCH),
        }
        assert sorted(np.ravel(order["arch"])) == list(range(24))
        assert len(set(np.ravel(order["train"]).tolist())) == 24
    assert (orders[0]["arch"] != orders[1]["arch"]).any()
    # Where the other part is the smaller one, it is used up before an image comes again.
    search = run.search._replace(parts={"weights": ("train", "arch")})
    order = dataclasses.replace(run, search=search)._order("weights", 0)
    first, second = np.ravel(order["arch"])[:24], np.ravel(order["arch"])[24:48]
    assert sorted(first) == sorted(second) == list(range(24))
    assert (first != second).any()


def test_the_parts_are_a_partition_of_the_training_images_by_the_seed():
    parts = [search_run(seed)._data for seed in (0, 1)]
    images = tiny.dataset().train_images
    for part in parts:
        both = np.concatenate([np.asarray(part["train"][0]), np.asarray(part["arch"][0])])
        assert sorted(each.tobytes() for each in both) == sorted(each.tobytes() for each in images)
    assert (np.asarray(parts[0]["train"][0]) != np.asarray(parts[1]["train"][0])).any()


def test_killed_in_every_epoch_at_every_kind_of_moment(tmp_path, monkeypatch):
    """It ends bitwise where the uninterrupted run ends."""
    run = search_run()
    with tiny.open_run(tmp_path / "whole") as folder:
        whole = run.run(folder)

    def go_on(moment, before):
        calls = []

        def progress():
            calls.append(None)
            if isinstance(moment, int) and len(calls) == before + moment:
                raise Killed

        def then_kill(function):
            def killing(*arguments, **options):
                function(*arguments, **options)
                raise Killed

            return killing

        with monkeypatch.context() as patch, tiny.open_run(tmp_path / "killed") as folder:
            if moment == "logged":
                patch.setattr(RunDirectory, "log", then_kill(RunDirectory.log))
            if moment == "saved":
                patch.setattr(Checkpoints, "save", then_kill(Checkpoints.save))
            return run.run(folder, Watcher(progress))

    for epoch in range(EPOCHS):
        before = sum(STEPS if each else TRAIN_STEPS for each in range(epoch))
        for moment in (1, TRAIN_STEPS, "logged", "saved"):
            with pytest.raises(Killed):
                go_on(moment, before)
    assert same(go_on(None, 0), whole)
    assert left_behind(tmp_path / "killed") == left_behind(tmp_path / "whole")


def test_it_stops_when_the_search_says_so_and_stays_stopped(tmp_path):
    run = search_run(stop_at=TRAIN_STEPS + STEPS)
    for _ in range(2):  # a resumed run does not go on
        with tiny.open_run(tmp_path / "run") as folder:
            searched = run.run(folder)
            assert searched.epochs == 2
            assert [row["stop"] for row in folder.rows()] == [0, 1]
    shorter = search_run(epochs=2).run()
    assert searched.found == shorter.found


def test_what_is_not_finite_is_told_and_not_kept(tmp_path):
    with tiny.open_run(tmp_path / "run") as folder:
        with pytest.raises(
            TrainingError, match=r"toy, seed 0: weights_loss .* in epoch 2 .* 1 is kept"
        ):
            search_run(broken_from=TRAIN_STEPS + 2).run(folder)
        assert [row["epoch"] for row in folder.rows()] == [1]
    assert (tmp_path / "run" / "checkpoints" / "1").is_dir()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"batch_size": 25},
            "--search-batch-size 25 is more than the 24 images of the part 'arch'",
        ),
        ({"train_share": 0.05}, "--search-batch-size 8 is more than the 4 images of the part 'tr"),
    ],
)
def test_parts_without_a_batch_are_refused(changes, message):
    with pytest.raises(ConfigError, match=re.escape(message)):
        search_run(**changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train_share": 1.0}, "--train-share"),
        ({"search_epochs": 0}, "--search-epochs"),
        ({"search_batch_size": 0}, "--search-batch-size"),
        ({"eval_every": 0}, "--eval-every"),
        ({"seed": -1}, "a seed"),
    ],
)
def test_flags_that_cannot_be_are_named(changes, message):
    with pytest.raises(ConfigError, match=message):
        SearchExperiment(**changes)


def flags(folder, run_dir, **changes):
    return SearchExperiment(
        data=DataFlags(str(folder / "tiny.npz")),
        run=tiny.taken(RunFlags, changes, run_dir=run_dir),
        search_epochs=2,
        search_batch_size=BATCH,
        train_share=SHARE,
        training=Training(epochs=2, batch_size=16, learning_rate=0.05),
        **changes,
    )


def run(experiment, **options):
    """The whole experiment, and what it prints."""

    def make(task, dataset, steps):
        assert steps == {"train": TRAIN_STEPS, "arch": ARCH_STEPS}
        assert task.outputs == dataset.num_classes == 4
        return SearchMethod(toy_search.search(**options), lambda key: toy_search.genotype(0.5))

    out = io.StringIO()
    with contextlib.redirect_stdout(out), pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", "500")
        run_search(experiment, "toy", make, {"speed": 1})
    return out.getvalue()


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """The run directory of a whole experiment, its inputs and what it printed."""
    inputs = tiny.write(tmp_path_factory.mktemp("inputs"))
    path = tmp_path_factory.mktemp("done") / "run"
    return path, inputs, run(flags(inputs, path))


@pytest.mark.slow
def test_found_and_random_stand_side_by_side(done):
    path, _, text = done
    rows = read_results(path)
    assert [(row.method, row.base, row.seed, row.epochs) for row in rows] == [
        ("found", "toy", 0, 2),
        ("random", "toy", 0, 2),
    ]
    answer = json.loads((path / "search" / "outcome.json").read_text())
    assert rows[0].genotype == Genotype.from_json(json.dumps(answer["genotype"]))
    assert rows[1].genotype.name == toy_search.genotype(0.5).name
    # Of one graph and one seed: trained alike, they are alike.
    assert rows[0].test_loss == rows[1].test_loss
    report = (path / "report.md").read_text()
    for part in (text, report):
        assert "toy: the search took" in part
        assert "A note." in part
        assert answer["digest"][:12] in part
    assert "2 epochs" in text
    for picture in ("search_curves.svg", "curves.svg", "network_found.svg", "network_random.svg"):
        assert f"({picture})" in report
        assert (path / picture).is_file()


@pytest.mark.slow
def test_a_control_searches_in_a_folder_of_its_own_and_is_trained_alike(done, tmp_path):
    _, inputs, _ = done
    path = tmp_path / "run"

    def make(task, dataset, steps):
        control = toy_search.search(stop_at=TRAIN_STEPS)
        return SearchMethod(toy_search.search(), lambda key: toy_search.genotype(0.5), control)

    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        run_search(flags(inputs, path), "toy", make, {})
    rows = read_results(path)
    assert [row.method for row in rows] == ["found", "random", "control"]
    for row, folder in (("found", "search"), ("control", "control_search")):
        answer = json.loads((path / folder / "outcome.json").read_text())
        trained = next(each for each in rows if each.method == row)
        assert trained.genotype == Genotype.from_json(json.dumps(answer["genotype"]))
    assert rows[0].genotype != rows[2].genotype, "the control stopped before it chose"
    report = (path / "report.md").read_text()
    assert "control: A note." in report
    assert f"digest {answer['digest'][:12]}" in report


def test_what_is_done_is_not_done_again(done, monkeypatch):
    path, inputs, text = done
    for kind in ("search_run.SearchRun", "training_run.TrainingRun"):
        monkeypatch.setattr(f"jaxnas.runs.{kind}.run", None)
    again = run(flags(inputs, path, resume=True))
    assert (
        again[again.index("digest of the search") :] == text[text.index("digest of the search") :]
    )


def refuse_to_make(task, dataset, steps):
    """For what must be told before a search is built."""
    raise AssertionError


def test_a_run_of_other_settings_is_not_gone_on_with(done):
    path, inputs, _ = done
    with pytest.raises(RunError, match=r"train_share was 0\.7 and is 0\.5"):
        run_search(
            dataclasses.replace(flags(inputs, path, resume=True), train_share=0.5),
            "toy",
            refuse_to_make,
            {"speed": 1},
        )
    with pytest.raises(RunError, match="holds an earlier run"):
        run_search(flags(inputs, path), "toy", refuse_to_make, {"speed": 1})


def test_a_network_that_cannot_be_trained_is_told_before_the_search(done, tmp_path):
    _, inputs, _ = done
    training = Training(epochs=1, batch_size=81)
    experiment = dataclasses.replace(flags(inputs, tmp_path / "run"), training=training)
    with pytest.raises(ConfigError, match="--batch-size 81 is more than the 80"):
        run(experiment)
    assert not (tmp_path / "run").exists()


def test_every_random_network_has_its_own_seed(done, tmp_path):
    _, inputs, _ = done
    keys = []

    class Enough(Exception):
        """The control is drawn: no need to go on."""

    def make(task, dataset, steps):
        def random(key):
            keys.append(np.asarray(jax.random.key_data(key)).tolist())
            raise Enough

        return SearchMethod(toy_search.search(), random)

    for seed in (0, 1):
        experiment = dataclasses.replace(flags(inputs, tmp_path / "run"), seed=seed)
        with pytest.raises(Enough):
            run_search(experiment, "toy", make, {})
    assert keys[0] != keys[1]

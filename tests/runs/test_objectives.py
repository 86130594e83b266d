"""A method that learns without labels: what it is judged by, what it leaves, what it refuses."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnas import nn, training
from jaxnas.data import Augmentation
from jaxnas.jobs.job import Watcher
from jaxnas.randomness import stream
from jaxnas.runs.config import ConfigError, Training
from jaxnas.runs.flags.self_supervision import SelfSupervision
from jaxnas.runs.objectives import SelfSupervised, Supervised
from jaxnas.tasks import supervised
from support import tiny

SUPERVISION = SelfSupervision(neighbours=20, probe_epochs=5)
SCORES = {
    "knn_accuracy",
    "ridge_accuracy",
    "feature_std",
    "feature_rank",
    "untrained_knn_accuracy",
    "untrained_ridge_accuracy",
}


def ssl_run(method="cell", seeds=(0,), supervision=SUPERVISION, eval_every=2, **changes):
    return tiny.run(method, seeds, eval_every, supervision, **changes)


class Killed(BaseException):
    """Ends a run as nothing in it expects."""


@functools.cache
def finished(method, **changes):
    return ssl_run(method, **changes).run()


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes",
    [
        {"method": "original"},
        pytest.param({"method": "cell"}, marks=pytest.mark.slow),
        pytest.param({"method": "cell", "seeds": (0, 3)}, marks=pytest.mark.slow),
    ],
)
def test_the_network_has_a_classifier_of_the_accuracy_told(changes):
    dataset = tiny.dataset()
    task = supervised(4, dataset.channel_mean(), dataset.channel_std(), Augmentation())
    for outcome in finished(**changes):
        network = nn.build(outcome.result.genotype, 4)
        expected = nn.abstract_variables(network, dataset.input_shape)
        shapes = jax.tree.map(jnp.shape, outcome.variables)
        assert shapes == jax.tree.map(lambda leaf: leaf.shape, expected), "no heads are left"
        evaluate = training.evaluator(training.flax_apply(network), task)
        images, labels = jnp.asarray(dataset.test_images), jnp.asarray(dataset.test_labels)
        score = evaluate(outcome.variables, None, images, labels)
        assert outcome.result.test_accuracy == pytest.approx(100 * float(score["accuracy"]))
        assert outcome.result.test_loss == pytest.approx(float(score["loss"]), rel=1e-4)
        assert outcome.result.scores.keys() == SCORES
        size = nn.cost(network, dataset.input_shape)
        assert (outcome.result.params, outcome.result.macs) == (size.params, size.macs)


@pytest.mark.slow
def test_the_notes_tell_of_collapse_and_of_the_untrained_network():
    (outcome,) = finished("original")
    scores = outcome.result.scores
    (note,) = outcome.notes
    assert note.startswith("original, seed 0: kNN accuracy ")
    for name in ("knn", "ridge"):
        now, untrained = scores[f"{name}_accuracy"], scores[f"untrained_{name}_accuracy"]
        assert f"{now:.2f}% (untrained {untrained:.2f}%)" in note
    assert f"effective rank {scores['feature_rank']:.1f} of 8 (untrained " in note


def untrained_std(found):
    """A watcher that adds to `found` the standard deviation of features before the first step."""

    def tell(line):
        if "epoch 0/" in line:
            found.append(float(line.split("feature std ")[1].split(",")[0]))

    return Watcher(tell=tell)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["original", pytest.param("cell", marks=pytest.mark.slow)])
def test_how_often_a_network_is_judged_changes_nothing_of_it(method, monkeypatch):
    """Nor with which batch statistics before its first step, which change what is seen of it."""
    stds = []
    (often,) = ssl_run(method, eval_every=1).run(watcher=untrained_std(stds))
    assert often.result.digest == finished(method)[0].result.digest
    monkeypatch.setattr(
        training, "statistics_estimator", lambda *_, **__: lambda variables, *_: variables
    )
    (other,) = ssl_run(method, eval_every=4).run(watcher=untrained_std(stds))
    assert other.result.digest == often.result.digest
    estimated, initial = stds
    assert estimated != pytest.approx(initial, rel=0.2)
    assert other.result.scores["feature_std"] == often.result.scores["feature_std"]


@pytest.mark.slow  # two phases are compiled, for which tests/commands/test_resume.py has quick ones
def test_a_killed_run_goes_on_to_the_same_bits(tmp_path):
    with tiny.open_run(tmp_path / "whole") as folder:
        (whole,) = ssl_run().run(folder)
        rows = folder.rows()
    assert [row["epoch"] for row in rows] == [0, 1, 2, 3, 4]
    assert [("knn_accuracy" in row, "train_loss" in row) for row in rows] == [
        (True, False), (False, True), (True, True), (False, True), (True, True),
    ]  # fmt: skip

    def kill(line, at):
        if f"epoch {at}/" in line:
            raise Killed

    for at in (0, 3):  # before the first checkpoint, and in the second phase
        with tiny.open_run(tmp_path / "killed") as folder, pytest.raises(Killed):
            ssl_run().run(folder, Watcher(tell=functools.partial(kill, at=at)))
    with tiny.open_run(tmp_path / "killed") as folder:
        (resumed,) = ssl_run().run(folder)
        assert resumed.result.digest == whole.result.digest
        assert resumed.result.scores == whole.result.scores
    assert tiny.left_behind(tmp_path / "killed") == tiny.left_behind(tmp_path / "whole")


@pytest.mark.slow
def test_accumulated_gradients_move_the_weights_once():
    """An epoch of three steps, each a batch, that move the weights together: one move of SGD.

    In a warm-up the first move is of rate 0; there is no other.
    """
    changes = {"epochs": 1, "adapt_epochs": 0, "warmup_epochs": 0, "batch_size": 26}
    changes["accumulate"] = 3
    run = ssl_run("original", rate_warmup_epochs=1, **changes)
    assert run.total_steps == 3
    (still,) = run.run()
    (moved,) = ssl_run("original", **changes).run()
    start = nn.init(
        nn.build(tiny.BASE, 4), stream(jax.random.key(0), "init"), tiny.dataset().input_shape
    )
    for outcome, same in ((still, True), (moved, False)):
        kernels = [
            np.array_equal(mine, first)
            for (path, mine), first in zip(
                jax.tree_util.tree_leaves_with_path(outcome.variables["params"]),
                jax.tree.leaves(start["params"]),
                strict=True,
            )
            if path[0].key != "classifier" and path[-1].key == "kernel"
        ]
        assert kernels == [same] * len(kernels)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"label_smoothing": 0.1}, "--label-smoothing is for training with labels"),
        ({"cutout": 2}, "--cutout is for training with labels"),
        ({"batch_size": 1}, "--batch-size 1 leaves SimCLR no other image to tell one from"),
        (
            {"accumulate": 21},
            "--accumulate 21 is more than the 20 steps of the run, so that weights",
        ),
        ({"supervision": SelfSupervision()}, "--neighbours 200 is more than the 80 training"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_runs(changes, message):
    with pytest.raises(ConfigError, match=message):
        ssl_run("original", **changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"temperature": 0.0}, "--temperature must be above 0, not 0.0"),
        (
            {"method": "simsiam", "temperature": 0.2},
            "--temperature is SimCLR's; leave it out with --method simsiam",
        ),
        ({"jitter": -1.0}, "--jitter must be 0 or more, not -1.0"),
        ({"blur": 1.5}, "--blur must be from 0 to 1, not 1.5"),
        ({"crop": 0.0}, "--crop must be above 0 and at most 1, not 0.0"),
        ({"probe_epochs": 0}, "--probe-epochs must be above 0, not 0"),
    ],
)
def test_settings_that_cannot_be_are_named(changes, message):
    with pytest.raises(ConfigError, match=message):
        SelfSupervision(**changes)


def test_views_and_heads_are_the_methods():
    def objective(**changes):
        return SelfSupervised(
            tiny.dataset(),
            tiny.settings()["training"],
            dataclasses.replace(SUPERVISION, **changes),
        )

    assert objective().outputs.predictor is None
    assert objective(method="simsiam").outputs.predictor == 512
    assert SelfSupervision().smallest_crop == 0.08
    assert SelfSupervision(method="simsiam").smallest_crop == 0.2
    assert SelfSupervision(method="simsiam", crop=0.5).smallest_crop == 0.5
    assert SelfSupervision().resolved == {"crop": 0.08, "temperature": 0.5}
    assert SelfSupervision(temperature=0.1).resolved["temperature"] == 0.1
    assert SelfSupervision(method="simsiam").resolved == {"crop": 0.2}


@pytest.mark.parametrize(
    ("epochs", "warmup"), [(1, 0), (2, 0), (10, 1), (38, 4), (100, 10), (200, 10), (800, 10)]
)
def test_the_learning_rate_rises_for_a_tenth_of_the_epochs_and_at_most_ten(epochs, warmup):
    assert Training(epochs=epochs, rate_warmup_epochs=None).rising_epochs == warmup
    assert Training(epochs=epochs).rising_epochs == 0
    assert Training(epochs=epochs, rate_warmup_epochs=1).rising_epochs == 1


def test_simsiam_needs_no_other_image():
    supervision = dataclasses.replace(SUPERVISION, method="simsiam")
    assert ssl_run("original", supervision=supervision, batch_size=1).total_steps == 4 * 80


@pytest.mark.slow  # as SimCLR does above
def test_simsiam_trains_too():
    (outcome,) = finished(
        "original", supervision=dataclasses.replace(SUPERVISION, method="simsiam")
    )
    assert np.isfinite(outcome.result.test_loss)
    assert outcome.result.scores["feature_std"] > 0


def test_balanced_classes_are_weighted_by_the_training_images():
    dataset = tiny.dataset()
    labels = np.maximum(dataset.train_labels, 1)  # class 0 is to be rare, not absent
    labels[0] = 0
    rare = dataclasses.replace(dataset, train_labels=labels)
    logits, one = jnp.zeros((1, 4)), jnp.zeros(1, jnp.int32)
    plain = Supervised(rare, Training(epochs=1)).task.loss(logits, one)
    balanced = Supervised(rare, Training(epochs=1, class_weights="balanced")).task.loss(logits, one)
    assert float(balanced / plain) == pytest.approx(len(labels) / 4)


@pytest.mark.parametrize(
    ("share", "hopeless"), [(0.0, True), (0.25, True), (0.29, True), (0.4, False)]
)
def test_a_network_that_has_learned_nothing_is_told(share, hopeless):
    dataset = tiny.dataset()
    labels = np.arange(400, dtype=np.int32) % 4
    images = np.resize(dataset.test_images, (400, *dataset.input_shape))
    supervised_by = Supervised(
        dataclasses.replace(dataset, test_images=images, test_labels=labels), Training(epochs=1)
    )
    judged = supervised_by.judge(
        jax.random.key(0), tiny.BASE, {}, {"test_accuracy": share, "test_loss": 1.0}, {}, {}
    )
    assert (
        any("naming the commonest class always (25.00%)" in each for each in judged.notes)
        == hopeless
    )

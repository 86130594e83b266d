"""The recipe's flags: runs are judged by averages, stop early, and can be resumed."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnas import nn, training
from jaxnas.jobs.job import Watcher
from jaxnas.runs import stopping
from jaxnas.runs.config import ConfigError, Training
from jaxnas.training import TrainState
from support import tiny

EVERYTHING = {
    "label_smoothing": 0.1,
    "cutmix": 1.0,
    "mixup": 0.2,
    "rand_augment": 1,
    "weight_average": 0.9,
}
STOPPING = {"early_stopping": 2, "validation": 0.2, "epochs": 12, "learning_rate": 0.3}


@functools.cache
def outcomes(method="original", seeds=(0,), **changes):
    return tiny.run(method, seeds, **changes).run()


def test_modern_fills_in_what_is_left_at_sgds_defaults():
    modern = Training(recipe="modern")
    assert (modern.optimizer, modern.learning_rate, modern.weight_decay) == ("adamw", 0.001, 0.05)
    assert dataclasses.replace(modern, epochs=3) == Training(recipe="modern", epochs=3)
    own = Training(recipe="modern", learning_rate=0.002, weight_decay=0.0)
    assert (own.optimizer, own.learning_rate, own.weight_decay) == ("adamw", 0.002, 0.0)
    assert Training().optimizer == "sgd"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"cutmix": -1.0}, "--cutmix must not be negative"),
        ({"rand_magnitude": 31}, "--rand-magnitude must be from 0 to 30"),
        ({"weight_average": 1.0}, "--weight-average must be from 0 to below 1"),
        ({"early_stopping": 0}, "--early-stopping must be at least 1"),
        ({"validation": 1.0}, "--validation must be between 0 and 1"),
        ({"optimizer": "adamw", "learning_rate": 0.1}, "--optimizer adamw diverges at"),
        ({"recipe": "modern", "learning_rate": 0.01}, "AdamW, for which --learning-rate 0.01 is"),
        ({"recipe": "modern", "optimizer": "lars"}, "AdamW; leave out --optimizer lars"),
    ],
)
def test_what_cannot_be_is_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        Training(**changes)


def test_a_validation_part_leaves_something_to_learn():
    with pytest.raises(ConfigError, match=r"--validation 0\.999 holds out all of the 80 training"):
        tiny.run("original", early_stopping=1, validation=0.999)


def test_early_stopping_needs_a_fixed_architecture():
    with pytest.raises(ConfigError, match="--early-stopping needs epochs in which"):
        tiny.run("cell", early_stopping=1, adapt_epochs=4)


def kill_after(epoch):
    """Whom a run tells how it goes, and who ends it once this epoch is logged."""

    def stop(row):
        if row["epoch"] == epoch:
            raise KeyboardInterrupt

    return Watcher(on_epoch=stop)


@pytest.mark.slow
@pytest.mark.parametrize(
    "kind",
    [
        {"method": "original", **EVERYTHING, **STOPPING},
        {"method": "cell", **EVERYTHING, "early_stopping": 1, "epochs": 6},
        {"method": "original", "optimizer": "adamw", "learning_rate": 0.01},
    ],
    ids=["everything", "adapted", "adamw"],
)
def test_a_killed_run_goes_on_to_the_same_bits(kind, tmp_path):
    (whole,) = outcomes(**kind)
    with tiny.open_run(tmp_path) as directory:
        with pytest.raises(KeyboardInterrupt):
            tiny.run(**kind).run(directory, kill_after(3))
        (resumed,) = tiny.run(**kind).run(directory)
        rows = directory.rows()
    assert resumed.result.digest == whole.result.digest
    assert tiny.same_trees(resumed.variables, whole.variables)
    assert resumed.notes == whole.notes
    assert [row["epoch"] for row in rows] == list(range(1, whole.result.epochs + 1))


def test_the_best_epoch_on_held_out_images_is_what_is_left(tmp_path):
    with tiny.open_run(tmp_path) as directory:
        (outcome,) = tiny.run("original", **STOPPING).run(directory)
        rows = directory.rows()
    accuracies = [row["validation_accuracy"] for row in rows]
    best = int(np.argmax(accuracies))  # the first of equals
    assert len(rows) == outcome.result.epochs == best + 3 < 12, "two epochs without a better one"
    assert outcome.result.test_accuracy == rows[best]["test_accuracy"]
    assert outcome.result.scores["validation_accuracy"] == accuracies[best]
    assert f"the weights are those of epoch {best + 1}," in outcome.notes[-1]
    # Of 80 images 16 are held out, and never learned.
    assert tiny.run("original", **STOPPING).steps == (4,) * 12


@pytest.mark.slow
def test_a_seed_that_stops_beside_others_is_that_seed_alone():
    together = outcomes(seeds=(0, 1, 2), **STOPPING)
    alone = [outcomes(seeds=(seed,), **STOPPING)[0] for seed in (0, 1, 2)]
    assert [each.result.epochs for each in together] == [each.result.epochs for each in alone]
    assert [each.notes for each in together] == [each.notes for each in alone]
    assert len({each.result.epochs for each in alone}) > 1, "or else this says nothing"


@pytest.mark.slow
def test_a_network_is_judged_by_the_average_of_its_weights(tmp_path):
    with tiny.open_run(tmp_path) as directory:
        run = tiny.run("original", weight_average=0.9)
        (outcome,) = run.run(directory)
    (plain,) = outcomes()
    assert outcome.result.digest != plain.result.digest
    # The last weights themselves are those of the run without an average.
    kept = training.init(plain.variables, run._learner.optimizer, averages=True)
    assert tiny.same_trees(training.judged_variables(kept), plain.variables)
    network, dataset = nn.build(tiny.BASE, 4), tiny.dataset()
    evaluate = training.evaluator(training.flax_apply(network), run._learner.task)
    images, labels = jnp.asarray(dataset.test_images), jnp.asarray(dataset.test_labels)
    accuracy = 100 * float(evaluate(outcome.variables, None, images, labels)["accuracy"])
    assert outcome.result.test_accuracy == pytest.approx(accuracy, abs=1e-3)


def test_stopped_seeds_keep_their_best_weights():
    state = TrainState(jnp.zeros(2), {"w": jnp.zeros((2, 3))}, (), best={"w": jnp.zeros((2, 3))})
    meta = {}
    # The first seed is best in epoch 2 and has stopped after epoch 4: its last epoch says nothing.
    first, second = (0.3, 0.5, 0.5, 0.4, 0.9), (0.1, 0.2, 0.3, 0.2, 0.4)
    for epoch, accuracies in enumerate(zip(first, second, strict=True), start=1):
        weights = jnp.full((2, 3), float(epoch))
        scores = {"validation_accuracy": accuracies}
        state, meta = stopping.note(
            state._replace(variables={"w": weights}), {**meta, "scores": scores}, epoch, 2
        )
    assert [(best.epoch, best.last, best.stopped) for best in stopping.bests(meta)] == [
        (2, 4, True),
        (5, 5, False),
    ]
    assert np.asarray(state.best["w"])[:, 0].tolist() == [2, 5]
    assert not stopping.all_stopped(meta)
    assert not stopping.all_stopped({})
    assert jax.tree.structure(state.best) == jax.tree.structure(state.variables)

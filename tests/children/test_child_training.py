"""Real children: one program trains them all, and what one becomes depends on nothing else."""

import dataclasses
import logging

import jax
import numpy as np
import pytest

from jaxnas.children.child_networks import CellNetworks
from jaxnas.children.child_training import ChildTraining
from jaxnas.runs.config import ConfigError, Training
from jaxnas.runs.search_run import SearchImages
from jaxnas.spaces import SpaceError
from support.children import PROGRAMS, SPACE, compiled
from support.tiny import dataset

WEIGHTS = Training(epochs=2, batch_size=16, learning_rate=0.05)


def make(weights=WEIGHTS, judged=1, most_epochs=5, train_share=0.7, seed=3):
    images = SearchImages(dataset(), train_share, seed)
    return ChildTraining(CellNetworks(SPACE), images, weights, judged, most_epochs)


@pytest.fixture(scope="module")
def training():
    return make(judged=2)


def candidates(count):
    generator = np.random.default_rng(0)
    drawn = generator.integers(0, SPACE.options, (count, len(SPACE.options)))
    return [tuple(row) for row in SPACE.canonical(drawn).tolist()]


@pytest.mark.slow
@pytest.mark.parametrize("count", [6, 100])
def test_many_children_are_one_program(caplog, count):
    training = make(judged=2)
    with jax.log_compiles(), caplog.at_level(logging.WARNING):
        outcomes = [training.train(candidate, 2) for candidate in candidates(count)]
        longer = training.train(candidates(1)[0], 5)
    assert [compiled(caplog.records, name) for name in PROGRAMS] == [1, 1, 1]
    assert outcomes[0].seconds["compile"] > 0
    assert all(outcome.seconds["compile"] == 0 for outcome in outcomes[1:])
    assert max(outcome.accuracies[-1] for outcome in outcomes) > 40, "of four classes"
    assert len(longer.accuracies) == len(outcomes[0].accuracies) == 2


@pytest.mark.slow  # children of two depths are compiled
def test_cells_of_fewer_blocks_are_one_program_more(caplog):
    training, small = make(), [(0, 1, 0, 2), (1, 1, 1, 2)]
    with jax.log_compiles(), caplog.at_level(logging.WARNING):
        first, *_ = [training.train(child, 2) for child in small]
        training.train(candidates(1)[0], 2)
    assert [compiled(caplog.records, name) for name in PROGRAMS] == [1, 2, 2]
    alone = dataclasses.replace(
        training, networks=CellNetworks(dataclasses.replace(SPACE, blocks=1))
    )
    assert alone.train(small[0], 2).accuracies == first.accuracies
    with pytest.raises(SpaceError, match="small has no networks of 6 decisions"):
        training.train((0, 1, 0, 2, 0, 0), 2)


def test_a_child_is_the_same_whoever_trained_before(training):
    ours, theirs = candidates(2)
    alone = make(judged=2).train(theirs, 2)
    training.train(ours, 2)
    again = training.train(theirs, 2)
    assert again.accuracies == alone.accuracies
    assert not again.failure


def test_a_child_that_diverges_fails_and_says_where():
    weights = Training(epochs=2, batch_size=16, learning_rate=1e30)
    outcome = make(weights).train(candidates(1)[0], 2)
    assert outcome.accuracies == ()
    assert "the loss was not finite in epoch" in outcome.failure


@pytest.mark.parametrize(
    ("weights", "changes", "message"),
    [
        ({"dropout": 0.1}, {}, "--child.dropout is not for children"),
        ({"class_weights": "balanced"}, {}, "--child.class-weights is not for children"),
        ({"cutout": 4}, {}, "--child.cutout is not for children"),
        ({"recipe": "modern"}, {}, "--child.recipe is not for children"),
        ({"batch_size": 60}, {}, "leaves 56 to train by, in batches of 60"),
        ({}, {"judged": 3}, "--judged must be from 1 to --child.epochs"),
        ({}, {"train_share": 0.999}, "and 0 to judge by"),
    ],
)
def test_settings_that_cannot_be_are_refused(weights, changes, message):
    fields = {"epochs": 2, "batch_size": 16, **weights}
    with pytest.raises(ConfigError, match=message):
        make(Training(**fields), **changes)

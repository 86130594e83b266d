"""Children that are each a network of its own: trained as that network is, compiled once."""

import functools
import logging

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnas import nn, training
from jaxnas.children import child_training
from jaxnas.children.child_networks import BuiltNetworks
from jaxnas.children.child_training import ChildTraining
from jaxnas.runs.config import Training
from jaxnas.runs.search_run import SearchImages
from jaxnas.spaces import Nas2017Space, SpaceError
from support.children import PROGRAMS, compiled
from support.tiny import dataset

SPACES = tuple(Nas2017Space(layers, (1, 3), (4, 6), (1, 2)) for layers in (1, 2))
WEIGHTS = Training(epochs=2, batch_size=16, learning_rate=0.05)
CHILDREN = [(1, 0, 0, 1, 0), (0, 1, 0, 0, 1, 1, 1, 0, 0, 1, 0)]


def make():
    images = SearchImages(dataset(), 0.7, 5)
    return ChildTraining(BuiltNetworks(SPACES), images, WEIGHTS, judged=2, most_epochs=3)


@pytest.mark.slow
def test_a_child_is_compiled_once_and_trains_longer_by_the_same_program(caplog):
    alone = make().train(CHILDREN[1], 2)
    caplog.clear()
    children = make()
    with jax.log_compiles(), caplog.at_level(logging.WARNING):
        outcomes = [children.train(child, 2) for child in CHILDREN]
        longer = children.train(CHILDREN[1], 3)
    assert [compiled(caplog.records, name) for name in PROGRAMS] == [1, 2, 2]
    assert [outcome.candidate for outcome in outcomes] == CHILDREN
    assert all(outcome.seconds["compile"] > 0 for outcome in outcomes)
    assert longer.seconds["compile"] == 0
    assert outcomes[1].accuracies == alone.accuracies, "whoever was trained before"


@pytest.mark.quick_cases(1)
@pytest.mark.parametrize("layers", [1, 2])
def test_it_is_trained_as_the_built_network_is(monkeypatch, layers):
    """A loop of plain steps, over the same images in the same order."""
    children, child = make(), CHILDREN[layers - 1]
    made = []
    kept = training.evaluator

    def evaluator(*args):
        judge = kept(*args)
        return lambda variables, *rest: made.append(variables) or judge(variables, *rest)

    monkeypatch.setattr(training, "evaluator", evaluator)
    outcome = children.train(child, 2)

    network = nn.build(SPACES[layers - 1].decode(np.array(child)), 4)
    _, key = children._start(network, child, 2)
    variables = nn.init(network, child_training.stream(key, "init"), (8, 8, 1))
    optimizer = training.sgd(0.05, 2 * 3)
    task = children.images.task(jnp.float32)
    step = training.train_step(training.flax_apply(network), task, optimizer)
    epoch = training.python_loop(step)
    state = training.init(variables, optimizer)
    for number in range(2):
        images = {"train": children._data["train"]}
        state, _ = epoch(state, images, children._order(key, number), key)
    for ours, theirs in zip(
        jax.tree.leaves(made[-1]), jax.tree.leaves(state.variables), strict=True
    ):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)
    assert (state.variables["params"]["classifier"]["bias"] != 0).all(), "it learned"
    scores = kept(training.flax_apply(network), task)(
        state.variables, None, *children._data["arch"]
    )
    assert outcome.accuracies[-1] == pytest.approx(100 * float(scores["accuracy"]), abs=1e-3)


def test_a_candidate_is_of_the_space_of_its_length():
    networks = BuiltNetworks(SPACES)
    for space, child in zip(SPACES, CHILDREN, strict=True):
        assert networks.genotype(np.array(child)) == space.decode(np.array(child))
    with pytest.raises(SpaceError, match="must have 5, 11 decisions, not 3"):
        networks.genotype(np.zeros(3, np.int32))


def test_the_first_step_tells_what_compiling_took():
    book = functools.partial(child_training._book, part="train")
    python = [np.array([7.0, 1.0, 1.0]), np.array([2.0, 1.0, 1.0])]
    accelerator = [np.array([9.0, 0.0, 0.0]), np.array([3.0, 0.0, 0.0])]
    for rows, compiles, expected in (
        (python, True, {"compile": 5.0, "train": 8.0}),
        (python[:1], True, {"compile": 6.0, "train": 3.0}),
        (accelerator, True, {"compile": 6.0, "train": 6.0}),
        (accelerator[:1], True, {"compile": 9.0, "train": 0.0}),
        (python, False, {"compile": 0.0, "train": 13.0}),
    ):
        seconds = {"compile": 0.0, "train": 0.0}
        book(seconds, rows=rows, compiles=compiles)
        assert seconds == expected

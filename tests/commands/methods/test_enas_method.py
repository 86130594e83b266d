"""ENAS over a real supernet: a program a phase, and a killed search goes on to the same bits."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnas import nn, search, training
from jaxnas.commands.methods.enas_method import enas_method
from jaxnas.jobs.job import Watcher
from jaxnas.runs.search_run import SearchImages, SearchRun
from jaxnas.spaces.enas_macro import EnasMacroSpace
from support import tiny

SPACE = EnasMacroSpace(layers=3, channels=2)
SHARE, BATCH = 0.5, 10


class Killed(BaseException):
    """Ends a run as nothing in it expects."""


@pytest.fixture(scope="module")
def method():
    data = tiny.dataset()
    network = nn.MacroSupernet(SPACE, data.num_classes)
    some = nn.macro_choice(SPACE, np.zeros(len(SPACE.decisions), np.int32))
    return enas_method(
        search.Supernet(
            training.flax_apply(network),
            lambda key: nn.init(network, key, data.input_shape, some),
            lambda candidate: nn.macro_choice(SPACE, candidate),
            EnasMacroSpace(layers=3, channels=4).decode,
        ),
        SPACE,
        search.enas_controller(SPACE, search.LogitSettings(), units=4),
        SearchImages(data, SHARE, 0).task(jnp.float32),
        search.EnasSettings(arcs=2, first_cycle=1),
        epochs=3,
        steps_per_epoch=4,
    )


def run_of(each):
    return SearchRun(each, "enas", SearchImages(tiny.dataset(), SHARE, 0), 3, BATCH)


@pytest.mark.slow  # both phases of the supernet are compiled
def test_a_killed_search_goes_on_to_the_same_bits_and_compiles_once_a_phase(method, tmp_path):
    run = run_of(method.search)
    counts = []

    def one_program(step):
        jitted = jax.jit(step)

        def loop(state, data, order, key, progress=lambda: None):
            rows = []
            for index in range(len(next(iter(order.values())))):
                batch = {
                    part: tuple(each[rows[index]] for each in data[part])
                    for part, rows in order.items()
                }
                state, metrics = jitted(state, batch, key)
                rows.append(metrics)
                progress()
            counts.append(jitted._cache_size())
            return state, {name: jnp.stack([row[name] for row in rows]) for name in rows[0]}

        return loop

    # The same programs for all runs: what is compiled serves from the first step to the last.
    run.__dict__["_epochs"] = {
        phase: one_program(step) for phase, step in method.search.steps.items()
    }
    with tiny.open_run(tmp_path / "whole") as folder:
        whole = run.run(folder)
        rows = folder.rows()
    assert {"weights_loss", "controller_accuracy", "controller_entropy", "baseline"} <= set(rows[0])
    assert whole.found.genotype.blocks[0].channels == 4

    def kill(line):
        if "epoch 2/" in line:
            raise Killed

    with tiny.open_run(tmp_path / "killed") as folder, pytest.raises(Killed):
        run.run(folder, Watcher(tell=kill))
    with tiny.open_run(tmp_path / "killed") as folder:
        again = run.run(folder)
    assert again.digest == whole.digest
    assert again.found == whole.found
    assert set(counts) == {1}


@pytest.mark.slow
def test_the_control_starts_from_the_same_weights_and_draws_uniformly(method):
    assert set(method.control.steps) == {"weights"}
    key = jax.random.key(0)
    ours, theirs = (each.init(key) for each in (method.search, method.control))
    jax.tree.map(np.testing.assert_array_equal, ours.variables, theirs.variables)
    assert not np.asarray(theirs.params).any(), "all decisions are uniform"

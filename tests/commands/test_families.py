"""The contract of adaptation over every family: from base and supernet to files and back."""

import dataclasses

import jax
import numpy as np
import pytest

from jaxnas import data
from jaxnas.commands.experiment import run_experiment
from jaxnas.reports.method_folder import read_method
from jaxnas.runs.config import Experiment, RunFlags
from jaxnas.runs.flags.data import DataFlags
from jaxnas.runs.load import load_run
from jaxnas.spaces import AdaptationSpace, Genotype, zoo
from jaxnas.spaces.families import FAMILIES
from jaxnas.spaces.genotype import NULL, SKIP
from support import tiny
from support.networks import SMALL

BASES = {
    "residual": tiny.BASE,
    "residual_same": dataclasses.replace(tiny.BASE, family="residual_same"),
    "darts": dataclasses.replace(SMALL["concat"], blocks=SMALL["concat"].blocks[:2], auxiliary=0),
    "nasnet": dataclasses.replace(SMALL["states"], blocks=SMALL["states"].blocks[:2], auxiliary=0),
    "enas": dataclasses.replace(SMALL["micro"], blocks=SMALL["micro"].blocks[:2]),
    "nasbench201": SMALL["nasbench201"],
    "macro": zoo.enas_macro(channels=4, cell_count=3),
    "nas2017": SMALL["nas2017"],
}


def test_every_family_is_here():
    assert BASES.keys() == FAMILIES.keys()
    assert all(base.family == family for family, base in BASES.items())


# The one least like the residual networks of most other tests is quick.
QUICK = ("nas2017",)


@pytest.mark.slow
@pytest.mark.parametrize(
    "family", [f if f in QUICK else pytest.param(f, marks=pytest.mark.slow) for f in BASES]
)
def test_a_network_of_every_family_adapts_and_is_read_back(family, tmp_path):
    base = BASES[family]
    x_train, y_train = tiny.images(80, 0)
    x_test, y_test = tiny.images(40, 1)
    coloured = [np.repeat(each, 3, -1) for each in (x_train, x_test)]
    np.savez(
        tmp_path / "images.npz",
        x_train=coloured[0],
        y_train=y_train,
        x_test=coloured[1],
        y_test=y_test,
    )
    (tmp_path / "base.json").write_text(base.to_json())
    settings = tiny.settings(
        epochs=3,
        auxiliary_weight=0.4 if base.auxiliary >= 0 else 0.0,
        drop_path=0.0 if FAMILIES[family].drop_path == "none" else 0.2,
    )
    experiment = Experiment(
        data=DataFlags(str(tmp_path / "images.npz")),
        base=str(tmp_path / "base.json"),
        methods=("full",),
        run=RunFlags(tmp_path / "run"),
        **settings,
    )
    report = run_experiment(experiment, "test").read_text()

    trained = load_run(tmp_path / "run")
    found = trained.network.genotype
    assert base.name in report
    assert found == Genotype.from_json((tmp_path / "run/full_seed0/genotype.json").read_text())
    assert len(found.blocks) == len(base.blocks)
    for block, cell, old in zip(
        found.blocks, found.placed_cells(), base.placed_cells(), strict=True
    ):
        assert cell.connected(), block
        for edge, before in zip(cell.edges, old.edges, strict=True):
            assert edge.op in (NULL, SKIP, before.op)
    theta = read_method(tmp_path / "run/full_seed0")[0].theta
    assert theta.shape[1:] == AdaptationSpace(base, "full").shape
    assert (theta[-1] != theta[0]).any(), "the architecture moved"

    images = data.normalise(coloured[1], np.float32(trained.mean), np.float32(trained.std))
    logits = jax.jit(lambda x: trained.network.apply(trained.variables, x, train=False))(images)
    accuracy = 100 * np.mean(np.argmax(logits, -1) == y_test)
    assert accuracy == pytest.approx(trained.result["test_accuracy"], abs=1e-3)

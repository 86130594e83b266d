"""The command lines of ENAS: their flags, and that small searches run to their reports."""

import dataclasses
import runpy

import jax
import numpy as np
import pytest

from jaxnas.commands.methods.enas_method import cell_supernet, macro_supernet, make_enas
from jaxnas.data import Augmentation
from jaxnas.reports import read_results
from jaxnas.spaces import Genotype
from jaxnas.tasks import supervised
from support import scripts, tiny

NAMES = ("enas_cifar", "enas_macro_cifar")


@pytest.mark.quick_cases(1)
@pytest.mark.parametrize(
    ("name", "flags", "message"),
    [
        ("enas_cifar", ["--blocks", "0"], "there is no such space: blocks must be 1 to 7, not 0"),
        ("enas_cifar", ["--cells", "0"], "there is no such space"),
        ("enas_cifar", ["--controller-units", "0"], "--controller-units must be above 0, not 0"),
        ("enas_macro_cifar", ["--layers", "0"], "there is no such space"),
        ("enas_macro_cifar", ["--enas.auxiliary-weight", "0.4"], "must be 0: macro networks"),
        ("enas_macro_cifar", ["--auxiliary-weight", "0.4"], "no place for an auxiliary head"),
        ("enas_cifar", ["--search-batch-size", "100"], "--search-batch-size 100 is more than the"),
    ],
)
def test_what_is_wrong_is_told_in_one_line(monkeypatch, tmp_path, name, flags, message):
    tiny.write(tmp_path)
    small = ["--dataset", str(tmp_path / "tiny.npz"), "--batch-size", "16"]
    if "--search-batch-size" not in flags:
        small += ["--search-batch-size", "8", "--train-share", "0.5"]
    scripts.assert_refuses(monkeypatch, name, tmp_path, [*small, *flags], message)


@pytest.mark.parametrize("flags", [["--enas.arcs", "0"], ["--logits.temperature", "-1"]])
def test_settings_that_cannot_be_are_named(monkeypatch, capsys, flags):
    with pytest.raises(SystemExit) as caught:
        scripts.run(monkeypatch, NAMES[0], *flags)
    assert caught.value.code == 2
    assert flags[0].split(".")[1] in "".join(capsys.readouterr())


@pytest.mark.parametrize("name", NAMES)
def test_random_networks_have_full_size(name):
    script = runpy.run_path(str(scripts.EXPERIMENTS / f"{name}.py"))
    small = {"blocks": 2, "search_cells": 3, "cells": 6} if name == NAMES[0] else {"layers": 4}
    flags = dataclasses.replace(script["SCRIPT"], search_channels=2, channels=6, **small)
    network = cell_supernet if name == NAMES[0] else macro_supernet
    data = tiny.dataset()
    task = supervised(4, data.channel_mean(), data.channel_std(), Augmentation())
    method = make_enas(flags, network, task, data, {"train": 5, "arch": 5})
    drawn = [method.random(jax.random.key(seed)) for seed in range(5)]
    assert len(set(drawn)) > 2
    assert method.random(jax.random.key(0)) == drawn[0]
    for genotype in drawn:
        assert genotype.blocks[0].channels == 6
        layers = [block for block in genotype.blocks if block.stride == 1 or name == NAMES[0]]
        assert len(layers) == (8 if name == NAMES[0] else 4)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_small_search_runs_to_its_report(monkeypatch, tmp_path, capsys, name):
    tiny.write(tmp_path)
    small = ["--blocks", "1", "--search-cells", "3", "--cells", "3"]
    if name == NAMES[1]:
        small = ["--layers", "3"]
    command = [
        *("--dataset", str(tmp_path / "tiny.npz"), "--train-share", "0.5"),
        *("--search-epochs", "2", "--search-batch-size", "10", "--enas.arcs", "2"),
        *("--search-channels", "2", "--channels", "2", *small),
        *("--epochs", "1", "--batch-size", "16"),
    ]
    digests = []
    for number in range(2):
        path = tmp_path / f"run{number}"
        scripts.run(monkeypatch, name, *command, "--run-dir", str(path))
        rows = read_results(path)
        assert [row.method for row in rows] == ["found", "random", "control"]
        digests.append([row.digest for row in rows])
        for folder in ("search", "control_search"):
            genotype = Genotype.from_json((path / folder / "genotype.json").read_text())
            assert genotype.connected()
        report = (path / "report.md").read_text()
        assert "drawn by the controller" in report
        assert "drawn uniformly" in report
    assert digests[0] == digests[1]
    assert np.unique(digests[0]).size == 3

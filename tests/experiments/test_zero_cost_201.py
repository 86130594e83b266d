"""Correlations of scores with accuracy: what is read and what is written."""

import csv
import gzip
import json
import runpy

import numpy as np
import pytest

from jaxnas.data import DataError
from jaxnas.spaces import NASBench201Space

from . import scripts

NAME = "zero_cost_201"
SPACE = NASBench201Space()


@pytest.fixture(scope="module")
def script():
    """What the script defines."""
    return runpy.run_path(str(scripts.EXPERIMENTS / f"{NAME}.py"))


def test_a_missing_table_is_told_in_one_line(monkeypatch, tmp_path):
    scripts.assert_refuses(
        monkeypatch, NAME, tmp_path, ["--data-dir", tmp_path], "nasbench201.csv.gz: name its"
    )


def test_accuracies_are_read_by_architecture(script, tmp_path):
    candidates = np.array(list(SPACE.enumerate()))
    folder = tmp_path / "nasbench201"
    folder.mkdir()
    order = np.random.default_rng(0).permutation(len(candidates))
    with gzip.open(folder / "nasbench201.csv.gz", "wt", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["arch", "cifar10_test_acc_200ep"])
        writer.writerows([SPACE.arch_string(candidates[i]), i / 1000] for i in order)
    found = script["read_accuracy"](tmp_path, SPACE)
    np.testing.assert_array_equal(found, np.arange(len(candidates)) / 1000)
    with pytest.raises(DataError, match="name its folder's folder with --data-dir"):
        script["read_accuracy"](tmp_path / "nowhere", SPACE)


def test_results_are_correlations_and_seconds(script, tmp_path, capsys):
    values = np.arange(4.0)
    rows = [
        dict(zip(script["SCORES"], (v, -v, v % 2, 10**v), strict=True))
        | {"arch": str(v), script["ACCURACY"]: 80 + v}
        for v in values
    ]
    seconds = {name: [30.0, 1.0, 2.0, 4.0] for name in script["SCORES"][:3]}
    script["write"](script["ZeroCost"](run_dir=tmp_path), rows, seconds)
    found = json.loads((tmp_path / "results.json").read_text())
    assert found["settings"]["architectures"] == 200
    assert found["scores"]["synflow"] == {
        "kendall": pytest.approx(1),
        "spearman": pytest.approx(1),
        "seconds_first": 30.0,
        "seconds_each": 2.0,
    }
    assert found["scores"]["naswot"]["kendall"] == pytest.approx(-1)
    assert "| synflow | 1.000 | 1.000 | 30.0 | 2.00 |" in (tmp_path / "results.md").read_text()
    assert "4 architectures, batch of 32, seed 0" in capsys.readouterr().out

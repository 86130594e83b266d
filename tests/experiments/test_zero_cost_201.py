"""Correlations of scores with accuracy: what is refused and what is written."""

import csv
import json
import runpy

import numpy as np
import pytest

from jaxnas.runs.directory import RunDirectory

from . import scripts

NAME = "zero_cost_201"


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--table", "nowhere"], "NAS-Bench-201 is not at nowhere"),
        (["--architectures", "1"], "--architectures and --batch-size must be 2 at least"),
    ],
)
def test_what_cannot_be_is_told_in_one_line(monkeypatch, tmp_path, flags, message):
    scripts.assert_refuses(monkeypatch, NAME, tmp_path, flags, message)


def test_results_are_correlations_and_seconds(tmp_path, capsys):
    script = runpy.run_path(str(scripts.EXPERIMENTS / f"{NAME}.py"))
    values = np.arange(4.0)
    rows = [
        dict(zip(script["SCORES"], (v, -v, v % 2, 10**v), strict=True))
        | {"arch": str(v), script["ACCURACY"]: 80 + v}
        for v in values
    ]
    seconds = {name: [30.0, 1.0, 2.0, 4.0] for name in script["SCORES"][:3]}
    with RunDirectory(tmp_path / "run", {}) as run:
        script["write"](run, script["ZeroCost"](), rows, seconds)
    found = json.loads((tmp_path / "run" / "results.json").read_text())
    assert found["synflow"] == {
        "kendall": pytest.approx(1),
        "spearman": pytest.approx(1),
        "seconds_first": 30.0,
        "seconds_each": 2.0,
    }
    assert found["naswot"]["kendall"] == pytest.approx(-1)
    table = (tmp_path / "run" / "results.md").read_text()
    assert "| synflow | 1.000 | 1.000 | 30.0 | 2.00 |" in table
    assert "4 architectures, batch of 32, seed 0" in capsys.readouterr().out
    with (tmp_path / "run" / "scores.csv").open() as file:
        assert [float(row["naswot"]) for row in csv.DictReader(file)] == [0, -1, -2, -3]

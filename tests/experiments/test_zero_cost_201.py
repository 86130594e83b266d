"""Correlations of scores with accuracy: what is refused and what is written."""

import csv
import json

import numpy as np
import pytest

from jaxnas.commands.tabular import zero_cost_table
from jaxnas.storage.directory import RunDirectory
from support import scripts

NAME = "zero_cost_201"


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--table", "nowhere"], "no such file or folder: nowhere"),
        (["--architectures", "1"], "--architectures and --batch-size must be 2 at least"),
        (["--architectures", "99999"], "--architectures must be at most 15"),
    ],
)
def test_what_cannot_be_is_told_in_one_line(monkeypatch, tmp_path, flags, message):
    scripts.assert_refuses(monkeypatch, NAME, tmp_path, flags, message)


@pytest.mark.parametrize("count", [4, 10])
def test_results_are_correlations_and_seconds(tmp_path, capsys, count):
    values = np.arange(float(count))
    rows = [
        dict(zip(zero_cost_table.SCORES, (v, -v, v % 2, 10**v), strict=True))
        | {"arch": str(v), "trained": 80 + v}
        for v in values
    ]
    rows[0]["parameters"], rows[1]["parameters"] = rows[1]["parameters"], rows[0]["parameters"]
    seconds = {name: [30.0, 1.0, 2.0, 4.0] for name in zero_cost_table.SCORES[:3]}
    with RunDirectory(tmp_path / "run", {}) as run:
        zero_cost_table.write(run, zero_cost_table.ZeroCost(), rows, seconds, "trained")
    found = json.loads((tmp_path / "run" / "results.json").read_text())
    assert found["synflow"] == {
        "kendall": pytest.approx(1),
        "spearman": pytest.approx(1),
        "kendall_interval": None,
        "spearman_interval": None,
        "seconds_first": 30.0,
        "seconds_each": 2.0,
    }
    assert found["naswot"]["kendall"] == pytest.approx(-1)
    table = (tmp_path / "run" / "report.md").read_text()
    few = "Correlations of fewer than 10 architectures mean nothing." in table
    assert few == (count < 10)
    if few:
        assert found["parameters"]["kendall_interval"] is None
    else:
        low, high = found["parameters"]["kendall_interval"]
        assert found["parameters"]["kendall"] == pytest.approx(1 - 4 / 90)
        assert low < 1 - 4 / 90 < high < 1
        assert f"| parameters | 0.956 [{low:.3f}, {high:.3f}] | 0.988 [" in table
    assert "| synflow | 1.000 | 1.000 | 30.0 | 2.00 |" in table
    assert f"{count} architectures, batch of 32, seed 0" in capsys.readouterr().out
    with (tmp_path / "run" / "scores.csv").open() as file:
        assert [float(row["naswot"]) for row in csv.DictReader(file)] == list(-values)

"""The sweep over targets as it is run: from the command line to the table."""

import csv
import re

import pytest

from jaxnas.reports import read_results
from support import scripts, tiny


def run(monkeypatch, folder, targets, **flags):
    """Runs the sweep in this process, in `folder`/run."""
    flags = {"run_dir": folder / "run", "epochs": 1, "adapt_epochs": 1, "warmup_epochs": 0} | flags
    arguments = tiny.command(folder, targets=targets, **flags)
    scripts.run(monkeypatch, "cost_front", *arguments)


def front(folder):
    with (folder / "run" / "front.csv").open() as file:
        return list(csv.DictReader(file))


@pytest.mark.slow  # three runs
def test_more_targets_join_those_that_are_done(tmp_path, monkeypatch, capsys):
    tiny.write(tmp_path)
    run(monkeypatch, tmp_path, (0.5,))
    assert [(row["method"], row["target"]) for row in front(tmp_path)] == [
        ("original", ""),
        ("full", "0.5"),
    ]
    before = read_results(tmp_path / "run" / "target_0.5")
    assert capsys.readouterr().out.count(" training and ") == 1, "the data are read once"
    run(monkeypatch, tmp_path, (0.9, 0.5), resume=True)
    rows = front(tmp_path)
    assert [(row["method"], row["target"]) for row in rows] == [
        ("original", ""),
        ("full", "0.9"),
        ("full", "0.5"),
    ]
    assert read_results(tmp_path / "run" / "target_0.5") == before, "seconds too: none ran again"
    (original,) = read_results(tmp_path / "run" / "original")
    for row, most in zip(rows, (100, 90, 50), strict=True):
        assert float(row["cost"]) <= most
        assert float(row["cost"]) == pytest.approx(100 * float(row["macs"]) / original.macs)
    assert float(rows[2]["accuracy"]) == before[0].test_accuracy
    assert re.search(r"full +│ +50% │ +1 │", capsys.readouterr().out)
    assert (tmp_path / "run" / "front.svg").exists()


@pytest.mark.parametrize(
    ("targets", "flags", "message"),
    [
        ((0.5, 0.5), {}, "--targets must name each target once"),
        ((0.5,), {"target_cost": 0.7}, "give --targets, not --target-cost"),
        ((0.0,), {}, "--target-cost must be above 0, not 0.0"),
        ((0.01,), {"methods": ("full",)}, "--target-cost 0.01 is out of reach"),
    ],
)
def test_what_is_wrong_is_told_and_nothing_is_written(
    tmp_path, monkeypatch, targets, flags, message
):
    tiny.write(tmp_path)
    with pytest.raises(SystemExit) as caught:
        run(monkeypatch, tmp_path, targets, **flags)
    assert str(caught.value).startswith(f"error: {message}")
    assert not (tmp_path / "run").exists()

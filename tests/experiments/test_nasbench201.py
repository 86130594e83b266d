"""The experiment over NAS-Bench-201 as it is run."""

import json
import re

import numpy as np
import pytest

from jaxnas import tabular
from support import scripts


def flags(folder, table, seeds, queries):
    return ["--table", table, "--run-dir", folder, "--seeds", seeds, "--queries", queries]


def test_a_run_leaves_results_and_a_report(monkeypatch, tmp_path, csv_path, capsys):
    sizes = flags(tmp_path / "run", csv_path, 4, 30)
    scripts.run(monkeypatch, "nasbench201", "--algorithm", "evolution", *sizes)
    rows = json.loads((tmp_path / "run" / "results.json").read_text())
    assert [row["algorithm"] for row in rows] == ["random", "evolution"]
    table = tabular.load_nasbench201(csv_path)
    found = np.loadtxt(tmp_path / "run" / "found.csv", delimiter=",", skiprows=1, usecols=3)
    assert rows[0]["test_mean"] == pytest.approx(found[:4].mean(), abs=1e-3)
    assert (
        np.isclose(found[:, None], table.accuracy("cifar10", "test", 200), atol=1e-3).any(1).all()
    )
    report = (tmp_path / "run" / "report.md").read_text()
    assert "| evolution | 4 | 30 |" in report
    assert (tmp_path / "run" / "regret.svg").exists()
    out = capsys.readouterr().out
    assert re.search(r"evolution +│ +4 │ +30 │", out)
    assert out.index("evolution: compiling") < out.index("evolution: test ")
    assert f"evolution: test {rows[1]['test_mean']:.2f}%, " in out
    with pytest.raises(SystemExit) as caught:
        scripts.run(monkeypatch, "nasbench201", *sizes)
    assert str(caught.value).endswith(
        "earlier run; use --overwrite to delete it, or another --run-dir"
    )


def test_a_table_that_is_not_there_is_told_and_nothing_is_made(monkeypatch, tmp_path):
    missing = tmp_path / "none"
    message = f"no such file or folder: {missing}"
    scripts.assert_refuses(monkeypatch, "nasbench201", tmp_path, ["--table", missing], message)


def test_random_and_evolution_are_those_measured_elsewhere(monkeypatch, tmp_path, real_data_dir):
    """A plain NumPy loop on this table, 200 seeds, 300 queries: mean 93.93 and 94.17."""
    table = real_data_dir / "nasbench201"
    if not table.exists():
        pytest.skip(f"needs NAS-Bench-201 in {table}")
    sizes = flags(tmp_path / "run", table, 200, 300)
    scripts.run(monkeypatch, "nasbench201", "--algorithm", "evolution", *sizes)
    random, evolution = json.loads((tmp_path / "run" / "results.json").read_text())
    # Three standard errors of the difference of two means over 200 seeds.
    assert random["test_mean"] == pytest.approx(93.93, abs=0.075)
    assert evolution["test_mean"] == pytest.approx(94.17, abs=0.07)
    assert random["test_std"] == pytest.approx(0.23, abs=0.06)
    assert evolution["test_std"] == pytest.approx(0.23, abs=0.06)

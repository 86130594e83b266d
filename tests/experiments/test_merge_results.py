"""Seeds that ran on different machines in one table."""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import pytest

from jaxnas.reports import read_results, write_results
from support import scripts
from support.results import result

SCRIPT = Path(__file__).parents[2] / "experiments" / "merge_results.py"


def merge(*arguments):
    return subprocess.run(
        [sys.executable, "-W", "error", SCRIPT, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )


def test_rows_of_all_runs_stand_sorted_with_their_mean(tmp_path):
    rows = {seed: result(seed, 90.0 + seed, method="cell") for seed in (2, 0, 1)}
    original = dataclasses.replace(rows[0], method="original", test_accuracy=88.0)
    for seed, row in rows.items():
        (tmp_path / str(seed)).mkdir()
        write_results(tmp_path / str(seed), [row, original] if seed == 1 else [row])
    done = merge(*(tmp_path / str(seed) for seed in rows), "--out", tmp_path / "all")
    assert done.returncode == 0, done.stderr
    assert read_results(tmp_path / "all") == [original, rows[0], rows[1], rows[2]]
    assert (
        "| **cell, mean of 3** |  | **91.00 ± 1.00** |"
        in (tmp_path / "all" / "table.md").read_text()
    )


def refused(monkeypatch, *arguments):
    """The line by which it ends, in this process."""
    with pytest.raises(SystemExit) as caught:
        scripts.run(monkeypatch, "merge_results", *arguments)
    return str(caught.value)


def test_a_row_that_stands_twice_is_refused_by_name(tmp_path, monkeypatch):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        write_results(tmp_path / name, [result(4, 90.0, method="full")])
    told = refused(monkeypatch, tmp_path / "a", tmp_path / "b", "--out", tmp_path / "all")
    assert told == ("error: full of resnet20 with seed 4 stands in two of the runs; give each once")
    twice = refused(monkeypatch, tmp_path / "a", tmp_path / "a", "--out", tmp_path / "all")
    assert twice == told
    assert not (tmp_path / "all").exists()


def test_runs_on_other_data_by_the_same_name_are_refused(tmp_path, monkeypatch, capsys):
    for seed, (name, data) in enumerate((("a", "11"), ("b", "22"), ("c", "11"), ("d", None))):
        (tmp_path / name).mkdir()
        write_results(tmp_path / name, [result(seed, 90.0)])
        config = {} if data is None else {"data_sha256": data * 32}
        (tmp_path / name / "config.json").write_text(json.dumps(config))
    a, b, c, d = (tmp_path / name for name in "abcd")
    told = refused(monkeypatch, a, b, c, "--out", tmp_path / "all")
    assert told == (
        f"error: {a} and {b} have results on different data by the name of cifar10 "
        "(data_sha256 111111111111 and 222222222222); merge runs on the same"
    )
    assert not (tmp_path / "all").exists()
    scripts.run(monkeypatch, "merge_results", a, c, "--out", tmp_path / "all")
    assert "Not recorded" not in capsys.readouterr().out
    scripts.run(monkeypatch, "merge_results", a, d, "--out", tmp_path / "all")
    assert (
        capsys.readouterr()
        .out.replace("\n", "")
        .endswith(f"Not recorded which images these had: {d}.")
    )


def test_a_run_is_never_written_over(tmp_path, monkeypatch):
    (tmp_path / "a").mkdir()
    write_results(tmp_path / "a", [result(4, 90.0, method="full")])
    before = (tmp_path / "a" / "results.json").read_bytes()
    told = refused(monkeypatch, tmp_path / "a", "--out", tmp_path / "b" / ".." / "a")
    assert told == f"error: --out {tmp_path}/b/../a is one of the runs; choose another folder"
    assert (tmp_path / "a" / "results.json").read_bytes() == before


def test_rows_of_any_method_are_merged_and_those_of_wrong_types_refused(tmp_path, monkeypatch):
    (tmp_path / "a").mkdir()
    write_results(tmp_path / "a", [result(4, 90.0, method="ppo")])
    scripts.run(monkeypatch, "merge_results", tmp_path / "a", "--out", tmp_path / "all")
    assert [row.method for row in read_results(tmp_path / "all")] == ["ppo"]
    file = tmp_path / "a" / "results.json"
    whole = file.read_text()
    for old, new, sentence in (
        ('"seed": 4', '"seed": "4"', "seed must be a whole number, not '4'"),
        ('"vmap_width": 1', '"vmap_width": 0', "vmap_width must be at least 1, not 0"),
        ('"seed": 4', '"seed": ' + "[" * 100_000, "is damaged"),
    ):
        assert old in whole
        file.write_text(whole.replace(old, new))
        assert sentence in refused(monkeypatch, tmp_path / "a", "--out", tmp_path / "other")


def test_no_runs_are_told_in_one_line(tmp_path):
    done = merge("--out", tmp_path / "all")
    assert done.returncode == 2
    assert done.stderr == "error: name at least one run directory\n"
    assert done.stdout == ""
    assert not (tmp_path / "all").exists()


def test_a_folder_that_is_no_run_is_named(tmp_path, monkeypatch):
    told = refused(monkeypatch, tmp_path, "--out", tmp_path / "all")
    assert told.startswith(f"error: there is no {tmp_path}")

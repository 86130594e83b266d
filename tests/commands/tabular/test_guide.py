"""The code of docs/your_table.md runs as printed, on a table whose best architecture is known."""

import csv
import itertools

import pytest

from support import pages

PAGE = "your_table.md"


def write(folder, lines):
    with (folder / "measured.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["depth", "width", "kernel", "valid", "test"], *lines])


def measured():
    """Lines in no order; validation and test agree on the best, 4 x 48 with kernels of 5."""
    lines = [
        [depth, width, kernel, 90 - away, 89 - away]
        for depth, width, kernel in itertools.product((1, 2, 3, 4), (16, 32, 48, 64), (3, 5, 7))
        for away in [2 * (4 - depth) + abs(width - 48) / 16 + 0.5 * abs(kernel - 5)]
    ]
    return lines[::-1]


def test_the_pages_table_compares_searchers(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path, measured())
    names = pages.run(PAGE)
    space, found = names["space"], names["found"]
    assert names["valid"][space.codes([3, 2, 1])] == 90 == names["valid"].max()
    assert names["test"].min() == 89 - 6 - 2 - 1
    assert [each.algorithm for each in found] == ["random", "evolution", "local"]
    assert all(each.incumbents.shape == (100, 15) for each in found)
    *_, local = names["table"].markdown().splitlines()
    assert local.startswith("| local | 100 | 15 | ")
    assert "higher" in local, "on one hill a climber beats chance"
    assert "| validation | test |" in names["table"].markdown()


def test_a_table_with_a_hole_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path, measured()[1:])
    with pytest.raises(ValueError, match="values must be 48 finite numbers, one for"):
        pages.run(PAGE)

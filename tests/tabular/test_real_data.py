"""The published numbers, where JAXNAS_DATA_DIR holds them."""

from pathlib import Path

import numpy as np
import pytest

from jaxnas.tabular import MeasuredTable, TabularError, load_nasbench201, read_record, write_csv
from jaxnas.tabular.pickled import read_pickle
from support import official_table

OFFICIAL = "NATS-tss-v1_0-3ffb9-simple"


@pytest.fixture(scope="module")
def folder(real_data_dir: Path) -> Path:
    folder = real_data_dir / "nasbench201"
    if not folder.is_dir():
        pytest.skip("needs nasbench201 in JAXNAS_DATA_DIR")
    return folder


@pytest.fixture(scope="module")
def real_table(folder: Path) -> MeasuredTable:
    return load_nasbench201(folder)


def code_of(table: MeasuredTable, index: int) -> int:
    return int(np.flatnonzero(table.index == index)[0])


def test_the_best_accuracies_are_the_known_ones(real_table: MeasuredTable):
    best = {
        ("cifar10", "valid"): 91.607,
        ("cifar10", "test"): 94.373,
        ("cifar100", "valid"): 73.493,
        ("cifar100", "test"): 73.513,
        ("imagenet16_120", "valid"): 46.733,
        ("imagenet16_120", "test"): 47.311,
    }
    for (dataset, split), percent in best.items():
        assert real_table.accuracy(dataset, split, 200).max() == pytest.approx(percent, abs=5e-4)
    assert real_table.index[real_table.accuracy("cifar10", "valid", 200).argmax()] == 6111


def test_parameters_are_those_of_the_operations(real_table: MeasuredTable):
    """Counted by hand: five cells at each of three widths, two residual blocks, stem and head."""
    candidates = np.array(official_table.candidates())
    kernels = {2: 1, 3: 9}  # pixels of each convolution, which a batch norm follows
    cells = sum(
        5 * (candidates == operation).sum(1) * (kernel * width * width + 2 * width)
        for operation, kernel in kernels.items()
        for width in (16, 32, 64)
    )
    blocks = sum(
        9 * width * 2 * width + 4 * width + 36 * width * width + 4 * width + 2 * width * width
        for width in (16, 32)
    )
    stem, head = 3 * 9 * 16 + 32, 2 * 64
    for dataset, classes in (("cifar10", 10), ("cifar100", 100), ("imagenet16_120", 120)):
        expected = cells + blocks + stem + head + 65 * classes
        np.testing.assert_array_equal(real_table.parameters(dataset), expected)


@pytest.mark.parametrize("index", [0, 11, 284])
def test_official_records_tell_what_the_csv_file_does(
    index: int, folder: Path, real_table: MeasuredTable
):
    arch, numbers = read_record(folder / OFFICIAL / f"{index:06d}.pickle.pbz2")
    code = code_of(real_table, index)
    assert arch == official_table.arch(official_table.candidates()[code])
    assert numbers["index"] == index
    for name, column in real_table.columns.items():
        if not np.isnan(column[code]):
            assert column[code] == column.dtype.type(numbers[name])
    unknown = [name for name, column in real_table.columns.items() if np.isnan(column[code])]
    assert unknown == [
        "cifar100_train_seconds_12ep",
        "cifar100_train_seconds_200ep",
        "imagenet16_120_train_seconds_12ep",
    ]


def test_official_indices_are_those_of_the_csv_file(folder: Path, real_table: MeasuredTable):
    archs = read_pickle(folder / OFFICIAL / "meta.pickle.pbz2")["meta_archs"]
    for index, candidate in zip(real_table.index, official_table.candidates(), strict=True):
        assert archs[index] == official_table.arch(candidate)


def test_seconds_are_known_of_the_first_thousand(real_table: MeasuredTable):
    for dataset, epochs in (("cifar10", 12), ("cifar10", 200), ("imagenet16_120", 200)):
        known = ~np.isnan(real_table.train_seconds(dataset, epochs))
        assert sorted(real_table.index[known]) == list(range(1000))


def test_a_written_table_is_the_same(real_table: MeasuredTable, tmp_path: Path):
    write_csv(real_table, tmp_path / "nasbench201.csv.gz")
    again = load_nasbench201(tmp_path)
    np.testing.assert_array_equal(again.index, real_table.index)
    for name, column in real_table.columns.items():
        np.testing.assert_array_equal(again.columns[name], column)


def test_a_part_of_the_official_folder_is_refused(folder: Path):
    with pytest.raises(TabularError, match=f"15622 of 15625 .* missing in .*{OFFICIAL}"):
        load_nasbench201(folder / OFFICIAL)

"""The official folder: its records, and pickles that are none of its own."""

import bz2
import os
from pathlib import Path

import numpy as np
import pytest

from jaxnas.tabular import (
    MeasuredTable,
    Record,
    TabularError,
    load_nasbench201,
    nats_bench,
    read_record,
)
from support import official_table


def test_a_record_is_read_as_numpy_would(tmp_path: Path):
    code = 4321
    arch, numbers = read_record(official_table.write_record(tmp_path, code))
    assert arch == official_table.arch(official_table.candidates()[code])
    assert numbers["index"] == official_table.index(code)
    # Place and number are those of the training and the evaluation in `official_table.record`.
    sources = {
        "cifar10_valid": (0, 0),
        "cifar10_test": (1, 0),
        "cifar100_valid": (2, 1),
        "cifar100_test": (2, 2),
        "imagenet16_120_valid": (3, 1),
        "imagenet16_120_test": (3, 2),
    }
    for name, (place, number) in sources.items():
        for epochs in (12, 200):
            last = epochs - 1
            expected = (code + last + 10 * place + number) % 90 + np.mean([0.777, 0.888])
            assert numbers[f"{name}_acc_{epochs}ep"] == np.round(expected, 5)
            dataset = name.rsplit("_", 1)[0]
            if name.endswith("test"):
                seconds = np.round(0.5 + code + last / 7 + place, 3)
                assert numbers[f"{dataset}_train_seconds_{epochs}ep"] == seconds
                assert numbers[f"params_{dataset}"] == 1000 + code + place
    assert len(numbers) == 1 + 12 + 6 + 3


def test_a_whole_folder_is_the_table_of_its_records(
    csv_path: Path, table: MeasuredTable, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    """With records from the CSV file: packing and unpacking 15,625 takes minutes."""
    header, *lines = (line.split(",") for line in csv_path.read_text().splitlines())

    def read(path: Path) -> Record:
        cells = lines[int(path.name.removesuffix(".pickle.pbz2"))]
        filled = zip(header, cells, strict=True)
        return Record(cells[1], {name: float(x) for name, x in filled if x and name != "arch"})

    monkeypatch.setattr(nats_bench, "read_record", read)
    folder = tmp_path / "NATS-tss-v1_0-3ffb9-simple"
    folder.mkdir()
    for number in range(15625):
        (folder / f"{number:06d}.pickle.pbz2").touch()
    read_table = load_nasbench201(tmp_path)
    np.testing.assert_array_equal(read_table.index, table.index)
    for name, column in table.columns.items():
        np.testing.assert_array_equal(read_table.columns[name], column)


def test_missing_architectures_are_counted(tmp_path: Path):
    for code in (0, 1):
        official_table.write_record(tmp_path, code)
    message = r"15623 of 15625 architectures are missing in .*, the first of them 000000\.pickle"
    with pytest.raises(TabularError, match=message):
        load_nasbench201(tmp_path)


class Reduced:
    """Pickles as a call."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize(
    "hostile",
    [
        Reduced(os.system, "touch hacked"),
        Reduced(eval, "open('hacked', 'w')"),
        Reduced(getattr, "text", "upper"),
        Reduced(np.fromfile, "secret"),
        {"200": {"arch_str": Reduced(os.system, "touch hacked")}},
    ],
)
def test_a_pickle_that_calls_is_refused(hostile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "000000.pickle.pbz2"
    path.write_bytes(official_table.pack(hostile))
    with pytest.raises(TabularError, match=r"asks for .*which could run code: it was not run"):
        read_record(path)
    assert not (tmp_path / "hacked").exists()


@pytest.mark.parametrize(
    "other",
    [np.float32(1), np.int64(1), np.datetime64("2020-01-01"), np.dtype(">f8"), np.dtype("O")],
)
def test_no_other_type_of_numpy_passes(other, tmp_path: Path):
    path = tmp_path / "000000.pickle.pbz2"
    path.write_bytes(official_table.pack(other))
    with pytest.raises(TabularError, match=r"holds no pickle .*: download it again"):
        read_record(path)


def without(*keys):
    """The record of code 7 with one entry removed."""
    content = official_table.record(7)
    inner = content
    for key in keys[:-1]:
        inner = inner[key]
    del inner[keys[-1]]
    return content


@pytest.mark.parametrize(
    "content",
    [
        [],
        None,
        "text",
        np.zeros(3),
        {},
        {"12": 3, "200": 4},
        official_table.record(7) | {"200": {"arch_str": 5, "arch_index": 0, "all_results": {}}},
        without("12"),
        without("12", "all_results"),
        without("12", "all_results", ("cifar100", 777), "eval_acc1es", "x-valid@11"),
        without("200", "all_results", ("cifar10", 888), "params"),
        official_table.record(7) | {"12": {"all_results": {}}},
        official_table.record(7) | {"12": {"all_results": {"cifar10": {}}}},
    ],
)
def test_a_pickle_of_something_else_is_told(content, tmp_path: Path):
    path = tmp_path / "000000.pickle.pbz2"
    path.write_bytes(official_table.pack(content))
    with pytest.raises(TabularError, match=r"000000\.pickle\.pbz2 is no record of NATS-Bench's"):
        read_record(path)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda content: content[:-30], r"cannot be read \(Compressed file ended"),
        (lambda content: b"", "holds no pickle|cannot be read"),
        (lambda content: b"text", "cannot be read"),
        (lambda content: bz2.compress(bz2.decompress(content)[:-30]), "holds no pickle"),
        (lambda content: bz2.compress(b"text"), "holds no pickle"),
        (lambda content: bz2.compress(bytes((1 << 24) + 1)), "unpacks to more than"),
    ],
)
def test_a_damaged_record_is_told(damage, message: str, tmp_path: Path):
    path = official_table.write_record(tmp_path, 0)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(TabularError, match=rf"pickle\.pbz2 .*({message}).*: download"):
        read_record(path)


def test_a_record_that_is_not_there_is_told(tmp_path: Path):
    with pytest.raises(TabularError, match=r"cannot be read .*No such file"):
        read_record(tmp_path / "000000.pickle.pbz2")

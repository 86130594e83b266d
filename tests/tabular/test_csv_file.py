import gzip
from pathlib import Path

import numpy as np
import pytest

from jaxnas.tabular import MeasuredTable, TabularError, load_nasbench201, write_csv
from support import official_table


def assert_same(first: MeasuredTable, second: MeasuredTable) -> None:
    np.testing.assert_array_equal(first.index, second.index)
    assert first.columns.keys() == second.columns.keys()
    for name, column in first.columns.items():
        assert column.dtype == second.columns[name].dtype
        np.testing.assert_array_equal(column, second.columns[name])


@pytest.mark.parametrize("name", ["table.csv", "table.csv.gz"])
def test_a_written_table_reads_the_same(
    name: str, table: MeasuredTable, csv_path: Path, tmp_path: Path
):
    write_csv(table, tmp_path / name)
    content = (tmp_path / name).read_bytes()
    plain = gzip.decompress(content) if name.endswith(".gz") else content
    assert plain == csv_path.read_bytes()
    assert_same(load_nasbench201(tmp_path / name), table)


def test_all_seconds_are_written_where_they_are_known(table: MeasuredTable, tmp_path: Path):
    name = "cifar100_train_seconds_12ep"
    seconds = np.random.default_rng(0).uniform(1, 30000, 15625).astype(np.float32)
    whole = MeasuredTable("invented", {**table.columns, name: seconds}, table.index)
    write_csv(whole, tmp_path / "whole.csv")
    assert_same(load_nasbench201(tmp_path / "whole.csv"), whole)


def test_columns_and_lines_may_come_in_any_order(table: MeasuredTable, tmp_path: Path):
    rows = [line.split(",")[::-1] for line in official_table.lines()]
    rows[1:] = rows[:0:-1]
    path = tmp_path / "turned.csv"
    text = "\r\n".join(",".join([*row, "more"]) for row in rows)
    path.write_text(text, encoding="utf-8-sig")  # with the mark that spreadsheets put first
    assert_same(load_nasbench201(path), table)


def change(line: int, column: int, value: str):
    def edit(lines: list[str]) -> None:
        cells = lines[line].split(",")
        cells[column] = value
        lines[line] = ",".join(cells)

    return edit


def swap(line: int, other: int, column: int):
    def edit(lines: list[str]) -> None:
        change(line, column, lines[other].split(",")[column])(lines)

    return edit


FIRST = official_table.lines()[1].split(",")[1]


@pytest.mark.quick_cases(6)
@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (change(0, 18, "index"), "has the column 'index' twice"),
        (change(4, 5, "5_0"), ", line 5: '5_0' is no number"),
        (lambda lines: lines.pop(), "lacks 1 of the 15625 architectures, the first of them |"),
        (lambda lines: lines.clear(), "lacks the columns arch, index, cifar10_valid_acc_200ep"),
        (
            change(0, 14, "params"),
            "lacks the columns params_cifar10: write it again",
        ),
        (swap(-1, 1, 1), f"tells of {FIRST} twice"),
        (swap(-1, 1, 0), "gives index 0 to two architectures"),
        (change(7, 1, "|none~0|"), "tells of '|none~0|', which is no architecture"),
        (change(1, 2, "nan"), f"has nan as cifar10_valid_acc_200ep of {FIRST}, where a percentage"),
        (change(1, 2, ""), "has nan as cifar10_valid_acc_200ep"),
        (change(1, 13, "inf"), "has inf as imagenet16_120_test_acc_12ep"),
        (change(1, 3, "100.1"), "has 100.1 as cifar10_test_acc_200ep"),
        (change(1, 3, "-0.1"), "has -0.1 as cifar10_test_acc_200ep"),
        (change(1, 14, "10.5"), "has 10.5 as params_cifar10"),
        (change(1, 0, "15625"), "where a whole number from 0 to 15624 belongs"),
        (change(1, 18, "-1"), "has -1 as cifar10_train_seconds_200ep"),
        (change(4, 5, "good"), ", line 5: 'good' is no number"),
        (lambda lines: lines.insert(3, "1,2"), "has 2 cells in line 4 but 20 in its first"),
    ],
)
def test_a_file_that_cannot_be_used_is_told_in_a_sentence(edit, message: str, tmp_path: Path):
    lines = list(official_table.lines())
    edit(lines)
    path = tmp_path / "changed.csv"
    path.write_text("\n".join(lines))
    with pytest.raises(TabularError) as raised:
        load_nasbench201(path)
    assert message in str(raised.value)
    assert str(raised.value).startswith(str(path))
    assert "write it again with jaxnas.tabular.write_csv, or unpack NATS-tss" in str(raised.value)


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("cut.csv.gz", lambda content: gzip.compress(content)[:-20]),
        ("plain.csv.gz", lambda content: content),
        ("packed.csv", gzip.compress),
        ("quote.csv", lambda content: content.replace(b",", b',"', 30)),
        ("changed.csv.gz", lambda content: gzip.compress(content)[:999] + b"0" * 50),
    ],
)
def test_a_damaged_file_is_told(name: str, damage, csv_path: Path, tmp_path: Path):
    (tmp_path / name).write_bytes(damage(csv_path.read_bytes()[:100_000]))
    with pytest.raises(TabularError, match=rf"{name} .*: write it again with jaxnas\.tabular\.wr"):
        load_nasbench201(tmp_path / name)

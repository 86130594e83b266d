import csv
import io

import pytest
import rich.console

from jaxnas.reports import Column, Table
from jaxnas.reports.statistics import Spread

TABLE = Table(
    [
        Column("method", left=True),
        Column("seed"),
        Column("test accuracy %", ".2f"),
        Column("multiply-adds", ","),
        Column("nothing"),
        Column("changes", left=True),
        Column("seconds", ".1f"),
        Column("digest", left=True),
    ],
    [
        ["cell", 0, 91.234, 40_551_424, None, "25 null edges became identities", 98.0, "0" * 12],
        ["original", 0, "10.00†", None, "", "", 7.5, "1" * 12],
    ],
    [["cell, mean of 5", None, Spread(91.656, 0.1547), 40_551_424, None, None, None, None]],
    title="resnet20 on [digits]",
    note="† chance.",
    keys=2,
)


def printed(width, terminal=True, table=TABLE):
    """What is printed of a table, as lines."""
    console = rich.console.Console(
        width=width, force_terminal=terminal, color_system=None, file=io.StringIO(), markup=False
    )
    table.print(console)
    return console.file.getvalue().splitlines()


def test_markdown():
    assert TABLE.markdown().splitlines() == [
        "| method | seed | test accuracy % | multiply-adds | changes | seconds | digest |",
        "| --- | ---: | ---: | ---: | --- | ---: | --- |",
        "| cell | 0 | 91.23 | 40,551,424 | 25 null edges became identities | 98.0 | 000000000000 |",
        "| original | 0 | 10.00† |  |  | 7.5 | 111111111111 |",
        "| **cell, mean of 5** |  | **91.66 ± 0.15** | **40,551,424** |  |  |  |",
        "",
        "† chance.",
    ]
    assert Table([Column("a|b")], [["c|d"]]).markdown() == "| a\\|b |\n| ---: |\n| c\\|d |\n"


def test_values_as_csv_are_whole_unless_a_column_says_otherwise():
    table = Table([Column("a"), Column("b", ".2f"), Column("c")], [[1 / 3, 1 / 3, None]])
    assert list(csv.reader(table.csv().splitlines())) == [["a", "b", "c"], [str(1 / 3), "0.33", ""]]


@pytest.mark.parametrize("width", [40, 50, 60, 80, 100, 140])
def test_a_narrow_terminal_gets_every_column_and_no_broken_number(width):
    lines = printed(width)
    assert max(map(len, lines)) <= width
    text = "\n".join(lines)
    for number in ("91.66 ± 0.15", "10.00†", "40,551,424", "98.0", "0" * 12, "1" * 12, "† chance."):
        assert number in text
    assert text.count("resnet20 on [digits]") == 1
    assert text.count("┡") == {40: 5, 50: 3, 60: 2, 80: 2}.get(width, 1)
    # Each part says what its rows are about.
    assert text.count("original") == text.count("┡")
    assert ("25 null edges became identities" in text) == (width == 140)


def test_a_pipe_gets_one_table_whatever_its_width():
    lines = printed(40, terminal=False)
    (row,) = [line for line in lines if "25 null edges became identities" in line]
    assert "0" * 12 in row

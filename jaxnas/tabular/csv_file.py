"""The table as a CSV file: one line for each architecture."""

import csv
import gzip
import io
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from jaxnas import reading
from jaxnas.tabular.errors import TabularError
from jaxnas.tabular.nasbench201 import (
    ACCURACY_COLUMNS,
    PARAMS_COLUMNS,
    SECONDS_COLUMNS,
    WHERE_FROM,
    MeasuredTable,
    Record,
    arch_strings,
    tabulate,
)

_REMEDY = f"write it again with jaxnas.tabular.write_csv, or {WHERE_FROM}"
_NEEDED = ("index", *ACCURACY_COLUMNS, *PARAMS_COLUMNS)


def read_csv(path: Path) -> MeasuredTable:
    """Reads a table.

    Args:
      path: a .csv file, or packed .csv.gz. It needs the columns index, arch, and all of accuracy
        and parameters, in any order; those of seconds may be left out or be empty.

    Raises:
      TabularError: if the file cannot be read, lacks a column, or see `tabulate`.
    """
    try:
        packed = path.suffix == ".gz"
        with (gzip.open if packed else open)(
            reading.regular(path), "rt", encoding="utf-8-sig", newline=""
        ) as file:
            return tabulate(_records(csv.reader(file, strict=True), path), str(path), _REMEDY)
    except (OSError, EOFError, UnicodeDecodeError, csv.Error, zlib.error) as error:
        raise TabularError(f"{path} cannot be read ({error}): {_REMEDY}.") from error


def _records(lines: Iterator[list[str]], path: Path) -> Iterator[Record]:
    header = next(lines, [])
    lacking = [column for column in ("arch", *_NEEDED) if column not in header]
    if lacking:
        raise TabularError(f"{path} lacks the columns {', '.join(lacking)}: {_REMEDY}.")
    if (twice := reading.repeated(header)) is not None:
        raise TabularError(f"{path} has the column {twice!r} twice: {_REMEDY}.")
    arch = header.index("arch")
    taken = [
        (column, header.index(column))
        for column in (*_NEEDED, *SECONDS_COLUMNS)
        if column in header
    ]
    for number, cells in enumerate(lines, 2):
        if len(cells) != len(header):
            raise TabularError(
                f"{path} has {len(cells)} cells in line {number} but {len(header)} in its first: "
                f"{_REMEDY}."
            )
        try:
            numbers = {column: reading.number(cells[place] or "nan") for column, place in taken}
        except ValueError as error:
            raise TabularError(f"{path}, line {number}: {error}; {_REMEDY}.") from None
        yield Record(cells[arch], numbers)


def write_csv(table: MeasuredTable, path: Path) -> None:
    """Writes a table so that `load_nasbench201` reads the same, in the order of official indices.

    Columns of seconds of which nothing is known are left out.

    Args:
      table: what to write.
      path: where to; packed if it ends in .gz, the same bytes each time.

    Raises:
      TabularError: if the table lacks what such a file has to have.
      OSError: if the file cannot be written.
    """
    lacking = [name for name in _NEEDED[1:] if name not in table.columns]
    if lacking or table.index is None:
        raise TabularError(
            f"{table.source} does not tell {', '.join(lacking or ['index'])}, which a CSV file has "
            f"to: {WHERE_FROM}."
        )
    names = [
        *ACCURACY_COLUMNS,
        *PARAMS_COLUMNS,
        *(column for column in SECONDS_COLUMNS if not np.isnan(table.columns[column]).all()),
    ]
    order = np.argsort(table.index)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["index", "arch", *names])
    # NumPy's own str is the shortest that reads back as the same float32.
    cells = [["" if each != each else str(each) for each in table.columns[name]] for name in names]
    for code in order:
        writer.writerow(
            [table.index[code], arch_strings()[code], *(column[code] for column in cells)]
        )
    content = text.getvalue().encode()
    path.write_bytes(gzip.compress(content, mtime=0) if path.suffix == ".gz" else content)

"""Metrics by epoch, as JSON lines and as CSV."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

from jaxnas import reading
from jaxnas.storage import files


class Metrics:
    """The files `metrics.jsonl` and `metrics.csv` of a run's folder, or others of this form.

    The first is the truth; the second is made from it. Columns of the CSV stand in the order of
    their first appearance. Opening repairs what a kill left: a torn last line, a missing CSV row.
    """

    def __init__(self, folder: Path, name: str = "metrics", index: str = "epoch") -> None:
        """Opens them.

        Args:
          folder: where they are.
          name: of the files.
          index: of the int that every row has and that rows are ordered by.
        """
        self._jsonl = folder / f"{name}.jsonl"
        self._csv = folder / f"{name}.csv"
        self._index = index
        self._columns: list[str] = []
        if self._jsonl.exists():
            self._write(self.rows())

    def log(self, row: dict[str, Any]) -> None:
        """Appends one row to both files.

        Args:
          row: holds at least the int of the index, such as ``epoch``; scalars of NumPy and JAX are
            welcome.

        Raises:
          RunError: if there is no index or a value is not finite or has no JSON form.
        """
        if type(row.get(self._index)) is not int:
            raise files.RunError(
                f"a row of metrics needs an int {self._index!r}, not {row.get(self._index)!r}"
            )
        line = files.to_json(row, self._jsonl.name) + "\n"
        row = json.loads(line)
        _append(self._jsonl, line)
        if set(row) <= set(self._columns):
            _append(self._csv, _table([row], self._columns))
        else:
            self._columns += [column for column in row if column not in self._columns]
            text = _table([dict(zip(self._columns, self._columns, strict=True))], self._columns)
            files.write_bytes(
                self._csv, (text + _table(self.rows(), self._columns)).encode("utf-8")
            )

    def rows(self) -> list[dict[str, Any]]:
        """All rows, oldest first.

        Raises:
          RunError: naming the line, if one before the last is damaged.
        """
        if not self._jsonl.exists():
            return []
        # What follows the last newline is a line that a kill tore; its epoch will be run again.
        lines = files.read_text(self._jsonl).split("\n")[:-1]
        rows = []
        for number, line in enumerate(lines, start=1):
            try:
                row = reading.from_json(line)
            except ValueError as error:
                raise files.RunError(
                    f"{self._jsonl}, line {number}, is damaged ({error}); "
                    "restore it, use --overwrite, or use another --run-dir"
                ) from error
            if not isinstance(row, dict) or type(row.get(self._index)) is not int:
                raise files.RunError(
                    f"{self._jsonl}, line {number}, is no row of metrics; "
                    "restore it, use --overwrite, or use another --run-dir"
                )
            rows.append(row)
        return rows

    def truncate(self, last: int) -> None:
        """Drops the rows whose index is above `last`: the files are what they were at its end."""
        self._write([row for row in self.rows() if row[self._index] <= last])

    def _write(self, rows: list[dict[str, Any]]) -> None:
        self._columns = list(dict.fromkeys(column for row in rows for column in row))
        if not rows:
            self._csv.unlink(missing_ok=True)
            self._jsonl.unlink(missing_ok=True)
            return
        lines = "".join(files.to_json(row, self._jsonl.name) + "\n" for row in rows)
        header = _table([dict(zip(self._columns, self._columns, strict=True))], self._columns)
        files.write_bytes(self._jsonl, lines.encode("utf-8"))
        files.write_bytes(self._csv, (header + _table(rows, self._columns)).encode("utf-8"))


def _append(path: Path, text: str) -> None:
    try:
        with open(path, "ab") as file:
            file.write(text.encode("utf-8"))
    except OSError as error:
        raise files.WriteError(
            f"{path} cannot be written ({error.strerror or error}); make room and use --resume"
        ) from error


def _table(rows: list[dict[str, Any]], columns: list[str]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([_field(row.get(column)) for column in columns] for row in rows)
    return text.getvalue()


def _field(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value)

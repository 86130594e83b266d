"""Tables: columns and rows, as Markdown, as HTML, as CSV and in a terminal."""

from __future__ import annotations

import csv
import dataclasses
import io
import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

import rich.console
import rich.table
from rich.cells import cell_len
from rich.text import Text

from jaxnas.reports.html.markup import inline, markup

_BROKEN = 40  # characters from which on a cell's text may be broken in a browser


class Column(NamedTuple):
    """A column of a table.

    Attributes:
      heading: text above the column.
      form: format specification of the values, such as ``.2f`` or ``,``.
      left: whether the column holds words: aligned left, and broken at spaces in a narrow terminal.
        Other columns are aligned right and their values are never broken.
    """

    heading: str
    form: str = ""
    left: bool = False

    def text(self, value: Any) -> str:
        """A value as it stands in the table: empty for None, text as it is, all else formatted."""
        if value is None or isinstance(value, str):
            return value or ""
        return format(value, self.form)


@dataclasses.dataclass(frozen=True)
class Table:
    """Columns and rows.

    Attributes:
      columns: one for each value of a row.
      rows: values; see `Column.text`.
      totals: rows that stand last, apart and bold.
      title: text above the table in a terminal.
      note: paragraph below the table.
      keys: number of first columns that say what a row is about.
    """

    columns: Sequence[Column]
    rows: Sequence[Sequence[Any]]
    totals: Sequence[Sequence[Any]] = ()
    title: str | None = None
    note: str = ""
    keys: int = 1

    def markdown(self) -> str:
        """The table and its note as Markdown, ending in a newline; an empty column is left out."""
        columns, rows, totals = self._filled()
        rule = ["---" if column.left else "---:" for column in columns]
        bold = [[text and f"**{text}**" for text in line] for line in totals]
        lines = [[column.heading for column in columns], rule, *rows, *bold]
        escaped = ([text.replace("|", r"\|") for text in line] for line in lines)
        note = f"\n{self.note}\n" if self.note else ""
        return "".join(f"| {' | '.join(line)} |\n" for line in escaped) + note

    def html(self) -> str:
        """The table and its note as HTML; an empty column is left out."""
        columns, rows, totals = self._filled()

        def line(texts: Sequence[str], kind: str = "td", look: str = "") -> str:
            cells = []
            for column, text in zip(columns, texts, strict=True):
                words = "words" * column.left + " long" * (len(text) > _BROKEN)
                cells.append(f'<{kind} class="{words}">{inline(text)}</{kind}>')
            return f"<tr{look}>{''.join(cells)}</tr>"

        head = line([column.heading for column in columns], "th")
        body = [*map(line, rows), *(line(each, look=' class="totals"') for each in totals)]
        note = f"\n{markup(self.note)}" if self.note else ""
        return (
            f'<div class="wide"><table>\n<thead>{head}</thead>\n<tbody>\n'
            + "\n".join(body)
            + f"\n</tbody>\n</table></div>{note}"
        )

    def csv(self) -> str:
        """The headings and rows as comma-separated values, without the totals."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(column.heading for column in self.columns)
        writer.writerows(self._texts(self.rows))
        return text.getvalue()

    def print(self, console: rich.console.Console) -> None:
        """Prints the table and its note; an empty column is left out.

        A terminal too narrow for it gets several tables, one below the other, each with the key
        columns and as many others as fit. A file or a pipe gets one table of any width.
        """
        columns, rows, totals = self._filled()
        width = console.width if console.is_terminal else None
        bands = self._bands(columns, [*rows, *totals], width)
        if width is None:  # rich would cut at 80
            (widths,) = bands
            whole = sum(widths.values()) + 3 * len(widths) + 1
            console = rich.console.Console(file=console.file, width=whole, markup=False)
        for number, widths in enumerate(bands):
            printed = rich.table.Table(title=None if number else self.title)
            for place, room in widths.items():
                justify = "left" if columns[place].left else "right"
                printed.add_column(columns[place].heading, justify=justify, width=room)
            for line in rows:
                printed.add_row(*(Text(line[place]) for place in widths))
            if totals:
                printed.add_section()
            for line in totals:
                printed.add_row(*(Text(line[place]) for place in widths), style="bold")
            console.print(printed)
        if self.note:
            console.print(self.note, highlight=False, soft_wrap=True)

    def _texts(self, rows: Sequence[Sequence[Any]]) -> list[list[str]]:
        return [
            [column.text(value) for column, value in zip(self.columns, row, strict=True)]
            for row in rows
        ]

    def _filled(self) -> tuple[list[Column], list[list[str]], list[list[str]]]:
        """The columns that have a text at all, and the texts of rows and totals in them."""
        parts = self._texts(self.rows), self._texts(self.totals)
        filled = [any(texts) for texts in zip(*parts[0], *parts[1], strict=True)]
        rows, totals = ([list(itertools.compress(line, filled)) for line in part] for part in parts)
        return list(itertools.compress(self.columns, filled)), rows, totals

    def _bands(
        self, columns: list[Column], lines: list[list[str]], width: int | None
    ) -> list[dict[int, int]]:
        """Widths of the columns that stand side by side, by place, for each part of the table."""
        widest, narrowest = [], []
        for column, *cells in zip(columns, *lines, strict=True):
            broken = [word for text in cells for word in text.split()] if column.left else cells
            widest.append(max(map(cell_len, (column.heading, *cells))))
            narrowest.append(max(map(cell_len, (*column.heading.split(), *broken))))

        def room(places: Sequence[int], widths: Sequence[int]) -> int:
            """Room that is left beside these columns, their padding and their rules."""
            taken = sum(widths[place] for place in places) + 3 * len(places) + 1
            return 0 if width is None else width - taken

        every = range(len(columns))
        if room(every, widest) >= 0:
            return [dict(enumerate(widest))]
        keys = list(every[: self.keys])
        bands = [keys]
        for place in every[self.keys :]:
            if len(bands[-1]) > len(keys) and room([*bands[-1], place], narrowest) < 0:
                bands.append(keys)
            bands[-1] = [*bands[-1], place]
        found = []
        for band in bands:
            spare, widths = max(room(band, narrowest), 0), {}
            for place in band:
                more = min(widest[place] - narrowest[place], spare)
                widths[place], spare = narrowest[place] + more, spare - more
            found.append(widths)
        return found

"""The page that tells a run: its command, tables, pictures, notes and environment, in Markdown."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from jaxnas.reports.tables import Table
from jaxnas.storage import files
from jaxnas.storage.directory import DATA_READ


class Picture(NamedTuple):
    """A picture on a page.

    Attributes:
      caption: what it shows.
      file: its name in the page's folder.
    """

    caption: str
    file: str


Content = str | Table | Picture
"""A part of a section; a text is a paragraph, or several, of Markdown."""


class Section(NamedTuple):
    """A part of a page.

    Attributes:
      heading: text above it.
      blocks: what it consists of; a section of nothing is left out.
    """

    heading: str
    blocks: Sequence[Content]

    @classmethod
    def of_picture(cls, caption: str, file: str, explanation: str) -> Section:
        """A picture under its caption, and what it shows."""
        return cls(caption, [Picture(caption, file), explanation])

    def markdown(self) -> str:
        """The heading and the blocks as Markdown."""
        return "\n\n".join([f"## {self.heading}", *map(_markdown, self.blocks)])


def write_page(
    folder: str | os.PathLike[str],
    title: str,
    sections: Sequence[Section],
    *,
    file: str = "report.md",
    config: dict[str, Any] | None = None,
) -> Path:
    """Writes the page of a run into its folder, whole or not at all.

    Args:
      folder: folder of the run.
      title: text above all.
      sections: parts of the page, in their order.
      file: name of the page.
      config: configuration of the run and, as ``environment``, on what it ran; by default that of
        the folder's `config.json`.

    Returns:
      the path of the page.

    Raises:
      RunError: if `config.json` is missing or damaged, or a picture is not there.
    """
    folder = Path(folder)
    if config is None:
        config = files.from_json(files.read_text(folder / "config.json"), folder / "config.json")
    for block in (block for section in sections for block in section.blocks):
        if isinstance(block, Picture) and not (folder / block.file).is_file():
            path = folder / block.file
            raise files.RunError(f"there is no picture {path}; draw it before the report")
    settings = dict(config or {})
    environment = settings.pop("environment", {})
    if (folder / DATA_READ).is_file():
        read = files.read_text(folder / DATA_READ).strip()
        sections = [*sections, Section("Data", [f"```\n{read}\n```"])]
    listed = {"Configuration": settings, "Environment": environment}
    sections = [*sections, *(Section(name, _listing(each)) for name, each in listed.items())]
    parts = [
        f"# {title}",
        *([f"```\n{environment['command']}\n```"] if "command" in environment else []),
        *(section.markdown() for section in sections if section.blocks),
    ]
    files.write_bytes(
        folder / file, ("\n\n".join(parts) + "\n").encode("utf-8", "backslashreplace")
    )
    return folder / file


def _markdown(block: Content) -> str:
    if isinstance(block, Table):
        return block.markdown().rstrip()
    if isinstance(block, Picture):
        return f"![{block.caption}]({block.file})"
    return block.strip()


def _listing(fields: dict[str, Any]) -> list[str]:
    """Nested fields as one Markdown list, a line each, under their dotted names."""
    lines = "\n".join(_lines(fields, ""))
    return [lines] if lines else []


def _lines(fields: dict[str, Any], prefix: str) -> Iterator[str]:
    for name, value in fields.items():
        if isinstance(value, dict) and value:
            yield from _lines(value, f"{prefix}{name}.")
        else:
            text = value if isinstance(value, str) else files.to_json(value, name)
            yield f"- {prefix}{name}: `{text}`"

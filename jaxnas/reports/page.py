"""The page that tells a run: its command, tables, pictures, notes and environment."""

from __future__ import annotations

import html
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from jaxnas.reports.html.document import document, drawing
from jaxnas.reports.html.markup import markup
from jaxnas.reports.tables import Table
from jaxnas.storage import files
from jaxnas.storage.directory import DATA_READ


class Picture(NamedTuple):
    """A picture on a page.

    Attributes:
      caption: what it shows.
      file: its name in the page's folder, an SVG.
      html: what shows it in a browser; by default the file's drawing.
    """

    caption: str
    file: str
    html: str = ""


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
    def of_picture(cls, caption: str, file: str, explanation: str, html: str = "") -> Section:
        """A picture under its caption, and what it shows; see `Picture`."""
        return cls(caption, [Picture(caption, file, html), explanation])

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
    """Writes the page of a run into its folder, in Markdown and, as `.html`, for a browser.

    The latter is whole in one file: it fetches nothing. Each is written whole or not at all.

    Args:
      folder: folder of the run.
      title: text above all.
      sections: parts of the page, in their order.
      file: name of the page in Markdown.
      config: configuration of the run and, as ``environment``, on what it ran; by default that of
        the folder's `config.json`.

    Returns:
      the path of the page in Markdown.

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
    body = [
        *map(markup, parts[1 : 1 + ("command" in environment)]),
        *(_html(folder, section, folded=section.heading in listed) for section in sections),
    ]
    pages = {file: "\n\n".join(parts) + "\n"}
    pages[f"{Path(file).stem}.html"] = document(title, "\n".join(filter(None, body)))
    for name, text in pages.items():
        files.write_bytes(folder / name, text.encode("utf-8", "backslashreplace"))
    return folder / file


def told_pages(report: Path) -> str:
    """A sentence on where the pages are that `write_page` wrote, of which `report` is one."""
    return f"Report: {report}; to share, in one file: {report.with_suffix('.html')}"


def _markdown(block: Content) -> str:
    if isinstance(block, Table):
        return block.markdown().rstrip()
    if isinstance(block, Picture):
        return f"![{block.caption}]({block.file})"
    return block.strip()


def _html(folder: Path, section: Section, *, folded: bool) -> str:
    """A section for a browser, which can be opened where it is folded; nothing of an empty one."""
    if not section.blocks:
        return ""
    heading = f"<h2>{html.escape(section.heading)}</h2>"
    parts = []
    for block in section.blocks:
        if isinstance(block, Table):
            parts.append(block.html())
        elif isinstance(block, Picture):
            parts.append(block.html or _drawing(folder, block))
        else:
            parts.append(markup(block))
    shown = "\n".join(parts)
    if folded:
        return f"<details><summary>{heading}</summary>\n{shown}\n</details>"
    return f"<section>\n{heading}\n{shown}\n</section>"


def _drawing(folder: Path, picture: Picture) -> str:
    svg = files.read_text(folder / picture.file)
    return drawing(svg, Path(picture.file).stem, picture.caption)


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

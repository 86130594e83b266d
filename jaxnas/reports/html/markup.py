"""Markdown as reports have it, as HTML: paragraphs, lists, code, bold and emphasis."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator

_FENCE = re.compile(r"^```\n(.*?)\n?^```$", re.DOTALL | re.MULTILINE)
_CODE = re.compile(r"`([^`\n]+)`")
_MARKS = (
    (re.compile(r"\*\*(\S(?:.*?\S)?)\*\*"), r"<strong>\1</strong>"),
    (re.compile(r"\*(\S(?:.*?\S)?)\*"), r"<em>\1</em>"),
)


def markup(text: str) -> str:
    """The text as HTML; what looks like HTML in it shows as it is written."""
    parts = _FENCE.split(text.strip())  # what stands outside and inside fences, in turn
    shown = (
        f"<pre>{html.escape(part)}</pre>" if index % 2 else "\n".join(_paragraphs(part))
        for index, part in enumerate(parts)
    )
    return "\n".join(filter(None, shown))


def inline(text: str) -> str:
    """Words of one line as HTML."""
    parts = _CODE.split(text)
    return "".join(
        f"<code>{html.escape(part)}</code>" if index % 2 else _marked(part)
        for index, part in enumerate(parts)
    )


def _paragraphs(text: str) -> Iterator[str]:
    for paragraph in filter(None, re.split(r"\n\s*\n", text.strip())):
        if paragraph.startswith("- "):
            lines = paragraph.removeprefix("- ").split("\n- ")
            yield "<ul>" + "".join(f"<li>{inline(line)}</li>" for line in lines) + "</ul>"
        else:
            yield f"<p>{inline(paragraph)}</p>"


def _marked(text: str) -> str:
    text = html.escape(text)
    for pattern, form in _MARKS:
        text = pattern.sub(form, text)
    return text

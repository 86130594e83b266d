"""The code of the pages of docs/."""

import contextlib
import io
import re
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"


def blocks(page):
    """The kind and the content of each block of a page, named as ``your_space.md`` or a path."""
    return re.findall(r"^```(\w*)\n(.*?)^```", (DOCS / page).read_text(), re.DOTALL | re.MULTILINE)


def run(page):
    """Runs a page's Python, one block after the other, and returns the names it leaves.

    A block of ``text`` must be what the code before it prints, but for breaks of lines.
    """
    names: dict = {"__name__": page}
    printed = io.StringIO()
    for kind, content in blocks(page):
        if kind == "python":
            printed = io.StringIO()
            with contextlib.redirect_stdout(printed):
                exec(compile(content, page, "exec"), names)
        elif kind == "text":
            assert printed.getvalue().split() == content.split()
    return names

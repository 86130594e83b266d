"""The README and the pages of docs/: their commands are understood as they are printed."""

from __future__ import annotations

import re
import runpy
import shlex
import sys
from pathlib import Path

import pytest
import tyro

from jaxnas.cli import main
from support import pages

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]

PLACES = {"SEED": "0", "METHOD": "original", "BASE": "resnet20"}
"""What stands for one of several words, and one of them."""

INLINE = r"`([^`\n]+ -[^`]+)`"  # with a flag: what has none is a name

WRITTEN = "evolve.py"
"""The script that docs/your_space.md writes; `tests/commands/test_guide.py` runs it."""


def commands(page: Path) -> list[list[str]]:
    """The commands of this project in a page's blocks and tables, each as its words."""
    lines = []
    for kind, content in pages.blocks(page):
        if not kind:
            lines += content.replace("\\\n", " ").splitlines()
    lines += [text.replace("\n", " ") for text in re.findall(INLINE, page.read_text())]
    found = []
    for line in lines:
        if not re.match(r"(python )?(jaxnas |[\w/]*\w+\.py )", line) or WRITTEN in line:
            continue
        if re.search(r"\.\.\.|--help|\[--", line):  # no whole command
            continue
        words = [PLACES.get(word, word) for word in shlex.split(line, comments=True)]
        found.append(words[words[0] == "python" :])
    return found


class Understood(BaseException):
    """Ends a command whose flags are read."""


def understand(monkeypatch: pytest.MonkeyPatch, words: list[str]) -> None:
    """Asserts that the flags of a command are some that it has, with values that it takes."""
    read = tyro.cli

    def read_alone(*arguments, **options):
        read(*arguments, **options)
        raise Understood

    monkeypatch.setattr(tyro, "cli", read_alone)
    monkeypatch.setattr(sys, "argv", words)
    if words[0] == "jaxnas":
        with pytest.raises(Understood):
            main()
    else:
        places = [ROOT / folder / words[0] for folder in ("", "experiments", "benchmarks")]
        (script,) = [path for path in places if path.is_file()]
        monkeypatch.syspath_prepend(script.parent)
        with pytest.raises(Understood):
            runpy.run_path(str(script), run_name="__main__")


COMMANDS = sorted({(page.name, *words) for page in PAGES for words in commands(page)})


@pytest.mark.parametrize("command", COMMANDS, ids=shlex.join)
def test_the_commands_of_the_pages_are_understood(monkeypatch, tmp_path, capsys, command):
    monkeypatch.chdir(tmp_path)
    understand(monkeypatch, list(command[1:]))


def test_a_flag_that_is_not_there_is_noticed(monkeypatch, capsys):
    with pytest.raises(SystemExit):
        understand(monkeypatch, ["jaxnas", "adapt", "--base", "resnet20", "--no-such", "1"])


METHODS = ("pnaa", "nat", "darts", "proxylessnas", "enas", "nasnet", "pnas", "nas")
FRAME = ["Idea", "Equations", "Use", "Published", "Measured"]


@pytest.mark.parametrize("method", METHODS)
def test_the_pages_of_methods_have_one_frame(method):
    headings = re.findall(r"^## (.*)$", (ROOT / "docs" / f"{method}.md").read_text(), re.MULTILINE)
    assert [heading for heading in headings if heading in FRAME] == FRAME

"""The README and the pages of docs/: commands are understood as printed, and Python runs."""

from __future__ import annotations

import re
import runpy
import shlex
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
import tyro

from jaxnas import nn
from jaxnas.cli import main
from jaxnas.spaces import zoo
from support import pages
from support.tiny import BASE, dataset

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
        found = read(*arguments, **options)
        if options.get("return_unknown_args") and found[1]:
            return found  # which the command refuses
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
    for words in (["jaxnas", "adapt"], ["proxyless_cifar.py"]):
        with pytest.raises(SystemExit):
            understand(monkeypatch, [*words, "--base", "resnet20", "--no-such", "1"])


@pytest.mark.parametrize(
    "page", ["README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "docs/README.md"]
)
def test_the_links_of_the_first_pages_lead_somewhere(page):
    """`make docs` checks those of docs/, but not of the pages beside it."""
    text = (ROOT / page).read_text()
    for link in re.findall(r"\]\(([^)]+)\)|src=\"([^\"]+)\"", text):
        target, _, anchor = "".join(link).partition("#")
        if "://" in target:
            continue
        path = (ROOT / page).parent / target
        assert path.is_file(), link
        if anchor:
            headings = re.findall(r"^#+ (.*)$", path.read_text(), re.MULTILINE)
            assert anchor in [
                re.sub(r"[^\w\- ]", "", each).strip().lower().replace(" ", "-") for each in headings
            ], link


METHODS = ("pnaa", "nat", "darts", "proxylessnas", "enas", "nasnet", "pnas", "nas")
FRAME = ["Idea", "Equations", "Use", "Published", "Measured"]


@pytest.mark.parametrize("method", METHODS)
def test_the_pages_of_methods_have_one_frame(method):
    headings = re.findall(r"^## (.*)$", (ROOT / "docs" / f"{method}.md").read_text(), re.MULTILINE)
    assert [heading for heading in headings if heading in FRAME] == FRAME


RUN_BY = {
    "README.md": "test_api.py",
    "architectures.md": "test_pages.py",
    "blackbox.md": "search/test_guide.py",
    "first_run.md": "test_pages.py",
    "getting_started.md": "test_api.py",
    "pnas.md": "search/test_guide.py",
    "pretrained.md": "test_pages.py",
    "recipe.md": "test_pages.py",
    "self_supervised.md": "commands/test_guide.py",
    "tabular.md": "tabular/test_nasbench201.py",
    "your_algorithm.md": "commands/test_guide.py",
    "your_dataset.md": "data/test_guide.py",
    "your_space.md": "spaces/test_guide.py",
    "your_table.md": "commands/tabular/test_guide.py",
}
"""The tests that run a page's Python."""


def test_the_python_of_every_page_is_run_by_a_test():
    with_python = {
        page.name for page in PAGES if any(kind == "python" for kind, _ in pages.blocks(page))
    }
    assert with_python == set(RUN_BY)
    for page, test in RUN_BY.items():
        assert f'"{page}"' in (ROOT / "tests" / test).read_text()


def run(page: str, part: str, names: dict, *changes: tuple[str, str]) -> dict:
    """Runs the block of a page that holds `part`, changed; returns the names that it leaves."""
    (code,) = [content for kind, content in pages.blocks(page) if part in content and kind]
    for printed, here in changes:
        assert printed in code
        code = code.replace(printed, here)
    exec(compile(code, page, "exec"), names)
    return names


@pytest.mark.parametrize(
    "part", ["to_json", pytest.param("from_arch_string", marks=pytest.mark.slow)]
)
def test_the_page_on_architectures_describes_networks(part, capsys):
    run("architectures.md", part, {})
    assert "resnet20" in capsys.readouterr().out or part != "to_json"


@pytest.mark.slow
def test_the_page_on_the_first_run_draws_its_pictures(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = zoo.named("resnet20_cells").to_json()
    for place in ("runs/digits/base.json", "runs/digits/cell_seed0/genotype.json"):
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).write_text(text)
    (tmp_path / "docs").mkdir()
    run("results/first_run.md", "side_by_side", {})
    for name, heading in (("base", "base: "), ("cell", "adapted: ")):
        drawn = (tmp_path / f"docs/first_run_{name}.svg").read_text()
        kept = (ROOT / f"docs/first_run_{name}.svg").read_text()
        assert f"{heading}resnet20_cells" in drawn
        assert f"{heading}resnet20_cells" in kept


@pytest.mark.slow
def test_the_page_on_architectures_takes_weights_in_and_out(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    base = zoo.named("mobilenet_v2_imagenet")
    variables = nn.init(nn.build(base, 3), jax.random.key(0), (32, 32, 3))
    nn.save_safetensors(variables, tmp_path / "mobilenet_v2.safetensors", base)
    names = run("architectures.md", "import_weights", {})
    assert names["predict"](np.zeros((2, 224, 224, 3), np.float32)).shape == (2, 3)


@pytest.mark.slow
def test_the_page_on_pretrained_networks_adapts_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    variables = nn.init(nn.build(BASE, 7), jax.random.key(0), (8, 8, 1))
    nn.save_safetensors(variables, tmp_path / "mnasnet_100.safetensors", BASE)
    names = run(
        "pretrained.md",
        "jaxnas.adapt",
        {"network": BASE, "folder": dataset()},
        ('data.load("my_photos/", image_size=160, test_share=0.2)', "folder"),
        ('"mnasnet_b1"', "network"),
        ("epochs=20", "epochs=4, batch_size=16"),
    )
    whole = nn.cost(nn.build(BASE, 4), (8, 8, 1))
    assert names["adapted"].metrics["macs"] <= 0.7 * whole.macs
    assert names["inputs"].shape == (40, 8, 8, 1)


@pytest.mark.slow
def test_the_page_on_the_recipe_watches_a_run():
    names = run(
        "recipe.md",
        "on_epoch",
        {"network": BASE, "images": dataset()},
        ('"plain20", "digits"', "network, images, batch_size=16"),
        ("epochs=30", "epochs=2"),
    )
    assert [row["epoch"] for row in names["told"]] == [1, 2]

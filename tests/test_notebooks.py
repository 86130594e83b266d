"""The notebooks: what they name is there, no output tells of a machine, and their code runs."""

import ast
import importlib
import json
import re
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import jax
import numpy as np
import pytest

from jaxnas import nn
from support import tiny

DOCS = Path(__file__).parents[1] / "docs"
NOTEBOOKS = {path.stem: path for path in sorted(DOCS.glob("*.ipynb"))}


def cells(name, kind="code"):
    """The cells of a notebook of a kind, each with its `source` as one text."""
    content = json.loads(NOTEBOOKS[name].read_text())
    assert content["nbformat"] == 4
    for cell in content["cells"]:
        if cell["cell_type"] == kind:
            yield {**cell, "source": "".join(cell["source"])}


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_its_outputs_are_there_and_say_nothing_of_a_machine(name):
    content = NOTEBOOKS[name].read_text()
    assert len(content) < 500_000
    assert not re.search(r"/(root|home|tmp|usr|Users)/|site-packages|localhost", content)
    counts = [cell["execution_count"] for cell in cells(name)]
    assert counts == list(range(1, len(counts) + 1)), "run once, from the top"
    outputs = [output for cell in cells(name) for output in cell["outputs"]]
    assert not [output for output in outputs if output["output_type"] == "error"]
    assert not [output for output in outputs if output.get("name") == "stderr"]
    assert any({"image/png", "image/svg+xml"} & set(each.get("data", {})) for each in outputs)
    for cell in cells(name, "markdown"):
        for page in re.findall(r"\]\(([^)#]+)", cell["source"]):
            assert (DOCS / page).is_file(), page


def named(tree):
    """The objects of jaxnas that code names: (module or object, name) of each."""
    known = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("jaxnas"):
            for each in node.names:
                yield importlib.import_module(node.module), each.name
                known[each.asname or each.name] = node.module, each.name
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            if node.value.id in known:
                module, own = known[node.value.id]
                yield getattr(importlib.import_module(module), own), node.attr
            elif node.value.id == "jaxnas":
                yield importlib.import_module("jaxnas"), node.attr


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_what_it_names_is_there(name):
    code = ast.parse("\n".join(cell["source"] for cell in cells(name)))
    found = list(named(code))
    assert len(found) > 5
    for owner, attribute in found:
        assert hasattr(owner, attribute), f"{owner} has no {attribute}"


def run(name, monkeypatch, **settings):
    """What a notebook leaves that has these settings in place of its own."""
    shown = ModuleType("IPython.display")
    shown.SVG = lambda path: Path(path).read_text().index("<svg")
    monkeypatch.setitem(sys.modules, "IPython.display", shown)
    monkeypatch.setenv("MPLBACKEND", "agg")
    names = {"__name__": name}
    for cell in cells(name):
        if "settings" in cell["metadata"].get("tags", ()):
            nodes = [n for n in ast.walk(ast.parse(cell["source"])) if isinstance(n, ast.Name)]
            assert set(settings) == {n.id for n in nodes if isinstance(n.ctx, ast.Store)}
            names |= settings
        else:
            exec(compile(cell["source"], name, "exec"), names)
    return SimpleNamespace(**names)


@pytest.fixture
def closed_figures():
    yield
    from matplotlib import pyplot

    pyplot.close("all")


@pytest.mark.slow
@pytest.mark.usefixtures("closed_figures")
def test_the_notebook_on_own_images_runs(monkeypatch, tmp_path):
    """With a network of two blocks and weights that are drawn in place of ImageNet's."""
    monkeypatch.chdir(tiny.write(tmp_path))
    network = nn.build(tiny.BASE, 10)
    variables = nn.init(network, jax.random.key(0), (16, 16, 3))
    nn.save_safetensors(variables, "base.safetensors", tiny.BASE)
    found = run(
        "own_images",
        monkeypatch,
        FOLDER="photos",
        BASE="base.json",
        WEIGHTS="base.safetensors",
        SIDE=16,
        EPOCHS=3,
        BATCH=16,
    )
    assert found.photos.input_shape == (16, 16, 3)
    assert found.tuned.genotype == tiny.BASE
    assert found.adapted.metrics["macs"] <= 0.7 * found.tuned.metrics["macs"]
    assert [row["epoch"] for row in found.rows["adapted"]][-1] == 3
    network, variables, names = nn.load_network("photos.safetensors", (16, 16, 3))
    assert (network.genotype, names) == (found.adapted.genotype, tuple(sorted(found.PIECES)))
    accuracy = 100 * np.mean(found.outputs.argmax(1) == found.photos.test_labels)
    assert found.judged.accuracy() == pytest.approx(accuracy)
    assert accuracy == pytest.approx(found.adapted.metrics["test_accuracy"], abs=1e-3)


@pytest.mark.slow
@pytest.mark.usefixtures("closed_figures")
def test_the_notebook_on_search_runs(monkeypatch):
    found = run("search", monkeypatch, SEEDS=4, QUERIES=20)
    assert found.accuracy[found.space.codes(found.cells)].tolist() == found.accuracy.tolist()
    for regret in found.found.values():
        assert (np.diff(regret) <= 0).all()
        assert regret.min() > -1e-4
    assert set(found.found) == {*found.searchers, "progressive"}

"""The code of docs/self_supervised.md and docs/your_algorithm.md runs as printed."""

import inspect
import re
import runpy
import sys
from pathlib import Path
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnas.children.child_training import Outcome
from jaxnas.children.child_winners import TRAINED
from jaxnas.commands import cell_search, child_experiment
from jaxnas.commands.child_experiment import run_children
from jaxnas.runs.search_run import SearchRun
from jaxnas.search import random
from support import pages, tiny
from support import searcher_promises as contract
from support.finished_runs import write_method
from support.toys import MIXED

GUIDE = Path(__file__).parents[2] / "docs" / "self_supervised.md"


def test_the_guides_features_are_what_the_classifier_of_the_run_sees(monkeypatch, tmp_path):
    (code,) = re.findall(r"```python\n(import jax\n.*?)```", GUIDE.read_text(), re.DOTALL)
    (folder,) = re.findall(r'load_run\("(.*)"\)', code)
    monkeypatch.chdir(tmp_path)
    write_method(tmp_path / Path(folder).parent, "original", (0,))
    names: dict = {}
    exec(compile(code, "self_supervised.md", "exec"), names)
    features, trained = names["features"], names["trained"]
    assert features.shape == (360, 8)
    assert features.dtype == jnp.float32
    pixels = names["images"] / 255
    np.testing.assert_allclose(names["inputs"], (pixels - 0.25) / 0.5, atol=1e-5)
    classifier = trained.variables["params"]["classifier"]
    logits = trained.network.apply(trained.variables, names["inputs"], train=False)
    told = features @ classifier["kernel"] + classifier["bias"]
    np.testing.assert_allclose(logits, told, atol=1e-4)


ALGORITHM = "your_algorithm.md"


@pytest.fixture(scope="module")
def names():
    """What the code of docs/your_algorithm.md leaves; its search of a supernet is traced alone."""

    def traced(run):
        def first_steps(key):
            state = run.search.init(key)
            batch = {part: (x[:4], y[:4]) for part, (x, y) in run._data.items()}
            return [step(state, batch, key) for step in run.search.steps.values()]

        jax.eval_shape(first_steps, run._key)
        return SimpleNamespace(found=SimpleNamespace(genotype=tiny.BASE))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SearchRun, "run", traced)
        return pages.run(ALGORITHM)


@pytest.mark.slow
def test_the_guides_search_of_a_supernet_finds_a_chain(monkeypatch):
    found, kept = [], SearchRun.run
    monkeypatch.setattr(SearchRun, "run", lambda run: found.append(kept(run)) or found[0])
    chain = pages.run(ALGORITHM)["chain"]
    genotype = found[0].found.genotype
    assert chain.decode(chain.encode(genotype)) == genotype


@pytest.mark.slow
def test_the_guides_values_are_those_of_a_chain_within_its_budget(names):
    values, macs, best = names["values"], names["macs"], names["values"].argmax()
    assert values.shape == (names["space"].size,)
    assert values.max() == 1
    assert values.min() > 0
    assert 0.5 * 8e6 < macs[best] < 2 * 8e6
    assert macs.min() < macs[best] < macs.max()


@pytest.mark.parametrize("promise", contract.PROMISES.values(), ids=contract.PROMISES)
def test_the_guides_searcher_is_one(names, monkeypatch, tmp_path, promise):
    monkeypatch.setitem(contract.SEARCHERS, "the guide's", names["annealing"])
    known = {"searcher": "the guide's", "space": "mixed", "tmp_path": tmp_path}
    promise(**{name: known[name] for name in inspect.signature(promise).parameters})


def test_the_guides_searcher_learns(names):
    contract.learns(names["annealing"], contract.found(random(MIXED)))


def assert_asks_for_children(arguments, searcher):
    """Of what `run_children` was called with."""
    call = inspect.signature(run_children).bind(*arguments).arguments
    assert list(call["searchers"]) == [searcher, "random"]
    for searcher in call["searchers"].values():
        assert searcher.children == call["experiment"].children
        algorithm = searcher.algorithm
        (candidate,) = algorithm.ask(algorithm.init(jax.random.key(0)))[1]
        child = call["networks"].genotype(np.array(candidate))
        assert child == searcher.space.decode(np.array(candidate))
        assert TRAINED in call["full_size"](candidate)
    assert call["reward"](Outcome((), (20.0, 50.0), {}, "")) == 0.5
    return call


def ran(monkeypatch, script, module, *words):
    """What a page's script would have `run_children` of a module do."""
    calls = []
    monkeypatch.setattr(module, "run_children", lambda *given: calls.append(given))
    monkeypatch.setattr(sys, "argv", [str(script), *words])
    runpy.run_path(str(script), run_name="__main__")
    return calls


def script_of(page, path):
    """The page's first code and its command, as a file."""
    code = [content for kind, content in pages.blocks(page) if kind == "python"]
    (command,) = [content for content in code if "run_script" in content]
    path.write_text(code[0] + command)
    return path


SMALL = ("--children", "7", "--child.epochs", "3", "--run-dir", "here")


def test_the_guides_script_is_a_command(monkeypatch, tmp_path):
    script = script_of(ALGORITHM, tmp_path / "anneal.py")
    calls = ran(monkeypatch, script, cell_search, *SMALL, "--start", "0.2")
    call = assert_asks_for_children(*calls, "annealing")
    assert (call["experiment"].children, call["child"].epochs) == (7, 3)
    assert call["settings"]["start"] == 0.2


def test_the_script_of_ones_own_space_is_a_command(monkeypatch, tmp_path):
    script = script_of("your_space.md", tmp_path / "evolve.py")
    calls = ran(monkeypatch, script, child_experiment, *SMALL, "--population", "4")
    call = assert_asks_for_children(*calls, "evolution")
    assert (call["experiment"].children, call["child"].epochs) == (7, 3)
    assert call["settings"]["population"] == 4
    with pytest.raises(SystemExit, match=r"--population must be 3 or more, not 2"):
        ran(monkeypatch, script, child_experiment, "--population", "2")

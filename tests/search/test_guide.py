"""The code of docs/blackbox.md runs as printed, one block after the other."""

import re
from pathlib import Path

import jax
import numpy as np
import pytest

from jaxnas import search

GUIDE = Path(__file__).parents[2] / "docs" / "blackbox.md"
BLOCKS = re.findall(r"```python\n(.*?)```", GUIDE.read_text(), re.DOTALL)


def run(names, part):
    """Runs the block that holds `part`."""
    (code,) = [block for block in BLOCKS if part in block]
    exec(compile(code, "blackbox.md", "exec"), names)


@pytest.fixture(scope="module")
def names():
    """What the first block leaves."""
    names: dict = {}
    run(names, "search.evolution")
    return names


def test_the_guides_search_finds_a_small_network(names):
    trials, space = names["trials"], names["space"]
    assert len(trials.rewards) == 200
    sizes = space.parameters(trials.candidates, 10)
    np.testing.assert_allclose(trials.rewards, 1 - sizes / 2e6, rtol=1e-6)
    assert 0 <= trials.rewards.min() < trials.rewards.max() <= 1
    assert space.parameters(names["best"], 10) == sizes.min() < sizes[0]


def test_the_guides_search_goes_on_where_it_was_stopped(names, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names, calls = dict(names), []
    whole, evaluate = names["trials"], names["evaluate"]

    def stopped(candidates):
        calls.append(len(candidates))
        if len(calls) == 61:
            raise KeyboardInterrupt
        return evaluate(candidates)

    names["evaluate"] = stopped
    with pytest.raises(KeyboardInterrupt):
        run(names, "start=start")
    run(names, "start=start")
    assert len(calls) == 201
    np.testing.assert_array_equal(names["trials"].candidates, whole.candidates)
    np.testing.assert_array_equal(names["trials"].rewards, whole.rewards)
    assert [path.name for path in tmp_path.iterdir()] == ["search.npz"]


def test_the_guides_own_space_is_searched(names):
    names = dict(names)
    run(names, "MixerSpace")
    assert names["mixers"].size == 6**3
    assert names["wide"].rewards.max() == 1


def test_the_guides_networks_are_built(names):
    names = dict(names) | {"np": np}
    run(names, "nn.build")
    sizes = [leaf.size for leaf in jax.tree.leaves(names["variables"]["params"])]
    assert sum(sizes) == names["space"].parameters(names["best"], 10)
    assert names["network"].genotype == names["chain"].decode(np.zeros(4, int))


def test_the_guides_searchers_on_a_table(names, csv_path, monkeypatch, tmp_path, capsys):
    (tmp_path / "nasbench201").symlink_to(csv_path.parent)
    monkeypatch.setenv("JAXNAS_DATA_DIR", str(tmp_path))
    names = dict(names)
    for part in ("def climber", "def answer", "run_searcher(*each"):
        run(names, part)
    assert isinstance(names["climber"](names["space"]), search.Algorithm)
    answers, climbed = names["answers"], names["found"][1].incumbents
    assert answers.shape == (1000,)
    assert climbed.shape == (500, 300)
    valid = names["valid"]
    assert valid[answers].mean() > valid.mean()
    reached = valid[climbed]
    assert (np.diff(reached, axis=1) >= 0).all()
    assert (reached[:, -1] > reached[:, 0]).mean() > 0.9
    out = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"[\d.]+ ± [\d.]+", out[0])
    assert "| climber | 500 | 300 |" in out[-2]


@pytest.mark.slow
def test_the_progressive_guide_finds_the_best():
    """docs/pnas.md: the reward counts an operation, so that the best has it everywhere."""
    text = (GUIDE.parent / "pnas.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    names: dict = {}
    exec(compile(code, "pnas.md", "exec"), names)
    assert [len(level.cells) for level in names["levels"]] == [136, 8]
    assert (names["best"].reshape(2, 4)[:, 2:] == 2).all()

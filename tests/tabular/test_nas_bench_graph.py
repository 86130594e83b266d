"""NAS-Bench-Graph: its space, and its tables as the package nas-bench-graph has them."""

import collections
import importlib.util
import os
import pickle
import re
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxnas.spaces import SpaceError
from jaxnas.tabular import (
    GRAPH_OPERATIONS,
    GraphDataset,
    NASBenchGraphSpace,
    TabularError,
    load_nas_bench_graph,
)
from support.graphs import FAST
from support.space_promises import PROMISES, candidates

SPACE = NASBenchGraphSpace()
SMALL = NASBenchGraphSpace(("gcn", "fc", "skip"), nodes=3)


# Its candidates become no genotypes.
HELD = [each for each in PROMISES if "network" not in each and each != "refuses_what_is_not_in_it"]


@pytest.mark.parametrize("promise", HELD)
def test_a_space_of_graph_networks_keeps_its_promises(promise: str):
    PROMISES[promise](SMALL)


def meaning(space: NASBenchGraphSpace, candidate: np.ndarray) -> collections.Counter:
    """What leads to the output, as text; the input itself does not."""
    values = [""]
    sources, operations = candidate[::2], candidate[1::2]
    for source, operation in zip(sources, operations, strict=True):
        name = space.operations[operation]
        values.append(values[source] if name == "skip" else f"{name}({values[source]})")
    leaves = set(range(1, len(values))) - set(sources.tolist())
    return collections.Counter(values[leaf] for leaf in leaves if values[leaf])


@FAST
@given(data=st.data())
def test_the_canonical_form_computes_the_same(data: st.DataObject):
    candidate = data.draw(candidates(SPACE))
    assert meaning(SPACE, SPACE.canonical(candidate)) == meaning(SPACE, candidate)


@FAST
@given(data=st.data())
def test_a_part_is_the_network_of_its_nodes(data: st.DataObject):
    whole = data.draw(candidates(SPACE))
    part = whole[: data.draw(st.sampled_from(SPACE.levels))]
    assert meaning(SPACE, SPACE.whole(part)) == meaning(SPACE, part)
    np.testing.assert_array_equal(SPACE.whole(whole), whole)


@pytest.mark.parametrize(
    ("operations", "networks"),
    [(GRAPH_OPERATIONS, 26_206), (("gcn", "sage", "arma", "fc", "skip"), 2_021)],
)
def test_there_are_as_many_networks_as_published(operations, networks):
    """And that of nothing but skip."""
    assert NASBenchGraphSpace(operations).unique_size == networks + 1


@pytest.mark.parametrize("wrong", [np.zeros(3, int), np.zeros(8), np.int32(0)])
def test_what_is_no_part_is_refused(wrong):
    for call in (SPACE.canonical, SPACE.whole):
        with pytest.raises(SpaceError, match=r"whole numbers \[\.\.\., 2, 4, 6 or 8\]; got"):
            call(wrong)


TREES = ["0000", "0001", "0011", "0012", "0013", "0111", "0112", "0122", "0123"]


def numbers() -> list[int]:
    """Of the networks on proteins, by the files' rule: a tree's digit and the operations'."""
    space = NASBenchGraphSpace(("gcn", "sage", "arma", "fc", "skip"))
    names = [str(GRAPH_OPERATIONS.index(name)) for name in space.operations]
    found = {}
    for place, candidate in zip(space.canonical_codes.tolist(), space.enumerate(), strict=True):
        tree = "".join(map(str, candidate[::2]))
        if tree in TREES and set(candidate[1::2]) != {len(names) - 1}:
            digits = "".join(names[each] for each in candidate[1::2])
            # A file has each network in one order of its nodes.
            found.setdefault(place, int(f"{TREES.index(tree)}{digits}"))
    return list(found.values())


def told(number: int) -> dict[str, float]:
    return {
        "valid_perf": number / 1e5,
        "perf": number / 2e5,
        "latency": number / 1e6,
        "para": number / 1e6,
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("light")
    content = {number: told(number) for number in numbers()}
    (place / "proteins.bench").write_bytes(pickle.dumps(content))
    return place


def test_every_order_of_the_nodes_finds_its_network(folder: Path):
    table = load_nas_bench_graph("proteins", folder)
    space = table.space
    assert len(table.valid) == space.size
    # Two of the input: node 2 by sage of the input, node 1 by gcn, read by node 3, which 4 reads.
    two_orders = np.array([[0, 0, 0, 1, 1, 2, 3, 3], [0, 1, 0, 0, 2, 2, 3, 3]])
    number = 4 * 10**4 + 1457  # tree 0013: gcn and sage of the input, arma of gcn, fc of arma
    code, other = space.codes(two_orders)
    assert code != other
    for place in (code, other):
        assert table.valid[place] == pytest.approx(100 * number / 1e5)
        assert table.test[place] == pytest.approx(100 * number / 2e5)
        assert table.latency[place] == pytest.approx(number / 1e6)
        assert table.parameters[place] == number
    untrained = space.codes(np.array([[0, 4, source, 4, 0, 4, 3, 4] for source in (0, 1)]))
    assert np.isnan(table.valid[untrained]).all()
    assert np.isnan(table.valid).sum() == 24


class Hostile:
    def __reduce__(self):
        return os.system, ("touch hacked",)


def without(number: int) -> dict[int, dict[str, float]]:
    return {each: told(each) for each in numbers() if each != number}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({}, r"cora\.bench is no file of NAS-Bench-Graph "),
        ([], r"cora\.bench is no file of NAS-Bench-Graph "),
        ({10: {"perf": 1.0}}, r"is no file of NAS-Bench-Graph \(KeyError\('valid_perf'\)\)"),
        ({99999: told(1)}, r"is no file of NAS-Bench-Graph \(IndexError"),
        ({-1: told(1)}, r"is no file of NAS-Bench-Graph \(ValueError"),
        ({10: told(10)}, r"it does not tell each of 26,206 networks once"),
        ({10: Hostile()}, r"asks for posix\.system, which"),
    ],
)
def test_a_damaged_file_is_told_and_nothing_in_it_is_run(tmp_path, monkeypatch, content, message):
    monkeypatch.chdir(tmp_path)
    Path("cora.bench").write_bytes(pickle.dumps(content))
    with pytest.raises(TabularError, match=message):
        load_nas_bench_graph("cora", tmp_path)
    assert not Path("hacked").exists()


def test_a_network_that_is_missing_or_without_a_number_is_told(tmp_path: Path):
    broken = {each: told(each) for each in numbers()}
    broken[1457]["perf"] = float("nan")
    for content in (without(1457), broken):
        (tmp_path / "proteins.bench").write_bytes(pickle.dumps(content))
        with pytest.raises(TabularError, match="does not tell each of 2,021 networks once"):
            load_nas_bench_graph("proteins", tmp_path)


def test_what_is_not_there_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(TabularError, match=r"dataset.*cora.*'imagenet'"):
        load_nas_bench_graph("imagenet", tmp_path)
    with pytest.raises(TabularError, match=r"arxiv\.bench cannot be read"):
        load_nas_bench_graph("arxiv", tmp_path)
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(TabularError, match="not installed: pip install nas-bench-graph, or give"):
        load_nas_bench_graph()


needs_package = pytest.mark.skipif(
    importlib.util.find_spec("nas_bench_graph") is None, reason="needs nas-bench-graph"
)


@needs_package
def test_the_guides_code_prints_what_it_says(capsys: pytest.CaptureFixture[str]):
    guide = (Path(__file__).parents[2] / "docs" / "tabular.md").read_text()
    (code,) = re.findall(r"```python\n(from jaxnas import tabular\n.*?)```", guide, re.DOTALL)
    exec(compile(code, "tabular.md", "exec"), {})
    assert f"It prints {capsys.readouterr().out.strip()}: percent, percent, seconds, " in guide


@needs_package
@pytest.mark.slow
@pytest.mark.parametrize("dataset", get_args(GraphDataset))
def test_the_package_has_every_network(dataset):
    table = load_nas_bench_graph(dataset)
    untrained = np.isnan(table.valid)
    assert untrained.sum() == 24
    best = table.test[np.nanargmax(table.valid)]
    assert 50 < best < 100
    assert (table.parameters[~untrained] > 0).all()

"""The table of latencies: written once, read ever after, and refused elsewhere."""

import json

import numpy as np
import pytest

from jaxnas.nn.costs import latency
from jaxnas.spaces import AdaptationSpace
from jaxnas.storage import RunError
from jaxnas.storage.latency_table import kept_latency
from support import tiny

SPACE = AdaptationSpace(tiny.BASE, "full")


@pytest.fixture
def timed(monkeypatch):
    """A clock that never says the same twice, and what it was asked to time."""
    calls = []

    def fake(operations, rounds):
        calls.append(list(operations))
        return {name: len(calls) + index / 7 for index, name in enumerate(operations)}

    monkeypatch.setattr(latency, "measure", fake)
    return calls


def kept(path, batch_size=2, **options):
    return kept_latency(path, SPACE, (8, 8, 1), 4, batch_size=batch_size, **options)


def test_what_was_timed_is_kept_to_the_last_bit(tmp_path, timed):
    path = tmp_path / "latency.json"
    first = kept(path)
    text = path.read_text()
    again = kept(path)
    assert timed[1] == []
    assert path.read_text() == text
    np.testing.assert_array_equal(first.candidates, again.candidates)
    assert (first.fixed, first.parts) == (again.fixed, again.parts)
    table = json.loads(text)
    assert table["seconds"] == first.parts
    assert table["batch_size"] == 2
    assert table.keys() == {"platform", "device_kind", "jax", "batch_size", "seconds"}
    assert [each.name for each in tmp_path.iterdir()] == ["latency.json"]


def test_what_is_missing_is_added(tmp_path, timed):
    path = tmp_path / "latency.json"
    before = kept(path).parts
    table = json.loads(path.read_text())
    lost = sorted(table["seconds"])[0]
    del table["seconds"][lost]
    path.write_text(json.dumps(table))
    after = kept(path).parts
    assert timed[1] == [lost]
    assert json.loads(path.read_text())["seconds"] == after
    assert {name for name in before if before[name] != after[name]} == {lost}


@pytest.mark.parametrize(
    ("name", "other"), [("platform", "abacus"), ("device_kind", "beads"), ("jax", "0.0.1")]
)
def test_a_table_of_elsewhere_is_refused(tmp_path, timed, name, other):
    path = tmp_path / "latency.json"
    kept(path)
    table = json.loads(path.read_text())
    path.write_text(json.dumps(table | {name: other}))
    with pytest.raises(RunError, match=f"latency.json was measured with {name} '{other}' instead"):
        kept(path)
    kept(path, remeasure=True)
    assert len(timed[-1]) == len(table["seconds"]), "all of it is timed anew"
    assert json.loads(path.read_text())[name] == table[name]


def test_a_table_of_another_batch_size_is_refused(tmp_path, timed):
    kept(tmp_path / "latency.json")
    with pytest.raises(RunError, match="batch_size 2 instead of 3"):
        kept(tmp_path / "latency.json", batch_size=3)


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"seconds": {"op": "slow"}}'])
def test_a_damaged_table_is_refused(tmp_path, text):
    path = tmp_path / "latency.json"
    path.write_text(text)
    with pytest.raises(RunError, match=r"latency.json is"):
        kept(path)

"""What is timed, how often, and what each candidate is then said to take."""

import time

import jax.numpy as jnp
import numpy as np
import pytest

from jaxnas.nn import candidate_costs
from jaxnas.nn.costs import latency
from jaxnas.nn.costs.latency import candidate_latency, measure
from jaxnas.spaces import AdaptationSpace, zoo
from jaxnas.spaces.adaptation import ID, NONE, SAME
from jaxnas.spaces.genotype import NULL, SKIP
from support.networks import CLASSES, SHAPE, SMALL


@pytest.fixture
def counted(monkeypatch):
    """No clock: the n-th part that is to be timed takes n seconds. Returns the calls' names."""
    calls = []

    def fake(operations, rounds):
        calls.append(list(operations))
        return {name: float(index) for index, name in enumerate(operations, start=1)}

    monkeypatch.setattr(latency, "measure", fake)
    return calls


def latency_of(space, **options):
    return candidate_latency(space, SHAPE, CLASSES, batch_size=2, **options)


def test_a_slower_operation_takes_longer():
    calls = []

    def sleeping(name, seconds):
        def operation():
            calls.append(name)
            time.sleep(seconds)
            return jnp.zeros(())

        return operation

    seconds = {"slow": 0.02, "fast": 0.002}
    found = measure({name: sleeping(name, each) for name, each in seconds.items()}, 3)
    assert found.keys() == seconds.keys()
    for name, least in seconds.items():
        assert least <= found[name]
    assert found["fast"] < found["slow"]
    # Once untimed, then in turns.
    assert calls == ["slow", "fast"] * 4


def test_one_hiccup_does_not_count():
    calls = []

    def operation():
        calls.append(None)
        time.sleep(0.2 if len(calls) == 3 else 0.0)
        return ()

    assert measure({"op": operation}, 3)["op"] < 0.1


def test_no_round_is_refused():
    with pytest.raises(ValueError, match="rounds must be at least 1, not 0"):
        measure({}, 0)


@pytest.mark.quick_cases(1)
@pytest.mark.parametrize("name", ["tangle", "states", "micro", "primitives"])
def test_what_takes_time_is_what_computes(counted, name):
    space = AdaptationSpace(SMALL[name], "full")
    found = latency_of(space)
    assert found.candidates.shape == space.shape
    assert not found.candidates[..., NONE].any()
    assert not found.candidates[~space.carries].any()
    # Convolutions and products take time; besides them only pooling and padding do.
    macs = candidate_costs(space, SHAPE, CLASSES, "macs").candidates
    assert (found.candidates[macs > 0] > 0).all()
    for index, cell in enumerate(space.base.placed_cells()):
        for position, edge in enumerate(cell.edges):
            identity, same = (
                found.candidates[index, position, ID],
                found.candidates[index, position, SAME],
            )
            assert (identity > 0) == (macs[index, position, ID] > 0)
            if edge.op == SKIP:
                assert identity == same
            elif edge.op != NULL:
                assert same > 0


def test_equal_parts_are_timed_once(counted):
    space = AdaptationSpace(zoo.named("resnet20"), "full")
    found = candidate_latency(space, (32, 32, 3), 10, batch_size=2)
    (names,) = counted
    # A 3x3 convolution at each of three stages, two of stride 2, two pairs of shortcut and
    # identity there, stem and classifier.
    assert len(names) == len(set(names)) == 3 + 2 + 2 * 2 + 2
    assert found.parts.keys() == set(names)
    times = found.candidates[..., SAME]
    assert len(set(times[:3][times[:3] > 0].tolist())) == 1
    assert found.fixed == found.parts[names[0]] + found.parts[names[-1]]


@pytest.mark.parametrize("name", ["concat", "states"])
def test_every_part_of_the_network_counts_once(counted, name):
    space = AdaptationSpace(SMALL[name], "full")
    latency_of(space)
    ones = dict.fromkeys(counted[0], 1.0)
    found = latency_of(space, known=ones)
    assert counted[1] == [], "all was known"
    placed = latency._parts(*latency.supernet_of(space, CLASSES), SHAPE)
    costly = [part for part in placed.values() if not latency._is_free(*part)]
    identities = sum(
        found.candidates[index, position, ID]
        for index, cell in enumerate(space.base.placed_cells())
        for position, edge in enumerate(cell.edges)
        if edge.op == SKIP
    )
    assert found.candidates.sum() - identities + found.fixed == len(costly)


def test_what_is_known_is_not_timed_again(counted):
    first, second = (AdaptationSpace(SMALL[name], "full") for name in ("resnets", "mobilenet"))
    known = latency_of(first).parts
    again = latency_of(first, known=known)
    assert counted[1] == []
    both = latency_of(second, known=known)
    assert set(counted[2]) == both.parts.keys() - known.keys()
    np.testing.assert_array_equal(again.candidates, latency_of(first, known=known).candidates)


def test_the_type_is_part_of_what_is_timed(counted):
    space = AdaptationSpace(SMALL["resnets"], "full")
    single = latency_of(space).parts
    half = latency_of(space, dtype=jnp.bfloat16).parts
    assert {name for name in single if "float32" in name}.isdisjoint(half)


def test_parts_run_on_the_device():
    """The clock itself, over the parts of a network whose inputs are matched and normed."""
    space = AdaptationSpace(SMALL["primitives"], "full")
    found = latency_of(space, rounds=1)
    assert min(found.parts.values()) > 0
    assert found.fixed > 0

"""A target on the cost: what it counts, how near it is hit, and what a run makes of it."""

import itertools

import numpy as np
import pytest

from jaxnas import nn, search
from jaxnas.jobs.job import Watcher
from jaxnas.nn.costs import latency
from jaxnas.runs.adaptation_run import method_run
from jaxnas.runs.config import ConfigError
from jaxnas.runs.edge_costs import TOLERANCE, edge_costs
from jaxnas.spaces import AdaptationSpace, zoo
from support import tiny

SHAPE = (32, 32, 3)


def counted(kind, space, shape=SHAPE, classes=10, table=None):
    return edge_costs(kind, space, shape, classes, batch_size=2, dtype="float32", table=table)


@pytest.mark.quick_cases(1)
@pytest.mark.parametrize("name", ["resnet20", "mobilenet_v2", "darts_v2"])
def test_the_target_is_hit_within_three_points(name):
    """From the first architecture parameters, and from random ones near them, of every block."""
    space = AdaptationSpace(zoo.named(name), "full")
    start = np.asarray(search.initial_theta(space), np.float64)
    cost = counted("macs", space)
    assert cost.share(space.base_choices()) == 1
    for seed, noise in enumerate((0.0, 0.1, 0.1, 0.3, 0.3)):
        theta = start + noise * np.random.default_rng(seed).normal(size=space.shape)
        found = cost.derive(space, 0.7, theta)
        assert 0.67 <= cost.share(found.choices) <= 0.7
        assert space.connected(found.choices).all()


@pytest.mark.parametrize("granularity", ["cell", "full"])
def test_parameters_are_those_of_the_network(granularity):
    space = AdaptationSpace(zoo.named("resnet20"), granularity)
    cost = counted("params", space)
    theta = np.random.default_rng(0).normal(size=space.shape)
    for target in (0.8, 0.6, 0.4):
        found = cost.derive(space, target, theta)
        sizes = [nn.cost(nn.build(each, 10), SHAPE).params for each in (found.genotype, space.base)]
        assert cost.share(found.choices) == sizes[0] / sizes[1] <= target


def test_no_other_network_in_reach_of_the_target_is_preferred():
    """Of all networks of the tiny base between the target and three points below it."""
    space = AdaptationSpace(tiny.BASE, "full")
    cost = counted("params", space, (8, 8, 1), 4)
    theta = np.random.default_rng(1).normal(size=space.shape)
    theta[..., 2] += 2
    best = -np.inf
    for chosen in itertools.product(range(3), repeat=5):
        choices = np.array([[*chosen[:3]], [*chosen[3:], 0]])
        again = space.derive(np.eye(3)[choices])
        share = cost.share(choices)
        if not again.repaired and not again.pruned and 0.67 <= share <= 0.7:
            score = sum(theta[0, i, each] for i, each in enumerate(chosen[:3]))
            best = max(best, score + sum(theta[1, i, each] for i, each in enumerate(chosen[3:])))
    found = cost.derive(space, 0.7, theta)
    score = np.take_along_axis(theta, found.choices[..., None], -1)[space.valid].sum()
    # On the null edge, none and same are one.
    score += max(0.0, theta[1, 1, 2] - theta[1, 1, 0]) * (found.choices[1, 1] == 0)
    assert score == pytest.approx(best)


@pytest.fixture
def clock(monkeypatch):
    """A clock that never says the same twice, and what it was asked to time."""
    calls = []

    def fake(operations, rounds):
        calls.append(list(operations))
        return {name: 0.001 * (len(calls) + 1 / (i + 2)) for i, name in enumerate(operations)}

    monkeypatch.setattr(latency, "measure", fake)
    return calls


def test_latency_is_counted_in_whole_nanoseconds(clock, tmp_path):
    table = tmp_path / "latency.json"
    by_granularity = {
        granularity: counted(
            "latency", AdaptationSpace(tiny.BASE, granularity), (8, 8, 1), 4, table
        )
        for granularity in ("cell", "full")
    }
    assert clock[1] == [], "both granularities have the same parts"
    for granularity, cost in by_granularity.items():
        space = AdaptationSpace(tiny.BASE, granularity)
        assert cost.candidates.dtype == np.int64
        assert cost.share(space.base_choices()) == 1
        assert cost.share(cost.derive(space, 0.8, np.eye(3)[space.base_choices()]).choices) <= 0.8
    assert by_granularity["cell"].base == by_granularity["full"].base


TARGET = {"method": "full", "target_cost": 0.7, "cost": "params", "estimator": "raw"}


@pytest.mark.slow
def test_each_seed_derives_under_the_target():
    for outcome in tiny.run(seeds=(0, 1), **TARGET).run():
        size, base = (
            nn.cost(nn.build(each, 4), (8, 8, 1)).params
            for each in (outcome.result.genotype, tiny.BASE)
        )
        assert outcome.result.params == size
        assert 0.7 - TOLERANCE <= size / base <= 0.7
        assert (
            f"full, seed {outcome.result.seed}: the network has {100 * size / base:.1f}% of the "
            "base's parameters; the target is 70%." in outcome.notes
        )


@pytest.mark.slow
def test_parameters_that_ask_for_less_than_the_target_have_their_way():
    (outcome,) = tiny.run(adapt_epochs=4, cost_weight=100.0, target_cost=0.9).run()
    assert outcome.theta is not None
    own = AdaptationSpace(tiny.BASE, "cell").derive(outcome.theta[-1])
    assert outcome.result.genotype == own.genotype
    assert outcome.result.macs < 0.87 * nn.cost(nn.build(tiny.BASE, 4), (8, 8, 1)).macs
    assert any("themselves ask for no more" in note for note in outcome.notes)


@pytest.mark.slow  # each phase of a run is compiled
def test_a_resumed_run_goes_by_the_latencies_that_were_measured(tmp_path, clock):
    table = tmp_path / "latency.json"
    changes = {"target_cost": 0.8, "cost": "latency", "cost_weight": 0.1, "estimator": "raw"}

    def run():
        parts = tiny.settings(**changes)
        return method_run(
            "full",
            tiny.BASE,
            tiny.dataset(),
            parts["training"],
            (0,),
            latency_table=table,
            adaptation=parts["adaptation"],
        )

    with tiny.open_run(tmp_path / "whole") as directory:
        (whole,) = run().run(directory)
    assert len(clock) == 1

    def stop(line):
        if "epoch 3/" in line:
            raise KeyboardInterrupt

    with tiny.open_run(tmp_path / "killed") as directory:
        with pytest.raises(KeyboardInterrupt):
            run().run(directory, Watcher(tell=stop))
    with tiny.open_run(tmp_path / "killed") as directory:
        (resumed,) = run().run(directory)
    assert [len(each) for each in clock[1:]] == [0, 0]
    assert resumed.result.digest == whole.result.digest
    assert resumed.notes == whole.notes
    assert tiny.same_trees(resumed.variables, whole.variables)


def test_a_target_needs_epochs_in_which_the_network_adapts():
    with pytest.raises(ConfigError, match=r"--target-cost 0\.8 needs epochs in which full adapts"):
        tiny.run("full", target_cost=0.8, adapt_epochs=0)


def test_a_target_out_of_reach_is_refused_before_anything_trains():
    run = tiny.run("full", target_cost=0.05)
    with pytest.raises(
        ConfigError,
        match=r"^--target-cost 0.05 is out of reach: .* 'full' has \d+\.\d% of its multiply-adds$",
    ) as caught:
        run.run()
    smallest = float(str(caught.value).split("has ")[1].split("%")[0])
    tiny.run("full", target_cost=(smallest + 0.1) / 100).refuse_unreachable()
    with pytest.raises(ConfigError, match="out of reach"):
        tiny.run("full", target_cost=(smallest - 0.1) / 100).refuse_unreachable()


@pytest.mark.parametrize("target", [0.0, -0.1, float("inf"), float("nan")])
def test_a_target_that_is_no_share_is_refused(target):
    with pytest.raises(ConfigError, match="--target-cost must be"):
        tiny.settings(target_cost=target)

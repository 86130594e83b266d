"""The command line of ProxylessNAS: its flags, and the space that they make."""

import dataclasses

import jax
import jax.numpy as jnp
import pytest

from jaxnas import nn
from jaxnas.commands.methods import proxylessnas_method
from jaxnas.commands.methods.proxylessnas_method import (
    ProxylessFlags,
    candidate_costs,
    make_proxylessnas,
)
from jaxnas.nn.costs.latency import Latency
from support import scripts, tiny

NAME = "proxylessnas_cifar"


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--stages", "0"], "--stages and --depth must be at least 1"),
        (["--kernels", "4"], "there is no such space: kernels must be different numbers"),
        (["--width", "-1"], "there is no such space: width must be positive"),
        (
            ["--dataset", "digits", "--proxyless.objective", "mul_log", "--stages", "1"],
            "needs a positive cost_reference, not None; the networks of this space cost",
        ),
    ],
)
def test_what_is_wrong_is_told_in_one_line(monkeypatch, tmp_path, flags, message):
    scripts.assert_refuses(monkeypatch, NAME, tmp_path, flags, message)


def test_the_space_is_the_papers_cut_to_size():
    whole = ProxylessFlags()
    assert whole.space(224).shape == (21, 7)
    assert not whole.space(224).small
    assert whole.space(32).small
    space = ProxylessFlags(width=0.25, stages=2, depth=1, kernels=(3, 5), head=16).space(32)
    assert space.stages == ((8, 1, 2), (16, 1, 2))
    assert (space.head, space.kernels) == (16, (3, 5))


def test_random_networks_differ_and_repeat():
    flags = ProxylessFlags(stages=2)
    method = make_proxylessnas(flags, None, tiny.dataset(), {"train": 5, "arch": 5})
    drawn = [method.random(jax.random.key(seed)) for seed in range(5)]
    assert len(set(drawn)) == 5
    assert method.random(jax.random.key(0)) == drawn[0]


def test_latencies_count_in_milliseconds_and_are_kept(monkeypatch, tmp_path):
    flags = ProxylessFlags(
        cost="latency", stages=1, depth=1, latency_table=tmp_path / "new" / "latency.json"
    )
    space = flags.space(32)
    seconds = jnp.full(space.shape, 0.002)
    asked = []

    def kept(path, *arguments, **options):
        asked.append(path)
        return Latency(seconds, 0.5, {})

    monkeypatch.setattr(proxylessnas_method, "kept_latency", kept)
    costs = candidate_costs(flags, space, tiny.dataset())
    assert asked == [flags.latency_table]
    assert asked[0].parent.exists()
    assert costs.fixed == 500
    assert costs.candidates.max() == pytest.approx(2)
    counted = candidate_costs(dataclasses.replace(flags, cost="params"), space, tiny.dataset())
    network = nn.build(space.decode([0]), tiny.dataset().num_classes)
    assert counted.of(jnp.zeros(1, int)) == nn.cost(network, tiny.dataset().input_shape).params

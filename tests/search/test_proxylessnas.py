"""ProxylessNAS: its estimators by the formulas, what moves when, and the chains that it finds."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import operator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnas import nn, training
from jaxnas.data import Augmentation
from jaxnas.nn import kernels
from jaxnas.nn.supernets.chain_supernet import candidate_name, chain_paths, where_ran
from jaxnas.search import (
    ProxylessSettings,
    ProxylessState,
    SharedWeightSearch,
    Supernet,
    proxylessnas,
)
from jaxnas.search.shared.proxylessnas import JOINT, WARMUP, reinforce_loss
from jaxnas.spaces import ChainSpace
from jaxnas.spaces.chain import ZERO
from jaxnas.tasks import Task, supervised

KEY = jax.random.key(0)

# The toy: an image is a signal x for each block, and a noise e for each candidate, all uniform in
# [-1, 1]. A candidate gives w x + σ e with its own weight w, Zero gives 0. The target is x, in the
# second block 0. With the best w a candidate's squared error is σ²/3; Zero's is 1/3, or 0.
SPACE = ChainSpace(stem=2, first=2, stages=((2, 2, 1), (3, 1, 1)), head=2, kernels=(3, 5))
BLOCKS, CANDIDATES = SPACE.shape
TARGET = np.array([1.0, 0.0, 1.0], np.float32)
# σ and the cost of each kind of candidate.
KINDS = {"zero": (0.0, 0), "best": (0.2, 100), "good": (0.4, 10), "bad": (0.8, 50)}
ROWS = (
    ("bad", "best", "good", "bad", "zero"),
    ("bad", "good", "bad", "bad", "zero"),
    ("good", "bad", "bad", "best", "zero"),  # the last is padding
)
SIGMA = np.array([[KINDS[kind][0] for kind in row] for row in ROWS], np.float32)
PRICE = np.array([[KINDS[kind][1] for kind in row] for row in ROWS])
COSTS = nn.CandidateCosts(PRICE.astype(np.float64), 20.0, "crumbs")
FEATURES = BLOCKS * (1 + CANDIDATES)


def apply(variables: Any, inputs: jax.Array, paths: Any, train: bool, noise: Any = None) -> Any:
    """Errors [n, blocks] of the toy's chain."""
    if isinstance(paths, nn.Pair):
        hot = jax.nn.one_hot(paths.candidates, CANDIDATES)
        gates = (paths.gates[..., None] * hot).sum(1)
    elif jnp.issubdtype(paths.dtype, jnp.integer):
        gates = jax.nn.one_hot(paths, CANDIDATES)
    else:
        gates = paths
    signal = inputs[:, :BLOCKS]
    error = inputs[:, BLOCKS:].reshape(-1, BLOCKS, CANDIDATES)
    weights = [
        [
            variables["params"][candidate_name(index, name)]["w"] if name != ZERO else 0.0
            for name in (*names, *[ZERO] * (CANDIDATES - len(names)))
        ]
        for index, names in enumerate(SPACE.candidates)
    ]
    out = signal[..., None] * jnp.asarray(weights) + error * SIGMA
    return (gates * out).sum(-1) - signal * TARGET, variables["batch_stats"]


def read(images: jax.Array) -> jax.Array:
    return images[:, 0, 0] / 127.5 - 1


TOY = Task(
    prepare=lambda key, images, labels: (read(images), labels),
    judge=lambda key, images, labels: (read(images), labels),
    inputs=read,
    loss=lambda outputs, targets: (outputs**2).sum(-1).mean(),
    score=lambda outputs, labels: {
        "loss": (outputs**2).sum(-1),
        "accuracy": 1 - (outputs**2).mean(-1),
    },
    outputs=1,
)


def variables(key: jax.Array) -> Any:
    params = {
        candidate_name(index, name): {"w": jnp.full((), 0.1)}
        for index, names in enumerate(SPACE.candidates)
        for name in names
        if name != ZERO
    }
    return {"params": params, "batch_stats": {}}


def toy(epochs: int = 1, steps_per_epoch: int = 400, **changes: Any) -> SharedWeightSearch:
    settings = {"warmup_share": 0.0, "arch_every": 1, "arch_learning_rate": 0.03, **changes}
    return proxylessnas(
        Supernet(apply, variables, chain_paths, SPACE.decode),
        SPACE,
        TOY,
        ProxylessSettings(**settings),
        costs=COSTS,
        where_ran=functools.partial(where_ran, SPACE),
        epochs=epochs,
        steps_per_epoch=steps_per_epoch,
    )


def batch(key: jax.Array) -> Any:
    images = jax.random.randint(key, (2, 32, 1, 1, FEATURES), 0, 256)
    labels = jnp.zeros(32, jnp.int32)
    return {"train": (images[0], labels), "arch": (images[1], labels)}


def after(search: SharedWeightSearch, steps: int, phase: str = JOINT) -> list[ProxylessState]:
    """The states before and after each of so many steps."""

    def step(state: Any, key: jax.Array) -> Any:
        new, metrics = search.steps[phase](state, batch(key), KEY)
        return new, (new, metrics)

    start = search.init(KEY)
    keys = jax.random.split(jax.random.key(1), steps)
    _, (states, metrics) = jax.jit(lambda start: jax.lax.scan(step, start, keys))(start)
    assert np.isfinite(metrics["loss"]).all()
    return [start, *(jax.tree.map(operator.itemgetter(i), states) for i in range(steps))]


def errors() -> np.ndarray:
    """[blocks, candidates], the squared error with the best weights."""
    return np.where(SPACE.nothing, TARGET[:, None] ** 2, SIGMA**2) / 3


def best(objective: Any) -> tuple[int, ...]:
    """The network with the least objective(loss, cost), of all there are."""

    def value(choices: tuple[int, ...]) -> float:
        loss = sum(errors()[index, choice] for index, choice in enumerate(choices))
        return objective(loss, COSTS.of(np.array(choices)))

    return min(itertools.product(*(range(len(each)) for each in SPACE.candidates)), key=value)


OBJECTIVES = {
    "none": ({}, lambda loss, cost: loss),
    "add_linear": (
        {"cost_reference": 100.0, "cost_weight": 0.3},
        lambda loss, cost: loss + 0.3 * (cost / 100 - 1),
    ),
    "mul_log": (
        {"cost_reference": 100.0, "cost_exponent": 6.0},
        lambda loss, cost: loss * (np.log(cost) / np.log(100)) ** 6,
    ),
    "reward": (
        {"cost_reference": 100.0, "cost_exponent": 0.2},
        lambda loss, cost: -(1 - loss / 3) * (100 / cost) ** 0.2,
    ),
}
EXPENSIVE, CHEAP = (1, 4, 3), (2, 4, 0)


@pytest.mark.quick_cases(1)
@pytest.mark.parametrize(
    ("estimator", "objective", "answer"),
    [
        ("two_path", "none", EXPENSIVE),
        pytest.param("two_path", "add_linear", CHEAP, marks=pytest.mark.slow),
        pytest.param("full", "mul_log", CHEAP, marks=pytest.mark.slow),
        pytest.param("reinforce", "none", EXPENSIVE, marks=pytest.mark.slow),
        ("reinforce", "reward", CHEAP),
    ],
)
def test_finds_the_chain_that_is_best(estimator: Any, objective: Any, answer: tuple[int, ...]):
    changes, formula = OBJECTIVES[objective]
    assert best(formula) == answer
    search = toy(steps_per_epoch=400, estimator=estimator, objective=objective, **changes)
    states = after(search, 400)
    found = search.found(states[-1], {}, KEY)
    assert found.genotype == SPACE.decode(np.array(answer))
    assert "1 of the 2 blocks that may be left out are" in found.notes[0]
    assert f"costs {COSTS.of(np.array(answer)):.0f} crumbs; " in found.notes[1]
    assert not any("hardly moved" in note for note in found.notes)
    first, last = search.observe(states[0]), search.observe(states[-1])
    assert last["found_cost"] == COSTS.of(np.array(answer))
    assert last["zero_blocks"] == 1
    assert last["entropy"] < first["entropy"]
    np.testing.assert_allclose(first["entropy"], np.log([5, 5, 4]).mean(), atol=1e-4)
    uniform = 20 + sum(row[:count].mean() for row, count in zip(PRICE, (5, 5, 4), strict=True))
    np.testing.assert_allclose(first["expected_cost"], uniform, rtol=0.01)


def test_reinforce_weighs_the_gradient_of_log_p():
    rng = np.random.default_rng(0)
    alpha = jnp.asarray(rng.normal(size=SPACE.shape), jnp.float32)
    drawn = np.stack([rng.integers(SPACE.options) for _ in range(4)])
    advantages = rng.normal(size=4)

    def loss(alpha: jax.Array) -> jax.Array:
        masked = jnp.where(SPACE.possible, alpha, -jnp.inf)
        return reinforce_loss(masked, jnp.asarray(drawn), jnp.asarray(advantages))

    p = np.where(SPACE.possible, np.exp(alpha), 0)
    p /= p.sum(-1, keepdims=True)
    expected = -np.mean(
        [
            advantage * (np.eye(CANDIDATES)[row] - p)
            for row, advantage in zip(drawn, advantages, strict=True)
        ],
        axis=0,
    )
    np.testing.assert_allclose(jax.grad(loss)(alpha), expected, atol=1e-6)


@pytest.mark.slow
def test_the_baseline_follows_the_mean_reward():
    """Of networks that all earn the same."""
    search = toy(estimator="reinforce")
    start = search.init(KEY)
    images = jnp.full((4, 1, 1, FEATURES), 127.5)  # neither signal nor noise: no error
    parts = dict.fromkeys(("train", "arch"), (images, jnp.zeros(4, jnp.int32)))
    state, _ = jax.jit(search.steps[JOINT])(start, parts, KEY)
    np.testing.assert_allclose(state.baseline, 0.99, rtol=1e-6)
    state, _ = jax.jit(search.steps[JOINT])(state, parts, KEY)
    np.testing.assert_allclose(state.baseline, 0.99 + 0.99 * 0.01, rtol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("estimator", ["two_path", "full", "reinforce"])
def test_alpha_moves_in_every_so_manieth_joint_step(estimator: Any):
    search = toy(estimator=estimator, arch_every=3)
    states = after(search, 9)
    moved = [bool((a.alpha != b.alpha).any()) for a, b in itertools.pairwise(states)]
    assert moved == [False, False, True] * 3
    assert not states[-1].alpha[~SPACE.possible].any(), "padding stays"
    if estimator == "two_path":
        for before, now in zip(states[2::3], states[3::3], strict=True):
            changed = (before.alpha != now.alpha).sum(-1)
            assert (changed <= 2).all()
            for old, new in zip(before.alpha, now.alpha, strict=True):
                # The sum of the pair's exponentials is kept, and so the sum of all.
                np.testing.assert_allclose(np.exp(new).sum(), np.exp(old).sum(), rtol=1e-5)
    alone = after(search, 4, WARMUP)
    assert all((state.alpha == alone[0].alpha).all() for state in alone)
    notes = search.found(states[-1], {}, KEY).notes
    assert "hardly moved in their 3 steps" in notes[-1]
    assert "α has not moved" in search.found(states[2], {}, KEY).notes[-1]


def test_what_does_not_run_is_not_moved():
    """Neither by weight decay nor by momentum, and momentum itself waits."""
    states = after(toy(weight_decay=0.1), 12, WARMUP)
    seen = set()
    for before, now in itertools.pairwise(states):
        ran = {
            name
            for name, leaf in now.variables["params"].items()
            if leaf["w"] != before.variables["params"][name]["w"]
        }
        for index, names in enumerate(SPACE.candidates):
            count = sum(candidate_name(index, name) in ran for name in names)
            assert count == 1 or (count == 0 and ZERO in names)
        for path, leaf in jax.tree_util.tree_leaves_with_path(now.opt_state):
            names = [part.key for part in path if isinstance(part, jax.tree_util.DictKey)]
            if names and names[0] not in ran:
                earlier = dict(jax.tree_util.tree_leaves_with_path(before.opt_state))[path]
                assert leaf == earlier
        seen |= ran
    assert len(seen) > 6, "different paths are drawn"


def test_the_plan_warms_up_and_leaves_alpha_alone_for_an_epoch_more():
    search = toy(epochs=8, warmup_share=0.25)
    assert [search.plan(epoch) for epoch in range(4)] == [(WARMUP,)] * 3 + [(JOINT,)]
    assert search.parts == {WARMUP: ("train",), JOINT: ("train", "arch")}
    assert toy(warmup_share=0.0).plan(0) == (JOINT,)
    start = search.init(KEY)
    assert "α has not moved" in search.found(start, {}, KEY).notes[-1]
    assert 0 < np.abs(start.alpha).max() < 0.01


def test_a_step_depends_on_the_number_of_the_step_and_the_key_alone():
    search = toy()
    step = jax.jit(search.steps[JOINT])
    state = search.init(KEY)
    one, _ = step(state, batch(KEY), KEY)
    again, _ = step(state, batch(KEY), KEY)
    jax.tree.map(np.testing.assert_array_equal, one, again)
    later, _ = step(state._replace(step=state.step + 1), batch(KEY), KEY)
    other, _ = step(state, batch(KEY), jax.random.key(7))
    for different in (later, other):
        assert (different.alpha != one.alpha).any()


# One block, so that it compiles fast.
REAL = ChainSpace(2, 2, ((2, 1, 1),), 2, kernels=(3,), expansions=(1, 2), small=True)


@pytest.mark.slow
@pytest.mark.parametrize(
    "estimator", ["two_path", pytest.param("reinforce", marks=pytest.mark.slow)]
)
def test_a_step_of_a_real_chain(estimator: Any):
    network = nn.ChainSupernet(REAL, 2)
    shape = (8, 8, 3)
    half = np.full(3, 0.5, np.float32)
    search = proxylessnas(
        Supernet(
            training.flax_apply(network),
            lambda key: nn.init(network, key, shape, jnp.zeros(1, jnp.int32)),
            chain_paths,
            REAL.decode,
        ),
        REAL,
        supervised(2, half, half, Augmentation(1)),
        ProxylessSettings(
            estimator=estimator,
            objective="reward" if estimator == "reinforce" else "mul_log",
            cost_reference=1e4,
            warmup_share=0.0,
            arch_every=1,
            samples=2,
        ),
        costs=nn.candidate_costs(REAL, shape, 2, "macs"),
        where_ran=functools.partial(where_ran, REAL),
        epochs=1,
        steps_per_epoch=2,
    )
    rng = np.random.default_rng(0)
    images = jnp.asarray(rng.integers(0, 256, (4, *shape), dtype=np.uint8))
    both = dict.fromkeys(("train", "arch"), (images, jnp.asarray([0, 1, 0, 1], jnp.int32)))
    state = search.init(KEY)
    with kernels.portable():
        after, metrics = jax.jit(search.steps[JOINT])(state, both, KEY)
    assert np.isfinite(metrics["loss"])
    assert (after.alpha != state.alpha).any()
    changed = {
        name: any(jax.tree.leaves(jax.tree.map(lambda x, y: bool((x != y).any()), leaf, old)))
        for (name, leaf), old in zip(
            after.variables["batch_stats"].items(),
            state.variables["batch_stats"].values(),
            strict=True,
        )
    }
    assert sum(changed[f"block_1_{name}"] for name in ("k3e1", "k3e2")) <= 1, (
        "only the weights' path has new statistics"
    )
    assert changed["block_0"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"estimator": "gumbel"}, "estimator must be 'two_path', 'full' or 'reinforce'"),
        ({"objective": "reward"}, "objective must be one of none, mul_log, add_linear with"),
        (
            {"estimator": "reinforce", "objective": "mul_log"},
            "objective must be one of none, reward with the estimator reinforce, not 'mul_log'",
        ),
        (
            {"objective": "mul_log"},
            "needs a positive cost_reference, not None.* cost 30 to 270 crumbs",
        ),
        (
            {"objective": "mul_log", "cost_reference": 0.5},
            "must exceed 1; they are 30 to 270 crumbs and the reference 0.5",
        ),
        ({"arch_every": 0}, "arch_every must be at least 1, not 0"),
        ({"warmup_share": 1.0}, "warmup_share must be from 0 to below 1, not 1.0"),
        ({"arch_learning_rate": -1.0}, "arch_learning_rate must be above 0 and finite, not -1.0"),
        ({"cost_weight": -0.1}, "cost_weight must be 0 or more and finite, not -0.1"),
    ],
)
def test_refuses_by_name(changes: dict[str, Any], message: str):
    with pytest.raises(ValueError, match=message):
        toy(**changes)


def test_settings_are_the_papers():
    settings = dataclasses.asdict(ProxylessSettings())
    assert ProxylessSettings().warmup_epochs(160) == 40
    assert settings["arch_every"] == 5

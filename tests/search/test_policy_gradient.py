"""The updates against their equations, computed by hand in NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxnas import search
from support.toys import MIXED, TARGET, Toy

SPACE = Toy(3, 2)
CANDIDATES = np.array([[0, 1], [2, 0], [1, 1], [0, 0]], np.int32)
REWARDS = np.array([0.9, 0.2, 0.5, 0.6], np.float32)
RATE, WEIGHT, DECAY, CLIP = 0.3, 0.01, 0.95, 0.2


def softmax(logits):
    """Of each row; options beyond a decision's number are minus infinity."""
    exponential = np.exp(logits - logits.max(-1, keepdims=True))
    return exponential / exponential.sum(-1, keepdims=True)


def logits_of(params):
    logits = np.array(params, np.float64)
    logits[1, 2] = -np.inf
    return logits


def gradient(params, old, advantages, clip):
    """Of the loss, by the chain rule written out for softmaxes that know nothing of each other."""
    p = softmax(logits_of(params))
    slope = np.zeros_like(p)
    for candidate, advantage in zip(CANDIDATES, advantages, strict=True):
        for place, choice in enumerate(candidate):
            ratio = p[place, choice] / old[place, choice]
            if clip is not None:
                above, below = ratio > 1 + clip, ratio < 1 - clip
                if (above and advantage > 0) or (below and advantage < 0):
                    continue  # the clipped term is the smaller one, and has no slope
            chosen = np.eye(3)[choice]
            factor = ratio if clip is not None else 1.0
            slope[place] -= advantage * factor * (chosen - p[place]) / len(CANDIDATES)
    with np.errstate(divide="ignore"):
        log_p = np.where(p > 0, np.log(np.where(p > 0, p, 1)), 0)
    entropy = -(p * log_p).sum(-1, keepdims=True)
    return slope + WEIGHT * p * (log_p + entropy)


def by_hand(params, baseline, clip, epochs, state):
    """Parameters after `epochs` more steps of Adam."""
    optimizer = optax.adam(RATE)
    old = softmax(logits_of(params))
    for _ in range(epochs):
        slope = gradient(params, old, REWARDS - baseline, clip)
        updates, state = optimizer.update(jnp.asarray(slope, jnp.float32), state)
        params = np.asarray(optax.apply_updates(jnp.asarray(params), updates))
    return params


@pytest.mark.parametrize("name", ["reinforce", "ppo"])
def test_updates_are_those_of_the_equations(name):
    settings = {
        "controller": search.independent(SPACE),
        "learning_rate": RATE,
        "entropy_weight": WEIGHT,
        "baseline_decay": DECAY,
        "batch": 4,
    }
    if name == "ppo":
        algorithm, clip, epochs = search.ppo(SPACE, **settings, clip=CLIP, epochs=5), CLIP, 5
    else:
        algorithm, clip, epochs = search.reinforce(SPACE, **settings), None, 1
    state = algorithm.init(jax.random.key(0))
    params, baseline = np.asarray(state.params), REWARDS.mean()
    for _ in range(2):
        optimised = state.opt_state
        state = jax.jit(algorithm.tell)(state, CANDIDATES, REWARDS)
        # Adam's moments go on from update to update: so does the reference.
        params = by_hand(params, baseline, clip, epochs, optimised)
        np.testing.assert_allclose(state.params[:, :2], params[:, :2], atol=1e-4)
        np.testing.assert_allclose(state.params[0], params[0], atol=1e-4)
        for reward in REWARDS:
            baseline = DECAY * baseline + (1 - DECAY) * reward
        assert state.baseline == pytest.approx(baseline, abs=1e-6)
    assert np.abs(params).max() > 0.3


def test_clipping_is_needed_for_the_case():
    """That the case above tells PPO from steps without a clip."""
    start = np.zeros((2, 3), np.float32)
    fresh = optax.adam(RATE).init(jnp.asarray(start))
    clipped, free = (by_hand(start, REWARDS.mean(), clip, 5, fresh) for clip in (CLIP, 1e9))
    assert np.abs(clipped - free).max() > 0.05


def test_what_is_rewarded_becomes_likely():
    """The sign of the gradient, on a bandit."""
    bandit = Toy(4)
    for make in (search.reinforce, search.ppo):
        algorithm = make(bandit, controller=search.independent(bandit), learning_rate=0.1)
        state = algorithm.init(jax.random.key(0))
        ask, tell = jax.jit(algorithm.ask), jax.jit(algorithm.tell)
        for _ in range(30):
            state, candidates = ask(state)
            state = tell(state, candidates, (candidates[:, 0] == 2).astype(jnp.float32))
        assert jax.nn.softmax(state.params[0])[2] > 0.8


def test_sizes_must_be_positive():
    with pytest.raises(ValueError, match="batch and epochs must be positive; got 20 and 0"):
        search.ppo(SPACE, epochs=0)


@pytest.mark.slow  # two controllers of two layers are compiled
def test_what_was_learned_stays_when_the_space_grows():
    """First the first four decisions of a known answer, then all eight, by one state."""
    smaller = Toy(*MIXED.options[:4])
    controller = search.lstm(MIXED, layers=2, units=12, scale=0.08)
    algorithms = {
        space: search.reinforce(
            space,
            controller=search.prefix(controller, MIXED, space),
            learning_rate=0.02,
            batch=16,
        )
        for space in (smaller, MIXED)
    }
    state = algorithms[smaller].init(jax.random.key(0))
    share = {}
    for space, algorithm in algorithms.items():
        ask, tell = jax.jit(algorithm.ask), jax.jit(algorithm.tell)
        right = []
        for _ in range(150):
            state, candidates = ask(state)
            right.append(np.asarray(candidates) == TARGET[: len(space.options)])
            state = tell(state, candidates, right[-1].mean(1).astype(np.float32) ** 3)
        share[space] = np.array(right).mean(1)  # [updates, decisions]
    assert share[smaller][:5].mean() < 0.7
    assert share[smaller][-5:].mean() > 0.95
    assert share[MIXED][:5, :4].mean() > 0.95, "forgotten"
    assert share[MIXED][:5, 4:].mean() < 0.5
    assert share[MIXED][-5:].mean() > 0.9

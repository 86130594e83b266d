"""ENAS, step by step, on a network whose accuracy is known; each bug of known code has a test."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxnas.data import Augmentation
from jaxnas.nn import WithAuxiliary
from jaxnas.search.blackbox.controller import independent
from jaxnas.search.shared.enas import (
    EnasSettings,
    decay_of_used,
    enas,
    restarted_cosine,
    skip_divergence,
)
from jaxnas.search.shared.supernet import Supernet
from jaxnas.spaces import zoo
from jaxnas.spaces.enas_macro import EnasMacroSpace
from jaxnas.tasks import supervised
from support.toys import Toy

SPACE = Toy(3, 3)
RIGHT = np.array([2, 1])
TASK = supervised(4, np.full(3, 0.5, np.float32), np.full(3, 0.25, np.float32), Augmentation())
SETTINGS = EnasSettings(
    controller_learning_rate=0.1, entropy_weight=0.0, weight_decay=0.01, momentum=0.0, grad_clip=1e9
)
GENOTYPE = zoo.named("resnet20")


class Told:
    """What the network was called with while a step was traced."""

    def __init__(self):
        self.calls = []

    def apply(self, variables, inputs, candidate, train, noise=None):
        """Right labels for as many images as decisions are right; a weight for each option."""
        self.calls.append({"train": train, "noise": noise})
        right = (candidate == RIGHT).mean()
        labels = jnp.arange(len(inputs)) % 4
        place = (jnp.arange(len(inputs)) + 0.5) / len(inputs)
        shown = jnp.where(place < right, labels, (labels + 1) % 4)
        weights = variables["params"]["w"][jnp.arange(2), candidate]
        logits = 5 * jax.nn.one_hot(shown, 4) + weights.sum() * jax.nn.one_hot(labels, 4)
        auxiliary = variables["params"]["aux"] * jax.nn.one_hot(labels, 4)
        out = WithAuxiliary(logits, auxiliary) if train else logits
        return out, variables["batch_stats"]


def search(settings=SETTINGS, told=None, controller=True, **changes):
    policy = independent(SPACE) if controller else None
    supernet = Supernet(
        (told or Told()).apply,
        lambda key: {
            "params": {"w": jnp.full((2, 3), 0.5, jnp.float32), "aux": jnp.float32(0.1)},
            "batch_stats": {},
        },
        lambda candidate: candidate,
        lambda candidate: dataclasses.replace(GENOTYPE, name=f"c{candidate[0]}{candidate[1]}"),
    )
    return enas(
        supernet,
        SPACE,
        TASK,
        dataclasses.replace(settings, **changes),
        controller=policy,
        epochs=3,
        steps_per_epoch=4,
    )


def batch(part, size=8):
    images = jnp.zeros((size, 4, 4, 3), jnp.uint8)
    return {part: (images, jnp.arange(size, dtype=jnp.int32) % 4)}


def controller_steps(found, count, state=None, key=0):
    key = jax.random.key(key)
    state = state or found.init(key)
    step = jax.jit(found.steps["controller"])
    metrics = []
    for _ in range(count):
        state, row = step(state, batch("arch"), key)
        metrics.append(row)
    return state, metrics


def test_the_controller_comes_to_what_is_right():
    # A wrong sign of the loss, as users found in a port, goes to what is wrong.
    found = search()
    state, metrics = controller_steps(found, 60)
    likely = jax.nn.softmax(state.params)
    assert likely[0, RIGHT[0]] > 0.9
    assert likely[1, RIGHT[1]] > 0.9
    assert metrics[-1]["accuracy"] > 0.9 > metrics[0]["accuracy"]


def test_the_steps_take_what_they_give():
    # Anything else, and be it a weak type, would have them compiled twice.
    found, key = search(), jax.random.key(0)
    state = found.init(key)
    for phase, part in found.parts.items():
        after = jax.eval_shape(found.steps[phase], state, batch(*part), key)[0]
        wanted = jax.eval_shape(lambda: state)
        assert jax.tree.leaves(after) == jax.tree.leaves(wanted)


def test_the_controller_leaves_the_weights_and_the_weights_leave_the_controller():
    found, key = search(), jax.random.key(0)
    state = found.init(key)
    after, _ = jax.jit(found.steps["controller"])(state, batch("arch"), key)
    jax.tree.map(np.testing.assert_array_equal, after.variables, state.variables)
    assert (after.params != state.params).any()
    trained, _ = jax.jit(found.steps["weights"])(state, batch("train"), key)
    np.testing.assert_array_equal(trained.params, state.params)
    assert (trained.variables["params"]["w"] != state.variables["params"]["w"]).any()


def test_the_baseline_moves_after_it_was_used():
    # The authors' code moves it first, by which an advantage is a hundredth too small.
    found = search(arcs=1, baseline_decay=0.5)
    key = jax.random.key(3)
    state = found.init(key)._replace(updates=jnp.array(1), baseline=jnp.array(0.3))
    after, metrics = jax.jit(found.steps["controller"])(state, batch("arch"), key)
    reward = float(metrics["accuracy"])
    assert reward != pytest.approx(0.3)
    assert float(after.baseline) == pytest.approx(0.5 * 0.3 + 0.5 * reward)
    # With b1 = 0, the first moment is the gradient itself: (b - R) ∇ log π of the drawn candidate.
    moment = optax.tree.get(after.controller_opt_state, "mu")
    size = float(jnp.abs(moment).max())
    assert size == pytest.approx(abs(reward - 0.3) * 2 / 3, rel=1e-4)


def test_candidates_are_judged_with_their_batchs_statistics_and_without_dropout():
    told = Told()
    found, key = search(told=told, dropout=0.5), jax.random.key(0)
    state = found.init(key)
    jax.jit(found.steps["weights"])(state, batch("train"), key)
    assert told.calls[-1]["noise"].dropout == 0.5
    jax.jit(found.steps["controller"])(state, batch("arch"), key)
    assert told.calls[-1] == {"train": True, "noise": None}
    found.found(state, batch("arch"), key)
    assert told.calls[-1] == {"train": True, "noise": None}


def test_the_auxiliary_head_learns():
    # In the authors' code its variables are left out of the optimiser's.
    found, key = search(), jax.random.key(0)
    state = found.init(key)
    after, _ = jax.jit(found.steps["weights"])(state, batch("train"), key)
    assert after.variables["params"]["aux"] > state.variables["params"]["aux"]


def test_idle_weights_stay_as_they_are():
    # In the authors' code all shared weights decay in every step.
    found, key = search(), jax.random.key(0)
    state = found.init(key)
    after, _ = jax.jit(found.steps["weights"])(state, batch("train"), key)
    before, now = state.variables["params"]["w"], after.variables["params"]["w"]
    assert (np.asarray(before != now).sum(1) == 1).all(), "one option of each decision"
    gradient, weight = jnp.array([0.0, 0.5]), jnp.array([2.0, 2.0])
    optimizer = decay_of_used(0.1)
    updates, _ = optimizer.update(gradient, optimizer.init(weight), weight)
    np.testing.assert_allclose(updates, [0.0, 0.7], rtol=1e-6)


def test_the_gradient_is_clipped():
    # In the authors' code the gradient that is not clipped is used.
    key = jax.random.key(0)
    moved = []
    for clip in (1e9, 1e-3):
        found = search(grad_clip=clip, weight_decay=0.0)
        state = found.init(key)
        after, _ = jax.jit(found.steps["weights"])(state, batch("train"), key)
        rate = SETTINGS.learning_rate
        change = jax.tree.map(
            lambda a, b: a - b, after.variables["params"], state.variables["params"]
        )
        moved.append(float(optax.tree.norm(change)) / rate)
    assert moved[0] > 0.01
    assert moved[1] == pytest.approx(1e-3, rel=1e-2)


def test_the_learning_rate_starts_anew_in_cycles_of_twice_the_length():
    rate = restarted_cosine(
        dataclasses.replace(SETTINGS, first_cycle=2), epochs=14, steps_per_epoch=5
    )
    rates = np.array([float(jnp.asarray(rate(step))) for step in range(14 * 5)])
    starts = np.flatnonzero(np.isclose(rates, 0.05))
    np.testing.assert_array_equal(starts, [0, 10, 30])
    assert rates.min() >= SETTINGS.final_learning_rate
    assert rates[29] < 0.001 < rates[28]


def test_skips_are_drawn_to_their_target_by_the_distribution_they_are_drawn_from():
    # In the authors' code by the sigmoid of one logit, of two.
    space = EnasMacroSpace(layers=3, channels=2)
    log_probs = jnp.full((len(space.decisions), 6), -jnp.inf)
    at_target = jnp.log(jnp.array([0.6, 0.4]))
    places = [1 + 1, 1 + 2 + 1, 1 + 2 + 2]  # skips of the second and the third layer
    for place in places:
        log_probs = log_probs.at[place, :2].set(at_target)
    assert float(skip_divergence(space, log_probs, 0.4)) == pytest.approx(0, abs=1e-6)
    log_probs = log_probs.at[2, :2].set(jnp.log(jnp.array([0.5, 0.5])))
    wanted = 0.5 * np.log(0.5 / 0.6) + 0.5 * np.log(0.5 / 0.4)
    assert float(skip_divergence(space, log_probs, 0.4)) == pytest.approx(wanted / 2, rel=1e-5)
    assert float(skip_divergence(SPACE, jnp.zeros((2, 3)), 0.4)) == 0


def test_the_reward_has_the_whole_entropy():
    # In the authors' macro code that of the drawn option alone.
    found = search(entropy_weight=1.0, arcs=4)
    state, metrics = controller_steps(found, 1)
    assert float(metrics[0]["entropy"]) == pytest.approx(2 * np.log(3), rel=1e-5)
    mean = float(metrics[0]["accuracy"]) + 2 * np.log(3)
    assert float(state.baseline) == pytest.approx(mean, abs=0.05)


def test_the_answer_is_the_best_of_those_drawn():
    found, key = search(best_of=64), jax.random.key(0)
    answer = found.found(found.init(key), batch("arch", 40), key)
    assert answer.genotype.name == "c21"
    assert "best of 64 candidates drawn by the controller" in answer.notes[0]
    assert "100.00% of 40 held-out images" in answer.notes[0]


def test_the_control_draws_uniformly_and_has_no_controller():
    found, key = search(controller=False), jax.random.key(0)
    assert found.plan(0) == ("weights",)
    state = found.init(key)
    step = jax.jit(found.steps["weights"])
    for _ in range(30):
        state, _ = step(state, batch("train"), key)
    used = np.asarray(state.variables["params"]["w"] != 0.5)
    assert used.all(), "every option has been drawn"
    assert "drawn uniformly" in found.found(state, batch("arch"), key).notes[0]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"arcs": 0}, "arcs must be at least 1, not 0"),
        ({"dropout": 1.0}, "dropout must be from 0 to below 1, not 1.0"),
        ({"skip_target": 0.0}, "skip_target must be between 0 and 1, not 0.0"),
        ({"learning_rate": 0.0}, "learning_rate must be above 0 and finite, not 0.0"),
    ],
)
def test_settings_that_cannot_be_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(SETTINGS, **changes)

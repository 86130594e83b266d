"""DARTS: its gradient against closed forms and an unrolled step, its derivation, what it finds."""

import dataclasses
import logging
import math

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxnas import nn, search, training
from jaxnas.data import Augmentation
from jaxnas.nn.supernets.cell_supernet import CellSupernet
from jaxnas.search.shared.darts import hypergradient
from jaxnas.spaces.cells import CellSpace
from jaxnas.tasks import Task, supervised

RIGHT = 2  # the operation of the toy that knows the answer
OPERATIONS = ("null", "skip_connect", "sep_conv_3x3")
SPACE = CellSpace(OPERATIONS, channels=2, layers=3, nodes=1)
SECOND = ("second", "second_exact")
SETTINGS = search.DartsSettings()


def apply(variables, inputs, gates, train, noise=None):
    """Operation i sees feature i of an image alone; the edges and cells see the same ones."""
    weights = variables["params"]["w"]
    return jnp.tanh((inputs * weights * gates.mean((0, 1))).sum(-1)), variables["batch_stats"]


def loss(outputs, targets):
    return ((outputs - targets) ** 2).mean()


TOY = Task(
    prepare=lambda key, images, labels: (images[:, 0, 0] / 127.5 - 1, 2.0 * labels - 1),
    judge=lambda key, images, labels: (images, labels),
    inputs=lambda images: images[:, 0, 0] / 127.5 - 1,
    loss=loss,
    score=lambda outputs, labels: {},
    outputs=1,
)


def variables(key):
    return {"params": {"w": 1 + 0.1 * jax.random.normal(key, (3,))}, "batch_stats": {}}


def images(seed, count=32):
    """Features uint8 [n, 1, 1, 3], of which the sign of the right one is the label."""
    features = np.random.default_rng(seed).integers(0, 256, (count, 1, 1, 3), dtype=np.uint8)
    return jnp.asarray(features), jnp.asarray(features[:, 0, 0, RIGHT] > 127, jnp.int32)


BATCH = {"train": images(0), "arch": images(1)}


def toy(epochs=1, steps_per_epoch=200, **changes):
    """The search on the toy."""
    return search.darts(
        search.Supernet(apply, variables, lambda gates: gates, SPACE.decode),
        SPACE,
        TOY,
        dataclasses.replace(SETTINGS, **changes),
        epochs=epochs,
        steps_per_epoch=steps_per_epoch,
    )


def steps(algorithm, count, seed=0):
    """The state after `count` steps, and the losses of the last."""
    key = jax.random.key(seed)
    state, metrics = algorithm.init(key), {}
    step = jax.jit(algorithm.steps["search"])
    for _ in range(count):
        state, metrics = step(state, BATCH, key)
    return state, metrics


@pytest.mark.parametrize("order", ["first", *SECOND])
def test_the_operation_that_knows_the_answer_is_found(order):
    algorithm = toy(order=order, arch_learning_rate=0.02)
    before, _ = steps(algorithm, 1)
    after, metrics = steps(algorithm, 200)
    weights = np.asarray(jax.nn.softmax(after.alpha))
    assert (weights.argmax(-1) == RIGHT).all()
    assert np.abs(jax.nn.softmax(before.alpha) - 1 / 3).max() < 0.01
    found = algorithm.found(after, BATCH, jax.random.key(0))
    assert {edge.op for cell in found.genotype.cells for edge in cell.edges} == {OPERATIONS[RIGHT]}
    assert float(metrics["arch_loss"]) < 0.5


# A quadratic whose answer is known: L_train = |w - A α|² / 2, L_val = |w - b|² / 2 + <c, α>.
RNG = np.random.default_rng(0)
A, B, C = (RNG.normal(size=shape).astype(np.float32) for shape in ((4, 3), (4,), (3,)))
W, ALPHA, RATE = RNG.normal(size=4).astype(np.float32), RNG.normal(size=3).astype(np.float32), 0.3


def quadratic_train(w, alpha):
    return ((w - A @ alpha) ** 2).sum() / 2, None


def quadratic_arch(w, alpha):
    return ((w - B) ** 2).sum() / 2 + C @ alpha, None


@pytest.mark.parametrize("order", ["first", *SECOND])
def test_the_gradient_of_a_quadratic_has_its_closed_form(order):
    virtual = W - RATE * (W - A @ ALPHA)
    gradient, value = hypergradient(
        order,
        quadratic_train,
        quadratic_arch,
        jnp.asarray(W),
        jnp.asarray(ALPHA),
        lambda: jnp.asarray(virtual),
        jnp.asarray(RATE),
    )
    at = W if order == "first" else virtual
    expected = C if order == "first" else C + RATE * A.T @ (virtual - B)
    tolerance = 2e-3 if order == "second" else 1e-5  # a difference of two float32 gradients
    np.testing.assert_allclose(gradient, expected, rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(value, ((at - B) ** 2).sum() / 2 + C @ ALPHA, rtol=1e-5)


def unrolled(state, rate):
    """α's gradient through the paper's virtual step, written out: momentum, decay, no clipping."""
    params = state.variables["params"]
    trace = optax.tree_utils.tree_get(state.opt_state, "trace")

    def value(w, alpha, part):
        inputs, targets = TOY.prepare(None, *BATCH[part])
        gates = jax.nn.softmax(alpha)
        return loss(apply({"params": w, "batch_stats": {}}, inputs, gates, True)[0], targets)

    def after_virtual_step(alpha):
        gradient = jax.grad(value)(params, alpha, "train")
        moved = {"w": params["w"] - rate * (0.9 * trace["w"] + gradient["w"] + 3e-4 * params["w"])}
        return value(moved, alpha, "arch")

    def here(alpha):
        return value(params, alpha, "arch")

    return jax.grad(after_virtual_step)(state.alpha), jax.grad(here)(state.alpha)


@pytest.mark.parametrize(
    ("order", "tolerance"), [("first", 1e-4), ("second", 0.03), ("second_exact", 1e-4)]
)
def test_alpha_moves_by_the_gradient_through_the_virtual_step(order, tolerance):
    """Adam's first moment tells the gradient: m = β1 m + (1 - β1) (gradient + decay)."""
    # Clipping hard, which the virtual step must not feel; a rate at which the orders differ.
    algorithm = toy(order=order, learning_rate=2.0, grad_clip=0.5)
    state, _ = steps(algorithm, 3)
    rate = 0.001 + (2.0 - 0.001) * (1 + math.cos(math.pi * 3 / 200)) / 2
    second, first = unrolled(state, rate)
    assert np.abs(second - first).max() > 0.1 * np.abs(first).max()
    expected = (first if order == "first" else second) + 1e-3 * state.alpha
    after, _ = jax.jit(algorithm.steps["search"])(state, BATCH, jax.random.key(0))
    before_m, after_m = (
        optax.tree_utils.tree_get(each.alpha_opt_state, "mu") for each in (state, after)
    )
    gradient = (after_m - 0.5 * before_m) / 0.5
    scale = float(np.abs(expected).max())
    np.testing.assert_allclose(gradient, expected, atol=tolerance * scale)


def test_weights_move_by_clipped_sgd_with_momentum_after_alpha():
    algorithm = toy(learning_rate=0.5, grad_clip=0.01)
    state, _ = steps(algorithm, 2)
    after, metrics = jax.jit(algorithm.steps["search"])(state, BATCH, jax.random.key(0))
    params = state.variables["params"]

    def value(w):
        inputs, targets = TOY.prepare(None, *BATCH["train"])
        return loss(apply({"params": w, "batch_stats": {}}, inputs, gates, True)[0], targets)

    gates = jax.nn.softmax(after.alpha)  # of the new α
    at, gradient = jax.value_and_grad(value)(params)
    assert metrics["loss"] == pytest.approx(float(at), rel=1e-6)
    norm = np.linalg.norm(gradient["w"])
    assert norm > 0.01
    trace = optax.tree_utils.tree_get(state.opt_state, "trace")["w"]
    rate = 0.001 + (0.5 - 0.001) * (1 + math.cos(math.pi * 2 / 200)) / 2
    moved = 0.9 * trace + gradient["w"] * 0.01 / norm + 3e-4 * params["w"]
    np.testing.assert_allclose(
        after.variables["params"]["w"], params["w"] - rate * moved, rtol=1e-5
    )


@pytest.mark.slow
def test_exact_and_finite_difference_agree_on_the_cell_supernet():
    """Through every operation with a gradient of its own form, which forward mode has to pass."""
    operations = ("null", "skip_connect", "sep_conv_3x3", "max_pool_3x3", "avg_pool_3x3")
    space = CellSpace(operations, channels=2, layers=1, nodes=1)
    supernet = CellSupernet(space, 3)
    key = jax.random.key(0)
    first = nn.init(supernet, key, (8, 8, 3), jnp.zeros(space.shape))
    pixels = jax.random.normal(key, (2, 8, 8, 8, 3))
    labels = jnp.arange(8) % 3
    call = training.flax_apply(supernet)

    def loss_of(part):
        def value(params, alpha):
            logits, _ = call({**first, "params": params}, pixels[part], jax.nn.softmax(alpha), True)
            return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean(), None

        return value

    @jax.jit
    def gradients(params, alpha):
        moved = jax.tree.map(lambda w: 0.9 * w, params)
        return [
            hypergradient(
                order, loss_of(0), loss_of(1), params, alpha, lambda: moved, jnp.asarray(rate)
            )[0]
            for order, rate in (("second", 1.0), ("second_exact", 1.0), ("second_exact", 0.0))
        ]

    finite, exact, direct = gradients(first["params"], jax.random.normal(key, space.shape))
    implicit = np.abs(exact - direct).max()
    assert implicit > 1e-3
    np.testing.assert_allclose(finite, exact, atol=0.1 * implicit)


@pytest.mark.slow
@pytest.mark.parametrize("order", ["first", *SECOND])
def test_a_step_in_parts_is_the_step_as_one_program(caplog, order):
    space = CellSpace(OPERATIONS, channels=2, layers=2, nodes=1)
    supernet = CellSupernet(space, 3)
    pixels = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 8, 3), np.uint8)
    labels = jnp.arange(8) % 3
    batch = {"train": (pixels[0], labels), "arch": (pixels[1], labels)}
    half, quarter = np.full(3, 0.5, np.float32), np.full(3, 0.25, np.float32)
    algorithm = search.darts(
        search.Supernet(
            training.flax_apply(supernet),
            lambda key: nn.init(supernet, key, (8, 8, 3), jnp.zeros(space.shape)),
            lambda gates: gates,
            space.decode,
        ),
        space,
        supervised(3, half, quarter, Augmentation.for_side(8)),
        search.DartsSettings(order),
        epochs=1,
        steps_per_epoch=10,
    )
    key = jax.random.key(0)
    step = algorithm.steps["search"]
    whole = jax.jit(step)
    parts, as_one = step(algorithm.init(key), batch, key), whole(algorithm.init(key), batch, key)
    # Sums are taken in another order; the finite difference makes much of that.
    chex.assert_trees_all_close(parts, as_one, rtol=1e-3, atol=1e-4)
    with jax.log_compiles(), caplog.at_level(logging.WARNING):
        step(parts[0], batch, key)
    assert not [each for each in caplog.messages if "XLA compilation" in each], "compiled again"


def skipping(state, tables):
    """The state, with α in which tables (0 is the normal cell's) prefer the skip connection."""
    alpha = np.zeros(SPACE.shape, np.float32)
    alpha[..., RIGHT] = 1
    alpha[list(tables), :, 1] = 2
    return state._replace(alpha=jnp.asarray(alpha))


def test_skips_null_and_entropy_are_observed():
    algorithm = toy()
    state = algorithm.init(jax.random.key(0))
    seen = algorithm.observe(skipping(state, [0]))
    assert (seen["skips_normal"], seen["skips_reduction"]) == (2, 0)
    assert "stop" not in seen
    uniform = algorithm.observe(state._replace(alpha=jnp.zeros(SPACE.shape)))
    assert uniform["null"] == pytest.approx(1 / 3)
    assert uniform["entropy"] == pytest.approx(math.log(3))
    assert seen["entropy"] < uniform["entropy"]


def test_it_stops_at_skips_in_the_normal_cell_with_the_answer_of_the_epoch_before():
    algorithm = toy(stop_at_skips=2)
    state = algorithm.init(jax.random.key(0))
    for tables, stop in (((), 0), ((1,), 0), ((0,), 1)):
        assert algorithm.observe(skipping(state, tables))["stop"] == stop
    before = skipping(state, [1])
    stopped = skipping(state, [0])._replace(
        alpha_before=before.alpha, step=jnp.asarray(600, jnp.int32)
    )
    answer = algorithm.found(stopped, BATCH, jax.random.key(0))
    assert answer.genotype == SPACE.decode(SPACE.preferred(jax.nn.softmax(before.alpha)))
    assert "Stopped after epoch 3" in answer.notes[-1]
    assert "that of epoch 2" in answer.notes[-1]
    # The same without the option is an answer like any other.
    free = toy().found(stopped, BATCH, jax.random.key(0))
    assert free.genotype == SPACE.decode(SPACE.preferred(jax.nn.softmax(stopped.alpha)))
    assert len(free.notes) == 1


def test_the_epoch_before_is_where_the_last_epoch_began():
    algorithm = toy(steps_per_epoch=3)
    five, _ = steps(algorithm, 5)
    three, _ = steps(algorithm, 3)
    np.testing.assert_array_equal(five.alpha_before, three.alpha)


def test_init_is_small_noise_of_its_own_stream():
    state = toy().init(jax.random.key(0))
    assert 0 < np.abs(state.alpha).max() < 0.01
    other = toy().init(jax.random.key(1))
    assert np.abs(state.alpha - other.alpha).max() > 0
    assert jax.tree.structure(state) == jax.tree.structure(other)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"order": "third"}, "order"),
        ({"stop_at_skips": 0}, "stop_at_skips"),
        ({"learning_rate": 0.0}, "learning_rate must be above 0 and finite, not 0.0"),
        ({"arch_learning_rate": float("nan")}, "arch_learning_rate must be above 0 and finite"),
        ({"weight_decay": -1.0}, "weight_decay must be 0 or more and finite, not -1.0"),
    ],
)
def test_what_cannot_be_is_named(changes, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(SETTINGS, **changes)

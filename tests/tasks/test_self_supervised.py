"""SimCLR and SimSiam against NumPy in float64, and what must not move them."""

import os
import subprocess
import sys
from pathlib import Path

import flax.linen as linen
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnas import nn, tasks, training
from jaxnas.data import Views, normalise, two_views
from jaxnas.nn import Projector, Representation, heads
from jaxnas.tasks import simclr, simsiam

MEAN = np.array([0.5, 0.4, 0.3], np.float32)
STD = np.array([0.25, 0.2, 0.3], np.float32)
VIEWS = Views()
SMALL = Projector((5, 4))
# Operation by operation it would take longer to compile.
nt_xent = jax.jit(tasks.nt_xent, static_argnums=1)
SIAMESE = Projector((5, 4), final_norm=True, predictor=3)


def rows(count, size=6, seed=0):
    return jnp.asarray(np.random.default_rng(seed).normal(size=(count, size)), jnp.float32)


def unit(values):
    values = np.asarray(values, np.float64)
    return values / np.linalg.norm(values, axis=1, keepdims=True)


def reference_nt_xent(projections, temperature):
    """Equation 1 of the paper, term by term: views 2k-1 and 2k are those of image k."""
    half = len(projections) // 2
    rows = unit(projections)
    interleaved = np.stack([rows[:half], rows[half:]], 1).reshape(2 * half, -1)

    def term(i, j):
        against = [
            np.exp(interleaved[i] @ interleaved[k] / temperature) for k in range(2 * half) if k != i
        ]
        return -np.log(np.exp(interleaved[i] @ interleaved[j] / temperature) / sum(against))

    pairs = [(2 * k, 2 * k + 1) for k in range(half)]
    return sum(term(i, j) + term(j, i) for i, j in pairs) / (2 * half)


@pytest.mark.parametrize(("count", "temperature"), [(1, 0.5), (4, 0.5), (7, 0.07), (16, 2.0)])
def test_nt_xent_is_the_papers_equation(count, temperature):
    projections = 3 * rows(2 * count)
    found = nt_xent(projections, temperature)
    assert found.shape == ()
    assert found.dtype == jnp.float32
    expected = reference_nt_xent(projections, temperature)
    assert float(found) == pytest.approx(expected, rel=2e-6, abs=1e-6)


def test_nt_xent_of_projections_that_say_nothing_is_that_of_a_guess():
    assert float(nt_xent(jnp.ones((12, 3)), 0.1)) == pytest.approx(np.log(11), rel=1e-6)


def test_nt_xent_knows_directions_alone_and_no_order_of_images():
    projections = rows(10)
    lengths = jnp.linspace(0.1, 9, 10)[:, None]
    order = jnp.array([3, 1, 4, 0, 2])
    moved = projections[jnp.concatenate([order, 5 + order])]
    for other in (lengths * projections, moved, jnp.roll(projections, 5, 0)):
        found = float(nt_xent(other, 0.5))
        assert found == pytest.approx(float(nt_xent(projections, 0.5)), rel=1e-5)


def test_nt_xent_has_a_finite_gradient_where_projections_vanish():
    gradient = jax.jit(jax.grad(nt_xent), static_argnums=1)(jnp.zeros((6, 4)), 0.5)
    assert np.isfinite(gradient).all()


def test_the_gradient_is_that_of_finite_differences():
    projections = np.asarray(rows(6, 3), np.float64)
    gradient = jax.jit(jax.grad(nt_xent), static_argnums=1)(
        jnp.asarray(projections, jnp.float32), 0.5
    )
    step = 1e-6
    for place in np.ndindex(projections.shape):
        nudge = np.zeros_like(projections)
        nudge[place] = step
        rise = reference_nt_xent(projections + nudge, 0.5) - reference_nt_xent(
            projections - nudge, 0.5
        )
        assert float(gradient[place]) == pytest.approx(rise / (2 * step), abs=2e-6)


def representation(count, seed=0):
    return Representation(rows(count, 3, seed), rows(count, 4, seed + 1), rows(count, 4, seed + 2))


def test_simsiams_loss_is_the_papers_equation():
    outputs = representation(10)
    z, p = unit(outputs.projection), unit(outputs.prediction)
    distance = [-(p[i] @ z[(i + 5) % 10]) for i in range(10)]
    task = simsiam(MEAN, STD, VIEWS, projector=SIAMESE)
    found = task.loss(outputs, jnp.zeros(5, jnp.int32))
    assert float(found) == pytest.approx(np.mean(distance), abs=1e-6)
    score = task.score(outputs, jnp.zeros(5, jnp.int32))["loss"]
    np.testing.assert_allclose(score, [(distance[i] + distance[i + 5]) / 2 for i in range(5)], 1e-5)


def test_simsiam_moves_the_prediction_and_holds_the_projection_still():
    task = simsiam(MEAN, STD, VIEWS, projector=SIAMESE)
    gradient = jax.grad(lambda outputs: task.loss(outputs, jnp.zeros(3, jnp.int32)))(
        representation(6)
    )
    assert (gradient.projection == 0).all()
    assert (gradient.features == 0).all()
    assert np.abs(gradient.prediction).max() > 0


def test_simclrs_scores_are_of_each_image():
    outputs = representation(12)
    labels = jnp.zeros(6, jnp.int32)
    task = simclr(MEAN, STD, VIEWS, projector=SMALL, temperature=0.3)
    scores = task.score(outputs, labels)
    assert scores["loss"].shape == scores["accuracy"].shape == (6,)
    assert float(scores["loss"].mean()) == pytest.approx(float(task.loss(outputs, labels)), 1e-6)
    cosines = unit(outputs.projection) @ unit(outputs.projection).T
    np.fill_diagonal(cosines, -2)
    right = cosines.argmax(1) == (np.arange(12) + 6) % 12
    np.testing.assert_allclose(scores["accuracy"], (right[:6] + 0.0 + right[6:]) / 2)


@pytest.mark.parametrize("make", [simclr, simsiam])
def test_views_that_are_alike_are_recognised_and_equal_answers_are_not(make):
    task = make(MEAN, STD, VIEWS)
    z = jnp.concatenate([rows(8, 16)] * 2)
    labels = jnp.zeros(8, jnp.int32)
    assert float(task.score(Representation(z, z, z), labels)["accuracy"].mean()) == 1
    same = jnp.ones((16, 16))
    assert float(task.score(Representation(same, same, same), labels)["accuracy"].mean()) == 0


def images(count, side=8):
    rng = np.random.default_rng(count)
    return jnp.asarray(rng.integers(0, 256, (count, side, side, 3), dtype=np.uint8))


@pytest.mark.quick_cases(1)
@pytest.mark.parametrize("make", [simclr, simsiam])
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_inputs_are_views_in_training_and_the_images_themselves_else(make, dtype):
    task = make(MEAN, STD, VIEWS, dtype=dtype)
    key, batch, labels = jax.random.key(3), images(4), jnp.arange(4)
    pairs = jax.jit(lambda key, batch: two_views(key, batch, MEAN, STD, VIEWS, dtype))(key, batch)
    for prepare in (task.prepare, task.judge):
        inputs, targets = jax.jit(prepare)(key, batch, labels)
        assert inputs.dtype == dtype
        np.testing.assert_array_equal(inputs, pairs)
        np.testing.assert_array_equal(targets, labels)
    np.testing.assert_array_equal(task.inputs(batch), normalise(batch, MEAN, STD, dtype))


@pytest.mark.parametrize("make", [simclr, simsiam])
def test_labels_change_nothing(make):
    task = make(MEAN, STD, VIEWS)
    z = representation(8)
    one, other = jnp.zeros(4, jnp.int32), jnp.arange(4)
    assert float(task.loss(z, one)) == float(task.loss(z, other))
    for name, score in task.score(z, one).items():
        np.testing.assert_array_equal(score, task.score(z, other)[name])


def test_under_bfloat16_the_loss_is_computed_in_float32():
    z = rows(12, 8).astype(jnp.bfloat16)
    found = nt_xent(z, 0.5)
    assert found.dtype == jnp.float32
    assert float(found) == pytest.approx(reference_nt_xent(np.asarray(z, np.float64), 0.5), 1e-5)


@pytest.mark.parametrize(
    ("make", "options", "message"),
    [
        (simclr, {"temperature": 0.0}, "temperature must be above 0, not 0.0"),
        (simclr, {"projector": SIAMESE}, "SimCLR has no predictor"),
        (simsiam, {"projector": SMALL}, "SimSiam needs a predictor"),
    ],
)
def test_what_cannot_be_is_named(make, options, message):
    with pytest.raises(ValueError, match=message):
        make(MEAN, STD, VIEWS, **options)


class Linear(linen.Module):
    """A linear map of the pixels, and heads."""

    projector: Projector

    @linen.compact
    def __call__(self, x, *, train, noise=None):
        features = linen.Dense(12, name="features")(x.reshape(len(x), -1))
        return heads.finish(features, self.projector, train)


@pytest.mark.slow
@pytest.mark.parametrize("make", [simclr, simsiam])
def test_a_network_with_heads_learns(make):
    """SimCLR's recognises the views of a batch; SimSiam's views agree, and images still differ."""
    siamese = make is simsiam
    projector = Projector((16, 8), final_norm=siamese, predictor=8 if siamese else None)
    task = make(MEAN, STD, VIEWS, projector=projector)
    network = Linear(projector)
    variables = nn.init(network, jax.random.key(0), (8, 8, 3))
    inputs, targets = jax.jit(task.prepare)(jax.random.key(5), images(24), jnp.zeros(24, jnp.int32))

    @jax.jit
    def step(params):
        def loss_of(params):
            outputs, _ = training.flax_apply(network)(
                {**variables, "params": params}, inputs, None, True
            )
            return task.loss(outputs, targets), outputs

        (loss, outputs), gradient = jax.value_and_grad(loss_of, has_aux=True)(params)
        return jax.tree.map(lambda p, g: p - 0.1 * g, params, gradient), loss, outputs

    params, losses = variables["params"], []
    for _ in range(60):
        params, loss, outputs = step(params)
        losses.append(float(loss))
    assert losses[-1] < losses[0] - 0.3
    if siamese:
        spread = unit(outputs.projection).std(0).mean() * np.sqrt(8)
        assert spread > 0.7  # 1 for directions all over, 0 for one and the same
    else:
        assert task.score(outputs, targets)["accuracy"].mean() > 0.9


@pytest.mark.slow
def test_a_step_over_several_devices_is_that_of_the_whole_batch():
    # The number of devices is fixed once JAX has started: a process of its own.
    environment = os.environ | {
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": os.environ["XLA_FLAGS"] + " --xla_force_host_platform_device_count=8",
    }
    script = Path(__file__).with_name("parallel.py")
    done = subprocess.run(
        [sys.executable, script], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]

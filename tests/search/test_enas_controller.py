"""ENAS's controllers: the published sizes, and probabilities that are those of what is drawn."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnas.search.blackbox.controller import chosen
from jaxnas.search.shared.enas_controller import LogitSettings, enas_controller
from jaxnas.spaces.block_cells import BlockCellSpace, enas_micro_space, pnas_space
from jaxnas.spaces.enas_macro import EnasMacroSpace

MICRO = BlockCellSpace(
    title="small",
    family="enas",
    operations=("sep_conv_3x3", "max_pool_3x3", "skip_connect"),
    blocks=1,
    tables=("normal", "reduction"),
    channels=2,
    cell_count=1,
    interleaved=True,
)
MACRO = EnasMacroSpace(layers=3, channels=2)
SPACES = {"micro": MICRO, "macro": MACRO}


@pytest.fixture(scope="module", params=SPACES)
def case(request):
    """A controller, parameters far from uniform, and the log probabilities of all candidates."""
    space = SPACES[request.param]
    controller = enas_controller(space, LogitSettings(tanh_constant=1.5), units=4)
    params = jax.tree.map(lambda leaf: 12 * leaf, controller.init(jax.random.key(0)))
    everything = np.array(list(space.enumerate()), np.int32)
    log_probs = jax.jit(jax.vmap(controller.log_probs, (None, 0)))(params, everything)
    return space, controller, params, everything, np.asarray(log_probs)


@pytest.mark.parametrize(
    ("space", "count"), [(enas_micro_space(), 41_733), (EnasMacroSpace(layers=12), 41_856)]
)
def test_sizes_are_those_of_the_authors_code(space, count):
    controller = enas_controller(space, LogitSettings())
    shapes = jax.eval_shape(controller.init, jax.random.key(0))
    assert sum(leaf.size for leaf in jax.tree.leaves(shapes)) == count


def test_a_step_gives_parameters_of_the_types_that_it_took(case):
    # A weak type would have every step of a search compiled twice.
    _, controller, *_ = case
    params = controller.init(jax.random.key(0))
    assert not any(leaf.weak_type for leaf in jax.tree.leaves(params))


def test_probabilities_of_all_candidates_sum_to_one(case):
    _, _, _, everything, log_probs = case
    total = np.exp(np.asarray(chosen(log_probs, everything)).sum(-1))
    assert total.sum() == pytest.approx(1, abs=1e-4)
    assert total.std() / total.mean() > 0.05


def test_a_decision_without_an_option_never_takes_it(case):
    space, *_, log_probs = case
    for place, count in enumerate(space.options):
        assert np.isneginf(log_probs[:, place, count:]).all()
        assert np.isfinite(log_probs[:, place, :count]).all()


def test_what_is_drawn_is_as_likely_as_is_said(case):
    _, controller, params, everything, log_probs = case
    keys = jax.random.split(jax.random.key(1), 20_000)
    drawn = np.asarray(jax.jit(jax.vmap(controller.sample, (None, 0)))(params, keys))
    for place in range(everything.shape[1]):
        expected = np.zeros(log_probs.shape[-1])
        likely = np.exp(np.asarray(chosen(log_probs, everything)).sum(-1))
        np.add.at(expected, everything[:, place], likely)
        found = np.bincount(drawn[:, place], minlength=len(expected)) / len(drawn)
        np.testing.assert_allclose(found, expected, atol=0.02)


def test_logits_are_bounded(case):
    space, *_, log_probs = case
    for place, decision in enumerate(space.decisions):
        finite = log_probs[:, place, : len(decision.options)]
        spread = finite.max(-1) - finite.min(-1)
        share = 2.5 if decision.kind == "operation" and space is MICRO else 1
        assert spread.max() <= 2 * 1.5 / share + 0.5 + 1e-5  # 0.5: twice the normal cell's bias


@pytest.mark.slow
def test_a_bias_of_ten_cannot_be_learnt():
    # tanh is flat there, which is why the bias starts at 0 here; a temperature of 5 helps.
    def slope(**settings):
        logits = dataclasses.replace(LogitSettings(), **settings)
        controller = enas_controller(MICRO, logits, units=4)
        params = controller.init(jax.random.key(0))
        candidate = jnp.zeros(len(MICRO.decisions), jnp.int32)
        gradient = jax.grad(lambda p: chosen(controller.log_probs(p, candidate), candidate).sum())
        return abs(float(gradient(params).head_bias[0]))

    assert slope(favoured=10.0) < 1e-6
    assert slope() > 0.1
    assert slope(favoured=10.0, temperature=5.0) > 1e-3


def test_a_skip_points_at_the_anchor_of_where_it_comes_from():
    # In the authors' code at the one behind it: that of the first layer for the stem.
    controller = enas_controller(MACRO, LogitSettings(), units=4)
    params = controller.init(jax.random.key(0))
    params = params._replace(query=jnp.zeros_like(params.query))  # all that is left are anchors
    one, other = (
        controller.log_probs(params, jnp.array([op, 0, 0, 0, 0, 0], jnp.int32)) for op in (0, 1)
    )
    of_stem, of_first_layer = [2, 4], [5]
    np.testing.assert_array_equal(one[of_stem, :2], other[of_stem, :2])
    assert (one[of_first_layer, :2] != other[of_first_layer, :2]).all()


def test_the_normal_cell_favours_separable_convolutions():
    controller = enas_controller(MICRO, LogitSettings(), units=4)
    params = jax.tree.map(jnp.zeros_like, controller.init(jax.random.key(0)))
    found = controller.log_probs(params, jnp.zeros(len(MICRO.decisions), jnp.int32))
    wanted = jax.nn.log_softmax(jnp.array([0.25, -0.25, -0.25]))
    np.testing.assert_allclose(found[1], wanted, rtol=1e-6)
    np.testing.assert_allclose(found[5], np.log(1 / 3), rtol=1e-6)


def test_spaces_that_decide_otherwise_are_refused():
    with pytest.raises(ValueError, match="pnas decides otherwise"):
        enas_controller(pnas_space(), LogitSettings())
    with pytest.raises(ValueError, match="units must be positive, not 0"):
        enas_controller(MICRO, LogitSettings(), units=0)
    with pytest.raises(ValueError, match="temperature must be above 0 and finite, not 0"):
        LogitSettings(temperature=0.0)

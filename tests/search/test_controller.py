import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnas.search.blackbox.controller import chosen, entropy, independent, lstm, prefix
from support.toys import Toy

SPACE = Toy(2, 3, 1, 4)
CONTROLLERS = {
    "lstm": lambda: lstm(SPACE, units=5, scale=1.5),
    "two layers": lambda: lstm(SPACE, layers=2, units=4, scale=1.5),
    "independent": lambda: independent(SPACE),
}


@pytest.fixture(scope="module", params=CONTROLLERS)
def case(request):
    """A controller, parameters far from uniform, and the log probabilities of all candidates."""
    controller = CONTROLLERS[request.param]()
    params = controller.init(jax.random.key(0))
    if request.param == "independent":
        params = jax.random.normal(jax.random.key(0), params.shape)
    everything = np.array(list(SPACE.enumerate()), np.int32)
    log_probs = jax.jit(jax.vmap(controller.log_probs, (None, 0)))(params, everything)
    return controller, params, everything, np.asarray(log_probs)


def test_probabilities_of_all_candidates_sum_to_one(case):
    _, _, everything, log_probs = case
    total = np.exp(np.asarray(chosen(log_probs, everything)).sum(-1))
    assert total.sum() == pytest.approx(1, abs=1e-5)
    assert total.std() > 0.01


def test_a_decision_without_an_option_never_takes_it(case):
    *_, log_probs = case
    for place, count in enumerate(SPACE.options):
        assert np.isneginf(log_probs[:, place, count:]).all()
        assert np.isfinite(log_probs[:, place, :count]).all()


def test_what_is_drawn_is_as_likely_as_is_said(case):
    controller, params, everything, log_probs = case
    keys = jax.random.split(jax.random.key(1), 20_000)
    drawn = np.asarray(jax.jit(jax.vmap(controller.sample, (None, 0)))(params, keys))
    expected = np.exp(np.asarray(chosen(log_probs, everything)).sum(-1))
    found = np.array([(drawn == each).all(1).mean() for each in everything])
    np.testing.assert_allclose(found, expected, atol=0.015)


def test_a_decision_depends_on_those_before_it_and_on_no_later_one():
    controller = CONTROLLERS["two layers"]()
    params = controller.init(jax.random.key(0))
    of = jax.jit(controller.log_probs)
    one, other = of(params, jnp.array([0, 1, 0, 2])), of(params, jnp.array([0, 2, 0, 2]))
    np.testing.assert_array_equal(one[:2], other[:2])
    assert (one[3] != other[3]).any()


def test_the_lstm_is_that_of_the_equations():
    """Against NumPy, step by step."""
    units = 5
    controller = CONTROLLERS["lstm"]()
    params = jax.tree.map(np.asarray, controller.init(jax.random.key(3)))
    assert all(np.abs(leaf).max() <= 1.5 for leaf in params)
    candidate = np.array([1, 2, 0, 3])

    def sigmoid(x):
        return 1 / (1 + np.exp(-x))

    hidden, cell, fed = np.zeros(units), np.zeros(units), np.zeros(units)
    found = np.asarray(controller.log_probs(params, candidate))
    for place, count in enumerate(SPACE.options):
        gates = np.concatenate([fed, hidden]) @ params.kernels[0] + params.biases[0]
        into, forget, new, out = np.split(gates, 4)
        cell = sigmoid(forget) * cell + sigmoid(into) * np.tanh(new)
        hidden = sigmoid(out) * np.tanh(cell)
        logits = (hidden @ params.heads[place] + params.head_biases[place])[:count]
        expected = logits - np.log(np.exp(logits).sum())
        np.testing.assert_allclose(found[place, :count], expected, atol=1e-5)
        fed = params.embeddings[place, candidate[place]]


def test_entropy_is_of_the_options_there_are():
    log_probs = jnp.log(jnp.array([[0.5, 0.5, 0.0], [1.0, 0.0, 0.0], [0.2, 0.3, 0.5]]))
    expected = [np.log(2), 0, -(0.2 * np.log(0.2) + 0.3 * np.log(0.3) + 0.5 * np.log(0.5))]
    np.testing.assert_allclose(entropy(log_probs), expected, atol=1e-6)
    slope = jax.grad(lambda logits: entropy(jax.nn.log_softmax(logits)).sum())(
        jnp.array([[0.3, -0.2, -jnp.inf]])
    )
    assert np.isfinite(slope).all()


LARGER = Toy(*SPACE.options, 5, 2)


@pytest.mark.slow
@pytest.mark.parametrize("make", [lambda s: lstm(s, layers=2, units=4, scale=1.5), independent])
def test_a_prefix_decides_as_the_whole_does(make):
    whole = make(LARGER)
    part = prefix(whole, LARGER, SPACE)
    params, key = part.init(jax.random.key(0)), jax.random.key(1)
    drawn = whole.sample(params, key)
    np.testing.assert_array_equal(part.sample(params, key), drawn[:4])
    of_part, of_whole = part.log_probs(params, drawn[:4]), whole.log_probs(params, drawn)
    assert of_part.shape == (4, 4), "of the options of the smaller space"
    np.testing.assert_allclose(of_part, of_whole[:4, :4], rtol=1e-6)


def test_a_prefix_has_the_first_decisions():
    with pytest.raises(ValueError, match="are not the first of"):
        prefix(independent(LARGER), LARGER, Toy(2, 3, 2))

"""The chain's supernet against the networks it contains, and what a step of it keeps in memory."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnas import nn
from jaxnas.nn import kernels
from jaxnas.nn.costs.latency import candidate_latency
from jaxnas.nn.supernets.chain_supernet import ChainPaths, candidate_name
from jaxnas.spaces import ChainSpace
from jaxnas.spaces.chain import ZERO
from support.networks import CLASSES, SHAPE

SPACE = ChainSpace(stem=3, first=4, stages=((5, 2, 2),), head=8, kernels=(3, 5), expansions=(1, 3))
SUPERNET = nn.ChainSupernet(SPACE, CLASSES)
CHOICES = np.array([1, 2])
PAIRS = np.array([[1, 0], [4, 3]])


@functools.cache
def variables() -> Any:
    """Variables of which no two are alike."""
    first = nn.init(SUPERNET, jax.random.key(0), SHAPE, jnp.zeros(2, jnp.int32))
    leaves, tree = jax.tree.flatten(first)
    rng = np.random.default_rng(0)
    return jax.tree.unflatten(
        tree, [leaf + rng.uniform(0.1, 0.5, leaf.shape).astype(np.float32) for leaf in leaves]
    )


@functools.cache
def images() -> np.ndarray:
    # NumPy, since the first test that asks may do so while it is traced.
    return np.random.default_rng(1).normal(size=(3, *SHAPE)).astype(np.float32)


@pytest.fixture(autouse=True)
def _portable():
    """Programs that compile in a tenth of the time."""
    with kernels.portable():
        yield


def logits(variables: Any, paths: ChainPaths) -> jax.Array:
    return SUPERNET.apply(variables, images(), paths, train=False)


evaluate = jax.jit(logits)


@jax.jit
def train(variables: Any, paths: ChainPaths) -> Any:
    """Loss, batch statistics, and the gradients of parameters and paths."""

    def loss(params: Any, gates: Any) -> Any:
        now = paths
        if isinstance(paths, nn.Pair):
            now = paths._replace(gates=gates)
        elif gates is not None:
            now = gates
        out, changed = SUPERNET.apply(
            {**variables, "params": params}, images(), now, train=True, mutable=["batch_stats"]
        )
        return (out[:, 0] - out[:, 1] ** 2).sum(), changed["batch_stats"]

    if isinstance(paths, nn.Pair):
        gates = paths.gates
    else:
        gates = paths if jnp.issubdtype(paths.dtype, jnp.floating) else None
    return jax.value_and_grad(loss, (0, 1), has_aux=True)(variables["params"], gates)


def pair(weights: Any) -> nn.Pair:
    return nn.Pair(jnp.asarray(PAIRS, jnp.int32), jnp.asarray(weights, jnp.float32))


def scattered(weights: Any) -> jax.Array:
    """The gates of all candidates that say what `pair` says."""
    gates = np.zeros(SPACE.shape, np.float32)
    np.put_along_axis(gates, PAIRS, np.asarray(weights, np.float32), 1)
    return jnp.asarray(gates)


ONE_PATH = jnp.asarray(CHOICES, jnp.int32)
ONE_HOT = jax.nn.one_hot(ONE_PATH, SPACE.shape[1])
WEIGHTS = np.array([[0.3, 0.7], [0.6, 0.4]])


@pytest.mark.parametrize(
    "choices", [CHOICES, pytest.param(np.array([3, 4]), marks=pytest.mark.slow)]
)
def test_a_derived_network_computes_what_the_supernet_computes(choices: np.ndarray):
    network, cut = nn.cut_chain(SPACE, variables(), choices, CLASSES)
    assert network.genotype == SPACE.decode(choices)
    chex.assert_trees_all_equal_shapes_and_dtypes(cut, nn.abstract_variables(network, SHAPE))
    want = jax.jit(functools.partial(network.apply, train=False))(cut, images())
    np.testing.assert_allclose(
        evaluate(variables(), jnp.asarray(choices, jnp.int32)), want, rtol=1e-5, atol=1e-6
    )
    hot = jax.nn.one_hot(choices, SPACE.shape[1])
    np.testing.assert_allclose(evaluate(variables(), hot), want, rtol=1e-5, atol=1e-6)
    other = (choices + 1) % [4, 5]
    assert np.abs(evaluate(variables(), jnp.asarray(other, jnp.int32)) - want).max() > 1e-2


def test_a_cut_refuses_choices_that_do_not_exist():
    with pytest.raises(ValueError, match="block 1 has options 0 to 3"):
        nn.cut_chain(SPACE, variables(), np.array([4, 0]), CLASSES)


@pytest.mark.slow
def test_one_path_and_one_hot_gates_train_alike():
    """The custom backward pass against plain differentiation of the weighted sum."""
    (loss, stats), (gradient, _) = train(variables(), ONE_PATH)
    (want, all_stats), (expected, of_gates) = train(variables(), ONE_HOT)
    np.testing.assert_allclose(loss, want, rtol=1e-5)
    chex.assert_trees_all_close(gradient, expected, rtol=1e-3, atol=1e-4)
    assert np.abs(of_gates).max() > 1e-2

    before = variables()["batch_stats"]
    for index, names in enumerate(SPACE.candidates):
        for place, name in enumerate(names):
            if name == ZERO:
                continue
            module, ran = candidate_name(index, name), place == CHOICES[index]
            of_weights = np.concatenate([np.ravel(x) for x in jax.tree.leaves(gradient[module])])
            assert of_weights.any() == ran, "candidates that did not run have no gradient"
            changed = jax.tree.leaves(
                jax.tree.map(lambda x, y: (x != y).any(), stats[module], before[module])
            )
            assert all(changed) == any(changed) == ran, "nor new statistics"
            if ran:
                chex.assert_trees_all_close(stats[module], all_stats[module], rtol=1e-4)


@pytest.mark.slow
def test_two_paths_are_the_weighted_sum_of_both():
    for weights in (WEIGHTS, np.array([[1.0, 0.0], [0.0, 1.0]])):
        (loss, stats), (gradient, of_pair) = train(variables(), pair(weights))
        (want, _), (expected, of_all) = train(variables(), scattered(weights))
        np.testing.assert_allclose(loss, want, rtol=1e-5)
        chex.assert_trees_all_close(gradient, expected, rtol=1e-3, atol=1e-4)
        np.testing.assert_allclose(
            of_pair,
            np.take_along_axis(np.asarray(of_all), PAIRS, 1),
            rtol=1e-3,
            atol=1e-4,
        )
        before = variables()["batch_stats"]
        chex.assert_trees_all_equal(stats["block_2_k3e1"], before["block_2_k3e1"])
        assert np.asarray(of_all)[SPACE.nothing].max() == 0, "nothing comes out of Zero"


def test_gates_of_zero_pass_no_gradient_to_their_candidates():
    _, (gradient, of_gates) = train(variables(), ONE_HOT)
    assert not any(x.any() for x in jax.tree.leaves(gradient["block_1_k5e1"]))
    assert np.abs(np.asarray(of_gates)[0, 2]) > 1e-3, "but the gates themselves have one"


def temporaries(space: ChainSpace, paths: Any) -> int:
    """Bytes that a gradient of the weights needs besides its inputs and outputs."""
    network = nn.ChainSupernet(space, 2)
    shape = (16, 16, 3)
    weights = nn.abstract_variables(network, shape, jnp.zeros(1, jnp.int32))

    def loss(params: Any, stats: Any, x: jax.Array, paths: Any) -> Any:
        variables = {"params": params, "batch_stats": stats}
        out, changed = network.apply(variables, x, paths, train=True, mutable=["batch_stats"])
        return (out**2).sum(), changed

    program = jax.jit(jax.grad(loss, has_aux=True)).lower(
        weights["params"],
        weights["batch_stats"],
        jax.ShapeDtypeStruct((64, *shape), jnp.float32),
        paths,
    )
    return program.compile().memory_analysis().temp_size_in_bytes


@pytest.mark.slow  # four gradients are compiled
def test_one_path_takes_the_memory_of_one_path():
    """More candidates cost weights, not activations; all at once cost both."""
    few = ChainSpace(2, 2, ((2, 1, 1),), 2, kernels=(3,), expansions=(5, 6), small=True)
    many = dataclasses.replace(few, expansions=(2, 3, 4, 5, 6))
    choice = jax.ShapeDtypeStruct((1,), jnp.int32)
    one = [temporaries(space, choice) for space in (few, many)]
    every = [
        temporaries(space, jax.ShapeDtypeStruct(space.shape, jnp.float32)) for space in (few, many)
    ]
    activations = 4 * 64 * 16 * 16 * 2
    assert one[1] - one[0] < activations, "not even one tensor more"
    assert every[1] - every[0] > 10 * activations


def test_seeds_side_by_side_compute_what_each_computes():
    """Under vmap, where a branch is a selection among all."""
    both = jnp.stack([ONE_PATH, jnp.asarray([0, 4], jnp.int32)])
    together = jax.jit(jax.vmap(logits, (None, 0)))(variables(), both)
    for out, choices in zip(together, both, strict=True):
        np.testing.assert_allclose(out, evaluate(variables(), choices), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("unit", ["macs", "params"])
def test_costs_add_up_to_those_of_each_network(unit: Any):
    costs = nn.candidate_costs(SPACE, SHAPE, CLASSES, unit)
    assert costs.unit == {"macs": "multiply-adds", "params": "parameters"}[unit]
    rng = np.random.default_rng(0)
    for choices in (CHOICES, *(rng.integers(SPACE.options) for _ in range(4))):
        network = nn.build(SPACE.decode(choices), CLASSES)
        assert costs.of(choices) == getattr(nn.cost(network, SHAPE), unit)
    assert not costs.candidates[~SPACE.possible | SPACE.nothing].any()


def test_costs_refuse_an_unknown_unit():
    with pytest.raises(ValueError, match="unit must be 'macs' or 'params', not 'joules'"):
        nn.candidate_costs(SPACE, SHAPE, CLASSES, "joules")  # pyright: ignore[reportArgumentType]


def test_latencies_of_candidates_are_the_sums_of_their_parts():
    space = dataclasses.replace(SPACE, stages=((4, 1, 1),), kernels=(3,))
    latency = candidate_latency(space, SHAPE, CLASSES, batch_size=2, rounds=1)
    assert latency.candidates.shape == (1, 3)
    assert latency.candidates[0, 2] == 0, "Zero"
    assert latency.fixed > 0
    known = {name: 2.0**index for index, name in enumerate(latency.parts)}
    again = candidate_latency(space, SHAPE, CLASSES, batch_size=2, rounds=1, known=known)
    depthwise = [name for name in known if "depthwise_conv_3x3" in name]
    widen = [name for name in known if "conv_1x1" in name and "features=12" in name]
    narrow = [name for name in known if "conv_1x1" in name and name.endswith("4x4x12")]
    assert len(widen) == len(narrow) == 1
    of_three = [name for name in depthwise if name.endswith("4x4x12")] + widen + narrow
    assert again.candidates[0, 1] == sum(known[name] for name in of_three)

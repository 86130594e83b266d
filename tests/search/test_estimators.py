"""Estimators: gradients against ProxylessNAS's formulas, draws against a full enumeration."""

from __future__ import annotations

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnas.search import ESTIMATORS, Gates
from jaxnas.search.shared.adaptation import initial_theta
from jaxnas.search.shared.costs import expected_cost
from jaxnas.search.shared.estimators import rescale_pair
from jaxnas.spaces import AdaptationSpace, Block, Cell, Edge, Genotype, Node

from .formulas import FULL, GATES_GRADIENT, PAIR, PROBABILITIES, THETA

ONE_HOT = ("hard", "sampled", "two_path")
SAMPLING = ("sampled", "two_path")


def small_space(*cells: Cell) -> AdaptationSpace:
    """Granularity cell over one block of each of `cells`."""
    blocks = tuple(Block(cell.name, 4) for cell in cells)
    return AdaptationSpace(Genotype("base", "residual", 4, cells, blocks), "cell")


# Every kind of edge: convolutions in a row, a null edge and a shortcut beside them.
WIDE = Cell(
    "wide",
    inputs=1,
    nodes=(Node(), Node()),
    edges=(
        Edge("conv_3x3", 0, 1),
        Edge("null", 0, 2),
        Edge("skip_connect", 0, 2),
        Edge("conv_3x3", 1, 2),
    ),
    output=(2,),
)
# Fewer edges, so that its table is padded; a null edge is its only way round a convolution.
NARROW = Cell(
    "narrow",
    inputs=1,
    nodes=(Node(),),
    edges=(Edge("conv_3x3", 0, 1), Edge("null", 0, 1)),
    output=(1,),
)
CHAIN = Cell(
    "chain",
    inputs=1,
    nodes=(Node(), Node()),
    edges=(Edge("conv_3x3", 0, 1), Edge("conv_3x3", 1, 2), Edge("null", 0, 2)),
    output=(2,),
)
SPACE = small_space(WIDE, NARROW)


def keys(count: int, seed: int = 0) -> jax.Array:
    return jax.random.split(jax.random.key(seed), count)


def random_theta(space: AdaptationSpace, seed: int = 0, scale: float = 1.0) -> jax.Array:
    return scale * jax.random.normal(jax.random.key(seed), space.shape)


def draws(name: str, space: AdaptationSpace, theta: jax.Array, count: int) -> Gates:
    """`count` independent draws, stacked."""
    gates = ESTIMATORS[name](space).gates
    return jax.jit(jax.vmap(gates, (None, 0)))(theta, keys(count))


def softmax(theta: np.ndarray) -> np.ndarray:
    exponentials = np.exp(theta)
    return exponentials / exponentials.sum(-1, keepdims=True)


def assignments(cell: Cell) -> np.ndarray:
    return np.array(list(itertools.product(range(3), repeat=len(cell.edges))))


def conditional(space: AdaptationSpace, table: int, theta: jax.Array) -> tuple[np.ndarray, float]:
    """p of every assignment of a table given that it is connected, and P(not connected)."""
    cell = space.cells[table]
    p = softmax(np.asarray(theta, np.float64)[table, : len(cell.edges)])
    choices = assignments(cell)
    joint = np.prod([p[edge, choices[:, edge]] for edge in range(len(cell.edges))], axis=0)
    alone = small_space(cell)
    live = np.array([alone.connected(row[None])[0] for row in choices])
    return joint * live / joint[live].sum(), joint[~live].sum()


def assert_drawn_from(counts: np.ndarray, probabilities: np.ndarray) -> None:
    """Pearson's chi square within five deviations; what is impossible never occurs."""
    assert counts[probabilities == 0].sum() == 0
    expected = counts.sum() * probabilities
    rare = expected < 10
    observed, expected = (np.append(each[~rare], each[rare].sum()) for each in (counts, expected))
    keep = expected > 0
    chi_square = ((observed - expected)[keep] ** 2 / expected[keep]).sum()
    freedom = keep.sum() - 1
    assert freedom >= 1
    assert abs(chi_square - freedom) < 5 * np.sqrt(2 * freedom)


def codes(choices: np.ndarray, base: int = 3) -> np.ndarray:
    """The position of each row in the product order that `assignments` has."""
    return choices @ base ** np.arange(choices.shape[-1])[::-1]


@pytest.mark.quick_cases(1)
@pytest.mark.parametrize("name", ESTIMATORS)
def test_gates_at_the_start(name: str):
    theta = initial_theta(SPACE)
    operation = SPACE.carries[..., 2]  # neither null nor padding
    np.testing.assert_array_equal(theta[operation], [[0, 0, 1]] * operation.sum())
    np.testing.assert_array_equal(theta[~operation], [[0, 0, 0]] * (~operation).sum())
    gates, pair, redrawn = jax.jit(ESTIMATORS[name](SPACE).gates)(theta, jax.random.key(0))
    assert gates.shape == pair.shape == SPACE.shape
    assert gates.dtype == jnp.float32
    if name == "mixed":
        expected = np.broadcast_to(PROBABILITIES[0], gates[operation].shape)
        np.testing.assert_allclose(gates[operation], expected, atol=1e-7)
        np.testing.assert_allclose(gates[~operation], 1 / 3, atol=1e-7)
    elif name in ("raw", "hard"):
        weight_of_what_carries = np.where(SPACE.carries, gates, 0)
        base = np.where(SPACE.carries, [0, 0, 1], 0)
        np.testing.assert_array_equal(weight_of_what_carries, base)
    if name not in SAMPLING:
        assert redrawn == 0
    if name != "two_path":
        assert pair.all()


@pytest.mark.parametrize("name", ["mixed", "hard", "sampled"])
def test_gradient_of_the_full_estimator(name: str):
    space = small_space(NARROW)
    estimator = ESTIMATORS[name](space)

    def through(theta: jax.Array, key: jax.Array) -> jax.Array:
        return jax.vjp(lambda t: estimator.gates(t, key).gates, theta)[1](
            jnp.broadcast_to(jnp.float32(GATES_GRADIENT), theta.shape)
        )[0]

    theta = jnp.asarray(THETA[None], jnp.float32)
    got = jax.jit(jax.vmap(through, (None, 0)))(theta, keys(20))
    np.testing.assert_allclose(got, np.broadcast_to(FULL, (20, 1, 2, 3)), atol=2e-7)


def test_gradient_of_raw_weights_is_that_of_the_gates():
    theta, cotangent = random_theta(SPACE), random_theta(SPACE, 1)
    raw = ESTIMATORS["raw"](SPACE)
    gates, back = jax.vjp(lambda t: raw.gates(t, jax.random.key(0)).gates, theta)
    np.testing.assert_array_equal(gates, theta)
    np.testing.assert_array_equal(back(cotangent)[0], cotangent)


def test_gradient_and_rescaling_of_two_paths():
    space = small_space(NARROW)
    estimator = ESTIMATORS["two_path"](space)
    theta = jnp.asarray(THETA[None], jnp.float32)

    def one_step(key: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        _, back, gates = jax.vjp(
            lambda t: (lambda g: (g.gates, g))(estimator.gates(t, key)), theta, has_aux=True
        )
        gradient = back(jnp.broadcast_to(jnp.float32(GATES_GRADIENT), theta.shape))[0]
        return gradient, gates.pair, estimator.after_update(theta, theta - 0.1 * gradient, gates)

    gradient, pair, after = (
        np.asarray(each[:, 0], np.float64) for each in jax.jit(jax.vmap(one_step))(keys(200))
    )
    seen = set()
    for index, edge in itertools.product(range(len(pair)), range(2)):
        members = tuple(np.flatnonzero(pair[index, edge]))
        assert len(members) == 2
        i, j = members
        q = softmax(THETA[edge, [i, j]])
        slope = q[0] * q[1] * (GATES_GRADIENT[i] - GATES_GRADIENT[j])
        formula = np.zeros(3)
        formula[[i, j]] = slope, -slope
        if (edge, members) in PAIR:
            np.testing.assert_allclose(formula, PAIR[edge, members], atol=1e-11)
            seen.add((edge, members))
        np.testing.assert_allclose(gradient[index, edge], formula, atol=2e-7)

        # One step of plain SGD, then what keeps the third candidate's probability.
        (third,) = set(range(3)) - set(members)
        moved = after[index, edge]
        assert moved[third] == np.float32(THETA[edge, third])
        np.testing.assert_allclose(
            moved[i] - moved[j], THETA[edge, i] - THETA[edge, j] - 0.2 * slope, atol=3e-7
        )
        np.testing.assert_allclose(softmax(moved)[third], softmax(THETA[edge])[third], atol=1e-7)
        if (edge, members) == (1, (0, 2)):
            np.testing.assert_allclose(moved, [0.288448384091, -0.2, 0.707669243750], atol=2e-7)
            np.testing.assert_allclose(
                softmax(moved), [0.319045020286, 0.195758907471, 0.485196072243], atol=1e-7
            )
    assert seen == set(PAIR)


def test_rescaling_leaves_other_probabilities_alone_however_far_the_step():
    before = random_theta(SPACE, 0, 3.0)
    moved = random_theta(SPACE, 1, 30.0)
    third = jax.random.randint(jax.random.key(2), SPACE.shape[:2], 0, 3)
    pair = ~jax.nn.one_hot(third, 3, dtype=bool)
    after = rescale_pair(
        before, jnp.where(pair, moved, before), Gates(before, pair, jnp.zeros((), jnp.int32))
    )
    assert np.isfinite(after).all()
    unsampled = [
        np.take_along_axis(np.asarray(jax.nn.log_softmax(theta)), np.asarray(third)[..., None], -1)
        for theta in (before, after)
    ]
    np.testing.assert_allclose(unsampled[1], unsampled[0], rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(
        rescale_pair(before, before, Gates(before, pair, jnp.zeros((), jnp.int32))), before
    )


@pytest.mark.quick_cases(1)
@pytest.mark.parametrize("name", ONE_HOT)
def test_gates_are_exactly_one_hot_beside_their_gradient(name: str):
    estimator = ESTIMATORS[name](SPACE)
    cotangent = random_theta(SPACE, 5)

    def both(theta: jax.Array, key: jax.Array) -> tuple[Gates, jax.Array]:
        def weighted(theta: jax.Array) -> tuple[jax.Array, Gates]:
            gates = estimator.gates(theta, key)
            return (gates.gates * cotangent).sum(), gates

        (_, gates), gradient = jax.value_and_grad(weighted, has_aux=True)(theta)
        return gates, gradient

    # From flat to as good as decided: the probabilities then underflow.
    scale = jnp.repeat(jnp.array([0.1, 1.0, 5.0, 300.0]), 250)
    theta = scale[:, None, None, None] * jax.random.normal(jax.random.key(1), (1000, *SPACE.shape))
    gates, gradient = jax.jit(jax.vmap(both))(theta, keys(1000))
    values = np.asarray(gates.gates)
    assert np.isin(values, (0.0, 1.0)).all()
    np.testing.assert_array_equal(values.sum(-1), 1.0)
    assert np.isfinite(gradient).all()
    np.testing.assert_allclose(np.asarray(gradient).sum(-1), 0.0, atol=1e-6)
    assert (np.asarray(gates.gates)[~np.asarray(gates.pair)] == 0).all()
    assert (np.asarray(gradient)[~np.asarray(gates.pair)] == 0).all()
    for table, cell in enumerate(SPACE.cells):
        edges = np.abs(np.asarray(gradient))[:500, table, : len(cell.edges)]
        assert (edges.max(-1) > 0).all(), "an undecided edge has a gradient"


@pytest.mark.slow
@pytest.mark.parametrize("name", SAMPLING)
@pytest.mark.parametrize("seed", [0, 1])
def test_no_draw_is_dead(name: str, seed: int):
    theta = random_theta(SPACE, seed).at[..., 0].add(2.0)  # none is likely
    gates = draws(name, SPACE, theta, 2000)
    choices = np.unique(np.asarray(gates.gates.argmax(-1)), axis=0)
    assert len(choices) > 20
    for table, cell in enumerate(SPACE.cells):
        rows = np.unique(choices[:, table, : len(cell.edges)], axis=0)
        assert all(small_space(cell).connected(row[None]).all() for row in rows)
    assert np.asarray(gates.redrawn).max() == len(SPACE.cells)


@pytest.mark.slow
@pytest.mark.parametrize(
    "theta", [initial_theta(SPACE), random_theta(SPACE, 3).at[..., 0].add(1.0)]
)
def test_sampled_draws_from_p_given_a_reachable_output(theta: jax.Array):
    gates = draws("sampled", SPACE, theta, 50_000)
    choices = np.asarray(gates.gates.argmax(-1))
    dead = 0.0
    for table, cell in enumerate(SPACE.cells):
        probabilities, unreachable = conditional(SPACE, table, theta)
        rows = codes(choices[:, table, : len(cell.edges)])
        assert_drawn_from(np.bincount(rows, minlength=len(probabilities)), probabilities)
        dead += unreachable
    redrawn = np.asarray(gates.redrawn)
    assert 0.1 < dead < 1.0
    assert abs(redrawn.mean() - dead) < 5 * redrawn.std() / np.sqrt(len(redrawn))


@pytest.mark.slow
def test_two_path_draws_pairs_without_replacement_and_one_of_them_by_q():
    space = small_space(CHAIN)
    theta = random_theta(space, 4).at[..., 2].add(1.0)
    gates = draws("two_path", space, theta, 50_000)
    active = np.asarray(gates.gates.argmax(-1))[:, 0]
    pair = np.asarray(gates.pair)[:, 0]
    assert (pair.sum(-1) == 2).all()
    partner = (pair & (np.arange(3) != active[..., None])).argmax(-1)

    p = softmax(np.asarray(theta, np.float64)[0])
    ordered = list(itertools.permutations(range(3), 2))  # active, partner
    first = np.array(
        [
            [
                p_edge[i]
                * p_edge[j]
                * (1 / (1 - p_edge[i]) + 1 / (1 - p_edge[j]))
                * p_edge[i]
                / (p_edge[i] + p_edge[j])
                for i, j in ordered
            ]
            for p_edge in p
        ]
    )
    np.testing.assert_allclose(first.sum(-1), 1.0)
    again, _ = conditional(space, 0, theta)
    given = np.array([[p_edge[j] / (1 - p_edge[i]) for i, j in ordered] for p_edge in p])
    drawn = np.array(list(itertools.product(range(6), repeat=3)))
    edges = np.arange(3)
    joint = first[edges, drawn].prod(-1)
    actives = np.array([i for i, _ in ordered])[drawn]
    live = again[codes(actives)] > 0
    # A dead first draw is drawn again from p given a reachable output, partners from the rest.
    expected = joint * live + joint[~live].sum() * again[codes(actives)] * given[edges, drawn].prod(
        -1
    )
    np.testing.assert_allclose(expected.sum(), 1.0)

    number = np.zeros((3, 3), int)
    for index, (i, j) in enumerate(ordered):
        number[i, j] = index
    rows = codes(number[active, partner], 6)
    assert_drawn_from(np.bincount(rows, minlength=len(expected)), expected)
    redrawn = np.asarray(gates.redrawn)
    assert 0.05 < joint[~live].sum() < 0.95
    assert abs(redrawn.mean() - joint[~live].sum()) < 5 * redrawn.std() / np.sqrt(len(redrawn))


def test_hard_runs_what_is_derived_from_it():
    hard = ESTIMATORS["hard"](SPACE)
    theta = jax.random.normal(jax.random.key(0), (200, *SPACE.shape)).at[..., 0].add(1.0)
    gates = jax.jit(jax.vmap(hard.gates, (0, None)))(theta, jax.random.key(0))
    choices = np.asarray(gates.gates.argmax(-1))
    repaired = []
    for row, choice in zip(theta, choices, strict=True):
        derived = SPACE.derive(np.asarray(row))
        repaired.append(len(derived.repaired))
        # What is derived is also pruned of edges from nowhere to nowhere.
        pruned = SPACE.derive(np.eye(3)[choice])
        assert not pruned.repaired
        np.testing.assert_array_equal(pruned.choices, derived.choices)
        if not derived.repaired:
            np.testing.assert_array_equal(choice, row.argmax(-1))
    np.testing.assert_array_equal(gates.redrawn, repaired)
    assert set(repaired) == {0, 1, 2}


def test_raw_weights_stay_at_or_above_zero():
    raw = ESTIMATORS["raw"](SPACE)
    before, after = random_theta(SPACE), random_theta(SPACE, 1)
    kept = raw.after_update(before, after, raw.gates(before, jax.random.key(0)))
    np.testing.assert_array_equal(kept, np.maximum(after, 0))


def test_raw_derives_the_nearest_one_hot_row():
    raw = ESTIMATORS["raw"](SPACE)
    weights = np.abs(np.asarray(random_theta(SPACE, 2)))
    weights[0, 0], weights[0, 3] = [0, 0.4, 0.45], [0, 0.2, 0.9]  # node 1 goes, node 2 stays
    scores = np.asarray(raw.scores(jnp.asarray(weights)))
    for table, cell in enumerate(SPACE.cells):
        for edge, (row, operation) in enumerate(zip(weights[table], cell.edges, strict=False)):
            if operation.op == "skip_connect":
                continue
            candidates = [0, 1, 2] if operation.op != "null" else [0, 1]
            effect = np.where(SPACE.carries[table, edge], row, 0)
            far = {c: np.square(effect - np.eye(3)[c] * (c > 0)).sum() for c in candidates}
            nearest = min(far, key=far.__getitem__)
            best = scores[table, edge].argmax()
            assert best == nearest or ({best, nearest} == {0, 2} and operation.op == "null")


@pytest.mark.parametrize("name", ESTIMATORS)
def test_what_pads_a_table_changes_nothing_else(name: str):
    gates = jax.jit(ESTIMATORS[name](SPACE).gates)
    theta = random_theta(SPACE, 6).at[..., 0].add(1.0)
    padded = jnp.where(SPACE.valid[..., None], theta, random_theta(SPACE, 7, 10.0))
    redrawn = 0
    for key in keys(10):
        plain, other = gates(theta, key), gates(padded, key)
        redrawn += int(plain.redrawn)
        assert plain.redrawn == other.redrawn
        for one, two in ((plain.gates, other.gates), (plain.pair, other.pair)):
            np.testing.assert_array_equal(one[SPACE.valid], two[SPACE.valid])
    assert redrawn > 0 or name not in SAMPLING


@pytest.mark.quick_cases(1)
@pytest.mark.parametrize("name", ESTIMATORS)
def test_a_draw_is_a_function_of_its_key(name: str):
    gates = jax.jit(ESTIMATORS[name](SPACE).gates)
    theta = random_theta(SPACE, 8)
    many = jax.jit(jax.vmap(gates, (None, 0)))(theta, keys(50))
    for index, key in enumerate(keys(50)[:3]):
        alone = gates(theta, key)
        np.testing.assert_allclose(alone.gates, many.gates[index], atol=1e-7)
        np.testing.assert_array_equal(alone.pair, many.pair[index])
        assert alone.redrawn == many.redrawn[index]
    variants = len(np.unique(np.asarray(many.gates), axis=0))
    assert variants > 20 if name in SAMPLING else variants == 1


def test_expected_cost_is_the_mean_cost_of_draws():
    theta = random_theta(SPACE, 9)
    costs = jax.random.uniform(jax.random.key(1), SPACE.shape)
    p = softmax(np.asarray(theta, np.float64))
    np.testing.assert_allclose(
        expected_cost(theta, costs), (p * np.asarray(costs)).sum(), rtol=1e-6
    )

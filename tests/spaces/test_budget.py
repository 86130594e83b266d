"""The best network within a budget against brute force, and how near the budget it comes."""

import dataclasses
import itertools

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from jaxnas.spaces import AdaptationSpace, Block, Cell, Edge, Genotype, Node
from jaxnas.spaces.adaptation import SAME, budget
from jaxnas.spaces.adaptation.budget import cheapest, cost_of, derive_within
from jaxnas.spaces.genotype import NULL
from support import graphs

FAST = graphs.FAST


@st.composite
def problems(draw):
    """A space of at most 3^6 networks, parameters on a grid so that ties happen, and costs."""
    base = draw(graphs.genotypes(connected=True, most_blocks=2, most_nodes=2, most_edges=3))
    assume(any(cell.edges for cell in base.cells) and len(base.cells) <= 2)
    space = AdaptationSpace(base, draw(st.sampled_from(("cell", "full"))))
    size = int(np.prod(space.shape))
    theta = draw(st.lists(st.integers(-12, 12), min_size=size, max_size=size))
    costs = draw(st.lists(st.integers(0, 9), min_size=size, max_size=size))
    costs = np.array(costs).reshape(space.shape) * space.carries
    return space, np.array(theta).reshape(space.shape) / 8, costs


def networks(space, theta, costs):
    """(score, cost, edges) of every network with nothing to prune, table by table."""
    by_table = []
    for table, cell in enumerate(space.cells):
        found = []
        for choices in graphs.assignments(len(cell.edges)):
            edges = graphs.chosen_edges(cell, choices)
            variant = dataclasses.replace(cell, edges=edges)
            live = {index for index, edge in enumerate(edges) if edge.op != NULL}
            if not graphs.by_paths(cell.inputs, edges, cell.output):
                continue
            if live == graphs.on_paths(variant):
                score = sum(theta[table, index, each] for index, each in enumerate(choices))
                cost = sum(costs[table, index, each] for index, each in enumerate(choices))
                found.append((score, cost, edges))
        by_table.append(found)
    for chosen in itertools.product(*by_table):
        yield sum(s for s, _, _ in chosen), sum(c for _, c, _ in chosen), [e for *_, e in chosen]


def edges_of(space, choices):
    return [
        graphs.chosen_edges(cell, row[: len(cell.edges)])
        for cell, row in zip(space.cells, choices, strict=True)
    ]


@FAST
@given(problems(), st.integers(0, 40), st.integers(0, 10))
def test_it_is_the_best_of_all_that_fit(problem, most, width):
    space, theta, costs = problem
    every = list(networks(space, theta, costs))
    smallest = min(cost for _, cost, _ in every)
    assert cheapest(space, costs) == smallest
    if smallest > most:
        with pytest.raises(ValueError, match=f"costs {smallest}, above {most}"):
            derive_within(space, theta, costs, most)
        return
    least = most - width
    found = derive_within(space, theta, costs, most, least)
    cost = cost_of(costs, found.choices)
    assert cost <= most
    assert space.connected(found.choices).all()
    assert found.genotype == space.decode(found.choices[space.valid])
    own = space.derive(theta)
    if cost_of(costs, own.choices) <= most:
        np.testing.assert_array_equal(found.choices, own.choices)
        return
    fitting = [each for each in every if each[1] <= most]
    nearest = min(least, max(cost for _, cost, _ in fitting))
    wanted = [each for each in fitting if each[1] >= nearest]
    best = max(wanted, key=lambda each: (each[0], each[1]))
    edges = edges_of(space, found.choices)
    same = [each for each in wanted if each[2] == edges]
    assert same, "nothing is left to prune"
    assert max(score for score, *_ in same) == best[0]
    assert cost == best[1]


@FAST
@given(problems())
def test_without_a_bound_it_is_the_arg_max(problem):
    space, theta, costs = problem
    found = derive_within(space, theta, costs, int(costs.sum()))
    assert found.genotype == space.derive(theta).genotype


def parallel(edges, blocks=1):
    """A space of cells of so many parallel edges, in which nothing is ever pruned."""
    ops = tuple(Edge("conv_1x1", 0, 1) for _ in range(edges))
    cell = Cell("cell", 1, (Node(),), ops, (1,))
    base = Genotype("wide", "residual", 4, (cell,), (Block("cell", 4),) * blocks)
    return AdaptationSpace(base, "full")


@pytest.mark.quick_cases(1)
@pytest.mark.parametrize("seed", range(5))
def test_coarse_costs_lose_little_and_never_break_the_limit(monkeypatch, seed):
    """With few cells: at least as good as all below the limit by a cell a table."""
    space = parallel(3, blocks=8)
    rng = np.random.default_rng(seed)
    theta = rng.normal(size=space.shape)
    theta[..., SAME] += 2
    costs = rng.integers(0, 1000, space.shape) * space.carries
    most = int(0.5 * costs[..., SAME].sum())
    lower = most - most * space.shape[0] // 60

    def score(cells, limit):
        monkeypatch.setattr(budget, "CELLS", cells)
        found = derive_within(space, theta, costs, limit)
        assert cost_of(costs, found.choices) <= limit
        return np.take_along_axis(theta, found.choices[..., None], -1).sum()

    assert score(10**9, lower) <= score(60, most) <= score(10**9, most)
    assert score(10**9, lower) < score(10**9, most)


def test_too_many_edges_are_refused():
    space = parallel(13)
    costs = np.ones(space.shape, int)
    with pytest.raises(ValueError, match=r"'wide' has 13 edges, .* at most 12 are possible"):
        derive_within(space, np.ones(space.shape), costs, 3)


def test_twelve_edges_are_gone_through():
    space = parallel(12)
    costs = np.zeros(space.shape, int)
    costs[..., SAME] = np.arange(12) + 1
    theta = np.zeros(space.shape)
    theta[..., SAME] = 1
    found = derive_within(space, theta, costs, 22)
    # 1 + 2 + 3 + 4 + 5 = 15 are five; six cheapest cost 21, and the sixth may cost one more.
    assert cost_of(costs, found.choices) == 22
    assert (found.choices == SAME).sum() == 6


def test_costs_that_are_none_are_refused():
    space = parallel(2)
    theta = np.ones(space.shape)
    good = np.ones(space.shape, int)
    for costs in (good.astype(float), -good, good[:, :1]):
        with pytest.raises(ValueError, match="costs must be whole numbers"):
            derive_within(space, theta, costs, 1)


def test_a_null_edge_chosen_to_stay_costs_nothing_and_is_no_edge():
    cell = Cell("cell", 1, (Node(),), (Edge("conv_3x3", 0, 1), Edge(NULL, 0, 1)), (1,))
    base = Genotype("base", "residual", 4, (cell,), (Block("cell", 4),))
    space = AdaptationSpace(base, "full")
    theta = np.array([[[0.0, 1.0, 2.0], [0.0, 0.5, 9.0]]])
    found = derive_within(space, theta, np.array([[[0, 1, 9], [0, 1, 0]]]), 5)
    assert [str(edge) for edge in found.genotype.cells[0].edges] == ["skip_connect 0>1", "null 0>1"]

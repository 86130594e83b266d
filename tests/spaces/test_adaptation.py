"""The adaptation space against brute force: every choice, every path, every assignment."""

import collections
import dataclasses
import itertools
import re

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from jaxnas.spaces import (
    AdaptationSpace,
    Block,
    Cell,
    Edge,
    Genotype,
    Node,
    SpaceError,
    zoo,
)
from jaxnas.spaces.adaptation import ID, NONE, SAME, changes
from jaxnas.spaces.genotype import NULL, SKIP
from support import graphs

FAST = graphs.FAST
GRANULARITIES = ("cell", "full")
PASSING = {NULL, SKIP, "pad_shortcut"}


@st.composite
def spaces(draw, **limits):
    base = draw(graphs.genotypes(connected=True, **limits))
    assume(any(cell.edges for cell in base.cells))
    return AdaptationSpace(base, draw(st.sampled_from(GRANULARITIES)))


def some_choices(draw, space):
    """Choices of every table, padding included, as an array."""
    tables, edges = space.shape[:2]
    row = st.lists(st.integers(0, 2), min_size=edges, max_size=edges)
    return np.array(draw(st.lists(row, min_size=tables, max_size=tables)), np.int32)


def some_theta(draw, space):
    """Parameters on a grid of eighths, so that sums are exact and ties happen."""
    size = int(np.prod(space.shape))
    values = draw(st.lists(st.integers(-12, 12), min_size=size, max_size=size))
    return np.array(values).reshape(space.shape) / 8


def tables(space):
    """(cell, table) of each block."""
    return list(zip(space.base.placed_cells(), space.table_of_block, strict=True))


def row(choices, cell):
    return [int(choice) for choice in choices[: len(cell.edges)]]


@pytest.fixture(params=[(n, g) for n in zoo.ZOO for g in GRANULARITIES], ids="-".join)
def zoo_space(request):
    name, granularity = request.param
    return AdaptationSpace(zoo.named(name), granularity)


# Tables.


def decode(space, choices):
    """The network of choices in tables."""
    return space.decode(choices[space.valid])


def test_a_table_stands_for_each_cell_or_for_each_block(zoo_space):
    base = zoo_space.base
    if zoo_space.granularity == "cell":
        assert zoo_space.cells == base.cells
        assert zoo_space.table_names == tuple(cell.name for cell in base.cells)
    else:
        assert zoo_space.cells == base.placed_cells()
        assert len(set(zoo_space.table_names)) == len(base.blocks)
    assert len(zoo_space.table_names) == len(zoo_space.cells) == zoo_space.shape[0]
    for cell, table in tables(zoo_space):
        assert zoo_space.cells[table] == cell


@FAST
@given(st.data())
def test_a_candidate_carries_if_the_edge_it_makes_does(data):
    space = data.draw(spaces())
    assert space.valid.shape == space.shape[:2]
    assert space.carries.shape == space.shape
    for table, cell in enumerate(space.cells):
        for index in range(space.shape[1]):
            real = index < len(cell.edges)
            assert space.valid[table, index] == real
            for choice in (NONE, ID, SAME):
                carries = real and graphs.chosen_op(cell.edges[index].op, choice) != NULL
                assert space.carries[table, index, choice] == carries


# From choices to genotypes.


def test_the_base_choices_give_the_base(zoo_space):
    assert decode(zoo_space, zoo_space.base_choices()) == zoo_space.base


@FAST
@given(st.data())
def test_the_base_choices_of_any_base_give_the_base(data):
    space = data.draw(spaces())
    assert decode(space, space.base_choices()) == space.base


@FAST
@given(st.data())
def test_choices_are_decoded_edge_by_edge(data):
    space = data.draw(spaces())
    choices = some_choices(data.draw, space)
    decoded = decode(space, choices)
    base = space.base
    assert (decoded.family, decoded.stem, decoded.head) == (base.family, base.stem, base.head)
    shapes = [(block.channels, block.stride) for block in base.blocks]
    assert [(block.channels, block.stride) for block in decoded.blocks] == shapes
    for (cell, table), found in zip(tables(space), decoded.placed_cells(), strict=True):
        assert found.edges == graphs.chosen_edges(cell, row(choices[table], cell))
        assert (found.inputs, found.nodes, found.output) == (cell.inputs, cell.nodes, cell.output)
    assert Genotype.from_json(decoded.to_json()) == decoded
    changed = decoded.placed_cells() != base.placed_cells()
    assert decoded.name == (f"{base.name}_adapted_{space.granularity}" if changed else base.name)


@FAST
@given(st.data())
def test_blocks_that_agree_share_a_cell(data):
    space = data.draw(spaces())
    choices = some_choices(data.draw, space)
    decoded = decode(space, choices)
    kinds = {
        (cell.name, graphs.chosen_edges(cell, row(choices[table], cell)))
        for cell, table in tables(space)
    }
    if decoded != space.base:
        assert len(decoded.cells) == len(kinds)


@FAST
@given(st.data())
def test_one_table_for_all_blocks_is_the_same_table_for_each(data):
    base = data.draw(graphs.genotypes(connected=True))
    assume(any(cell.edges for cell in base.cells))
    cell_space, full_space = (AdaptationSpace(base, each) for each in GRANULARITIES)
    choices = some_choices(data.draw, cell_space)
    repeated = choices[cell_space.table_of_block][:, : full_space.shape[1]]
    by_cell, by_block = decode(cell_space, choices), decode(full_space, repeated)
    pairs = zip(by_cell.placed_cells(), by_block.placed_cells(), strict=True)
    assert all(one.edges == other.edges for one, other in pairs)
    assert by_cell.connected() == by_block.connected()


@FAST
@given(st.data())
def test_a_network_is_encoded_by_choices_that_make_it(data):
    space = data.draw(spaces())
    decoded = decode(space, some_choices(data.draw, space))
    again = space.decode(space.encode(decoded))
    assert [cell.edges for cell in again.placed_cells()] == [
        cell.edges for cell in decoded.placed_cells()
    ]


@given(st.data())
def test_changes_are_told_by_number(data):
    space = data.draw(spaces())
    adapted = decode(space, some_choices(data.draw, space))
    told = changes(space.base, adapted)
    listed = re.match(r"blocks? ([\d, ]+) w\w+ dropped", told)
    dropped = [] if listed is None else [int(each) for each in listed[1].split(", ")]
    changed, counted = 0, told[listed.end() if listed else 0 :]
    pairs = zip(space.base.placed_cells(), adapted.placed_cells(), strict=True)
    for number, cells in enumerate(pairs):
        did, does = ({edge.op for edge in cell.edges} - PASSING for cell in cells)
        assert (number in dropped) == bool(did and not does)
        if number not in dropped:
            old, new = (cell.edges for cell in cells)
            changed += sum(a.op != b.op for a, b in zip(old, new, strict=True))
    assert sum(int(word) for word in counted.split() if word.isdigit()) == changed
    assert (told == "none changed") == (not changed and not dropped)


def test_a_network_without_edges_has_one_candidate():
    empty = Cell("empty", 1, (Node(),), (), (0,))
    base = Genotype("plain", "macro", 1, (empty,), (Block("empty", 4, sources=(-1,)),))
    space = AdaptationSpace(base, "full")
    assert space.levels == (0,)
    assert space.decode(np.zeros(0, np.int32)) == base


def test_changes_in_words():
    base = zoo.named("resnet20_cells")
    space = AdaptationSpace(base, "full")
    choices = space.base_choices()
    cells = [cell.edges for cell in base.placed_cells()]
    null = [(i, j) for i, edges in enumerate(cells) for j, e in enumerate(edges) if e.op == NULL]
    for place in null[:3]:
        choices[place] = ID
    assert changes(base, decode(space, choices)) == "3 null edges became identities"
    choices[null[1]] = choices[null[2]] = SAME
    convolution = next(j for j, edge in enumerate(cells[0]) if edge.op == "conv_3x3")
    choices[0, convolution] = NONE
    assert changes(base, decode(space, choices)) == (
        "1 null edge became an identity, 1 conv_3x3 edge became null"
    )


def test_blocks_that_are_gone_are_named():
    base = zoo.named("efficientnet_lite0")
    space = AdaptationSpace(base, "block")
    candidate = np.array([each.options.index("same") for each in space.decisions], np.int32)
    branches = [index for index, each in enumerate(space.decisions) if "none" in each.options]
    for gone in (branches[3:4], branches[2:9:3]):
        adapted = candidate.copy()
        adapted[gone] = [space.decisions[index].options.index("none") for index in gone]
        blocks = [space.decisions[index].name.split()[1] for index in gone]
        which = "blocks {} were" if len(blocks) > 1 else "block {} was"
        told = changes(base, space.decode(adapted))
        assert told == f"{which.format(', '.join(blocks))} dropped"


def test_a_network_of_another_base_has_no_choices():
    space = AdaptationSpace(zoo.named("resnet20"), "cell")
    with pytest.raises(ValueError, match=r"'mobilenet_v2' is no network .* of 'resnet20'"):
        space.encode(zoo.named("mobilenet_v2"))
    uneven = AdaptationSpace(space.base, "full")
    choices = uneven.base_choices()
    choices[0, 0] = NONE
    with pytest.raises(ValueError, match="is no network that choices of 'cell' make"):
        space.encode(decode(uneven, choices))


def test_a_variant_never_takes_the_name_of_another_cell():
    def cell(name):
        return Cell(name, 1, (Node(),), (Edge("conv_3x3", 0, 1), Edge(SKIP, 0, 1)), (1,))

    blocks = tuple(Block(name, 4) for name in ("normal", "normal", "normal_1", "normal"))
    base = Genotype("base", "residual", 4, (cell("normal"), cell("normal_1")), blocks)
    choices = np.array([[2, 2], [0, 2], [2, 2], [2, 0]])
    decoded = decode(AdaptationSpace(base, "full"), choices)
    assert len({cell.name for cell in decoded.cells}) == 4
    kept = decoded.placed_cells()
    assert [[edge.op for edge in cell.edges] for cell in kept] == [
        ["conv_3x3", SKIP],
        [NULL, SKIP],
        ["conv_3x3", SKIP],
        ["conv_3x3", NULL],
    ]


@FAST
@given(st.data())
def test_each_table_says_whether_its_cell_is_connected(data):
    space = data.draw(spaces())
    choices = some_choices(data.draw, space)
    found = space.connected(choices)
    assert found.shape == (len(space.cells),)
    for cell, table_row, connected in zip(space.cells, choices, found, strict=True):
        edges = graphs.chosen_edges(cell, row(table_row, cell))
        assert connected == graphs.by_paths(cell.inputs, edges, cell.output)


# From parameters to an architecture.


def pruned_edges(cell, choices):
    """A cell's edges under `choices`, those off every path null; and how many carried in vain."""
    chosen = dataclasses.replace(cell, edges=graphs.chosen_edges(cell, choices))
    kept = graphs.on_paths(chosen)
    edges = tuple(
        edge if index in kept else dataclasses.replace(edge, op=NULL)
        for index, edge in enumerate(chosen.edges)
    )
    return edges, len(graphs.carrying(chosen.edges)) - len(kept)


@FAST
@given(st.data())
def test_a_connected_arg_max_is_taken_and_what_is_off_every_path_pruned(data):
    space = data.draw(spaces())
    theta = some_theta(data.draw, space)
    derivation = space.derive(theta)
    assert derivation.choices.dtype == np.int32
    assert not derivation.choices[~space.valid].any()
    assert derivation.genotype == decode(space, derivation.choices)
    assert space.connected(derivation.choices).all()
    assert derivation.genotype.connected()
    repaired, vain, all_connected = [], 0, True
    for table, cell in enumerate(space.cells):
        best = row(theta[table].argmax(-1), cell)
        edges, idle = pruned_edges(cell, best)
        vain += idle
        if graphs.by_paths(cell.inputs, graphs.chosen_edges(cell, best), cell.output):
            derived = row(derivation.choices[table], cell)
            assert graphs.chosen_edges(cell, derived) == edges
        else:
            repaired.append(space.table_names[table])
            all_connected = False
    assert derivation.repaired == tuple(repaired)
    if all_connected:
        assert derivation.pruned == vain


@FAST
@given(st.data())
def test_a_dead_arg_max_gives_way_to_the_best_assignment_that_lives(data):
    family = data.draw(st.sampled_from(graphs.FAMILIES))
    cell = data.draw(graphs.cells(family, most_edges=5, connected=True))
    space = AdaptationSpace(graphs.alone(cell, family), "full")
    theta = some_theta(data.draw, space)
    rows = np.arange(len(cell.edges))
    connected = [
        choices
        for choices in graphs.assignments(len(cell.edges))
        if graphs.by_paths(cell.inputs, graphs.chosen_edges(cell, choices), cell.output)
    ]
    scores = [theta[0, rows, list(choices)].sum() for choices in connected]
    best = [
        pruned_edges(cell, choices)
        for choices, score in zip(connected, scores, strict=True)
        if score == max(scores)
    ]
    derivation = space.derive(theta)
    found = derivation.genotype.placed_cells()[0].edges
    assert (found, derivation.pruned) in best
    argmax = tuple(theta[0].argmax(-1))
    assert bool(derivation.repaired) == (argmax not in connected)


@FAST
@given(st.data())
def test_what_is_derived_has_nothing_left_to_prune(data):
    space = data.draw(spaces())
    first = space.derive(some_theta(data.draw, space))
    again = space.derive(np.eye(3)[first.choices])
    assert again.genotype == first.genotype
    assert again.repaired == ()
    assert again.pruned == 0
    for table, cell in enumerate(space.cells):
        edges = graphs.chosen_edges(cell, row(first.choices[table], cell))
        carrying = {index for index, edge in enumerate(edges) if edge.op != NULL}
        assert graphs.on_paths(dataclasses.replace(cell, edges=edges)) == carrying


def test_the_figures_parameters_give_the_figures_network():
    """PNAA's figure 1: nodes 0 and 1 are inputs, 3 is the output."""
    routes = [(0, 2), (1, 2), (0, 3), (2, 3)]
    edges = tuple(Edge("conv_3x3", *route) for route in routes)
    cell = Cell("normal", 2, (Node(), Node()), edges, (3,))
    space = AdaptationSpace(Genotype("fig", "darts", 4, (cell,), (Block("normal", 4),)), "cell")
    theta = [[0.03, 0.27, 0.82], [0.25, 0.57, 1.14], [0.52, 0.29, 0.43], [0.12, 0.64, 0.31]]
    derivation = space.derive(np.array([theta]))
    assert derivation.choices.tolist() == [[SAME, SAME, NONE, ID]]
    assert derivation.repaired == ()
    assert derivation.pruned == 0
    ops = [edge.op for edge in derivation.genotype.cell("normal").edges]
    assert ops == ["conv_3x3", "conv_3x3", NULL, SKIP]


@pytest.mark.parametrize("fill", [NONE, ID, SAME])
def test_the_zoo_lives_through_parameters_that_all_say_one_thing(zoo_space, fill):
    theta = np.zeros(zoo_space.shape)
    theta[..., fill] = 1
    derivation = zoo_space.derive(theta)
    assert zoo_space.connected(derivation.choices).all()
    broken = tuple(
        name
        for name, cell in zip(zoo_space.table_names, zoo_space.cells, strict=True)
        if min(cell.output) >= cell.inputs  # else an input is part of the output
    )
    assert derivation.repaired == (broken if fill == NONE else ())
    if fill == SAME:
        assert derivation.genotype == zoo_space.base
    if fill == NONE:  # one path is left, the shortest
        for cell, choices in zip(zoo_space.cells, derivation.choices, strict=True):
            chosen = graphs.chosen_edges(cell, row(choices, cell))
            lengths = [
                len(path)
                for source in range(cell.inputs)
                for target in cell.output
                for path in graphs.paths(
                    graphs.chosen_edges(cell, [ID] * len(cell.edges)), source, target
                )
            ]
            assert len(graphs.carrying(chosen)) == min(lengths)


# Errors.


def test_another_granularity_is_refused():
    with pytest.raises(ValueError, match="one of cell, full, block, not 'node'"):
        AdaptationSpace(zoo.named("resnet20"), "node")


@pytest.mark.parametrize("granularity", GRANULARITIES)
def test_a_base_with_a_dead_block_is_refused_by_name(granularity):
    alive = Cell("alive", 2, (Node(),), (Edge(SKIP, 0, 2),), (2,))
    dead = Cell("dead", 2, (Node(),), (Edge(NULL, 0, 2),), (2,))
    blocks = (Block("alive", 4), Block("dead", 4), Block("alive", 4))
    base = Genotype("half", "darts", 4, (alive, dead), blocks)
    assert base.connected(), "as a network it lives, since the dead block is bypassed"
    with pytest.raises(ValueError, match=r"base 'half': .* block 1 \(cell 'dead'\) cannot"):
        AdaptationSpace(base, granularity)


@FAST
@given(st.data())
def test_choices_that_are_none_are_refused(data):
    space = data.draw(spaces())
    choices = some_choices(data.draw, space)
    assume(choices.size)  # a network without edges has no choice that could be wrong
    candidate = choices[space.valid]
    assume(candidate.size)
    broken = candidate.copy()
    broken[data.draw(st.integers(0, len(candidate) - 1))] = data.draw(st.sampled_from((-1, 3, 7)))
    with pytest.raises(SpaceError, match=r"has options 0 to 2 \(none, id, same\), not"):
        space.decode(broken)
    for wrong in (np.append(candidate, 0), candidate[None]):
        with pytest.raises(SpaceError, match=r"must be .* whole numbers"):
            space.decode(wrong)


@pytest.mark.parametrize("name", ["resnet20", "mobilenet_v2_cells"])
@pytest.mark.parametrize("granularity", GRANULARITIES)
def test_parameters_of_another_shape_are_refused(name, granularity):
    space = AdaptationSpace(zoo.named(name), granularity)
    tables, edges, _ = space.shape
    for shape in [
        (1, edges, 3),  # would be broadcast
        (tables + 1, edges, 3),
        (tables, edges + 1, 3),
        (tables, edges, 2),
        (edges, 3),
    ]:
        with pytest.raises(ValueError, match="theta must be"):
            space.derive(np.ones(shape))


def test_parameters_that_are_no_numbers_are_refused():
    space = AdaptationSpace(zoo.named("resnet20"), "cell")
    theta = np.zeros(space.shape)
    theta[1, 0, 2] = np.nan
    with pytest.raises(ValueError, match="theta must be"):
        space.derive(theta)


def test_random_choices_are_uniform_over_the_connected_ones():
    base = zoo.named("resnet20")
    space = AdaptationSpace(base, "cell")
    generator = np.random.default_rng(0)
    seen = collections.Counter()
    for _ in range(3000):
        drawn = space.random(generator)
        assert drawn.genotype.connected()
        assert not drawn.repaired
        seen[tuple(drawn.choices[0])] += 1
    expected = collections.Counter()
    for choices in itertools.product(range(3), repeat=3):
        table = np.array([choices, choices])
        if space.connected(table).all():
            pruned = space.derive(np.eye(3)[table])
            expected[tuple(pruned.choices[0])] += 1
    assert seen.keys() == expected.keys()
    total = sum(expected.values())
    for choices, count in expected.items():
        assert abs(seen[choices] / 3000 - count / total) < 0.03
    again = space.random(np.random.default_rng(7)).choices
    np.testing.assert_array_equal(space.random(np.random.default_rng(7)).choices, again)

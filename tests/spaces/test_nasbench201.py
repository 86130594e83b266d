"""The space of NAS-Bench-201: what is the same cell, by brute force; parameters, by the table."""

import collections
import csv
import functools
import gzip
import itertools
import re
import time

import numpy as np
import pytest

from jaxnas.spaces import Genotype, NASBench201Space, SpaceError, zoo
from jaxnas.spaces.nasbench201 import OPERATIONS, _canonical_tables

SPACE = NASBench201Space()
EVERY = np.array(list(SPACE.enumerate()))
NONE, SKIP, CONV_1, CONV_3, POOL = range(5)


def test_decisions_are_the_edges_in_the_order_of_the_strings():
    assert SPACE.size == 5**6 == 15_625
    assert SPACE.options.tolist() == [5] * 6
    text = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|nor_conv_1x1~0|avg_pool_3x3~1|none~2|"
    candidate = SPACE.from_arch_string(text)
    assert candidate.dtype == np.int32
    assert candidate.tolist() == [CONV_3, NONE, SKIP, CONV_1, POOL, NONE]
    assert [each.name for each in SPACE.decisions] == [
        f"edge {source}>{target}" for target in (1, 2, 3) for source in range(target)
    ]
    edges = SPACE.decode(candidate).cell("normal").edges
    assert [str(edge) for edge in edges] == [
        "conv_3x3 0>1",
        "null 0>2",
        "skip_connect 1>2",
        "conv_1x1 0>3",
        "avg_pool_3x3 1>3",
        "null 2>3",
    ]


def test_strings_genotypes_and_candidates_go_to_and_fro():
    for candidate in EVERY[::97]:
        assert SPACE.from_arch_string(SPACE.arch_string(candidate)).tolist() == candidate.tolist()
        genotype = SPACE.decode(candidate)
        assert Genotype.from_json(genotype.to_json()) == genotype
        assert SPACE.encode(genotype).tolist() == candidate.tolist()
        assert genotype.connected() == bool(SPACE.canonical(candidate).any())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is no string of nasbench201"),
        ("|none~0|+|none~0|none~1|", "is no string of nasbench201"),
        ("|none~0|+|none~0|none~0|+|none~0|none~1|none~2|", "is no string of nasbench201"),
        ("|none~0|+|none~0|none~1|+|none~0|none~1|none~2|+", "is no string of nasbench201"),
        ("|none~0|+|none~0|conv~1|+|none~0|none~1|none~2|", "no operation 'conv'; it has none, sk"),
    ],
)
def test_other_strings_are_refused(text, message):
    with pytest.raises(SpaceError, match=re.escape(message)):
        SPACE.from_arch_string(text)


def test_what_is_not_in_the_space_is_refused():
    with pytest.raises(SpaceError, match="edge 1>2 has options 0 to 4"):
        SPACE.decode(np.array([0, 0, 5, 0, 0, 0]))
    with pytest.raises(SpaceError, match="partial: it has decided 3 of 6"):
        SPACE.decode(np.array([0, 0, 0]))
    with pytest.raises(SpaceError, match="must be 6 whole numbers"):
        SPACE.arch_string(np.zeros(4, int))
    small = NASBench201Space(channels=8, cells=1)
    for genotype in (zoo.named("resnet20"), zoo.named("darts_v2"), small.decode(EVERY[77])):
        with pytest.raises(SpaceError, match="is not one of nasbench201 with 5 cells of 16"):
            SPACE.encode(genotype)
    with pytest.raises(ValueError, match="must be positive, not 16 and 0"):
        NASBench201Space(cells=0)


# What is the same cell.


def paths(candidate, node=3):
    """A cell as the multiset of all paths from the output back to the input.

    Not to be told apart by paths alone: operations on a sum are no sums of operations. So a path
    stops at the first operation and goes on as the paths of its source.
    """
    found = collections.Counter()
    for source in range(node):
        op = candidate[node * (node - 1) // 2 + source]
        before = frozenset(paths(candidate, source).items()) if source else frozenset({("x", 1)})
        if op == NONE or not before:
            continue
        if op == SKIP:
            found.update(dict(before))
        else:
            found[op, before] += 1
    return found


@functools.cache
def classes():
    """For each candidate, in order, what its cell computes."""
    return [frozenset(paths(candidate).items()) for candidate in EVERY.tolist()]


def test_canonical_candidates_are_the_least_of_those_that_compute_the_same():
    members = collections.defaultdict(list)
    for candidate, meaning in zip(EVERY.tolist(), classes(), strict=True):
        members[meaning].append(candidate)
    expected = [min(members[meaning]) for meaning in classes()]
    found = SPACE.canonical(EVERY)
    assert found.dtype == np.int32
    assert found.tolist() == expected
    assert SPACE.unique_size == len(members) == 4_930
    np.testing.assert_array_equal(SPACE.canonical(found), found)
    folded = EVERY.reshape(25, 625, 6)
    np.testing.assert_array_equal(SPACE.canonical(folded), found.reshape(25, 625, 6))


def value(candidate, x):
    """The cell's output for fixed operations on numbers, none of which distributes over a sum."""
    operations = (None, lambda x: x, np.sin, np.cos, lambda x: np.exp(-x * x))
    values = [x]
    for node in (1, 2, 3):
        total, alive = np.zeros_like(x), False
        for source in range(node):
            op = candidate[node * (node - 1) // 2 + source]
            if op != NONE and values[source] is not None:
                total, alive = total + operations[op](values[source]), True
        values.append(total if alive else None)
    return np.zeros_like(x) if values[3] is None else values[3]


def test_canonical_candidates_compute_the_same_numbers_and_others_do_not():
    x = np.random.default_rng(0).normal(size=4)
    found = np.array([value(candidate, x) for candidate in EVERY])
    least = np.array([value(candidate, x) for candidate in SPACE.canonical(EVERY)])
    np.testing.assert_allclose(found, least, atol=1e-12)
    assert len(np.unique(least.round(9), axis=0)) == SPACE.unique_size


def published(candidate, zeros):
    """A cell's string in the manner of the benchmark's own count, which is of strings.

    A zero is a term like others, and only a node of one zero is one. Terms of a skipped node join
    a sum as one piece, so that it matters how strings sort: with operations before their operand
    there would be 6,344.
    """
    nodes = ["x"]
    for node in (1, 2, 3):
        pieces = []
        for source in range(node):
            op = candidate[node * (node - 1) // 2 + source]
            if zeros and (op == NONE or nodes[source] == "#"):
                pieces.append("#")
            else:
                pieces.append(nodes[source] if op == SKIP else f"({nodes[source]}){op}")
        nodes.append("+".join(sorted(pieces)))
    return nodes[-1]


def test_the_published_counts_are_of_strings():
    assert len({published(candidate, True) for candidate in EVERY.tolist()}) == 6_466
    assert len({published(candidate, False) for candidate in EVERY.tolist()}) == 12_751


def test_partial_candidates_are_the_same_if_the_same_cells_can_grow_of_them():
    for length in (1, 3):
        partial = np.array(list(itertools.product(range(5), repeat=length)))
        grown = np.array(classes(), object).reshape(len(partial), -1)
        reachable = [frozenset(row) for row in grown]
        same = collections.defaultdict(list)
        for candidate, cells in zip(partial.tolist(), reachable, strict=True):
            same[cells].append(candidate)
        expected = [min(same[cells]) for cells in reachable]
        assert SPACE.canonical(partial).tolist() == expected


def test_growing_reaches_every_cell_once_it_is_canonical():
    found = {tuple(one) for one in SPACE.grow().tolist()}
    assert len(found) == 5
    for count in (82, SPACE.unique_size):
        found = {tuple(one) for each in found for one in SPACE.grow(np.array(each)).tolist()}
        assert len(found) == count
    assert found == {tuple(each) for each in SPACE.canonical(EVERY).tolist()}


def test_the_tables_are_made_in_no_time():
    start = time.process_time()
    _canonical_tables.__wrapped__()
    assert time.process_time() - start < 1.0


# Parameters.


def test_parameters_are_those_of_the_benchmark(real_data_dir):
    file = real_data_dir / "nasbench201" / "nasbench201.csv.gz"
    if not file.exists():
        pytest.skip(f"needs {file.name} in the folder nasbench201 of JAXNAS_DATA_DIR")
    with gzip.open(file, "rt", newline="") as text:
        rows = list(csv.DictReader(text))
    assert len(rows) == SPACE.size
    candidates = np.array([SPACE.from_arch_string(row["arch"]) for row in rows])
    assert len(np.unique(candidates, axis=0)) == SPACE.size
    for dataset, count in (("cifar10", 10), ("cifar100", 100), ("imagenet16_120", 120)):
        expected = [int(row[f"params_{dataset}"]) for row in rows]
        assert SPACE.parameters(candidates, count).tolist() == expected


def test_parameters_of_a_few_cells():
    """Of the benchmark's table: nothing but identities, 1x1 convolutions, 3x3 convolutions."""
    texts = (
        "|avg_pool_3x3~0|+|skip_connect~0|none~1|+|none~0|none~1|skip_connect~2|",
        "|avg_pool_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+"
        "|nor_conv_1x1~0|skip_connect~1|skip_connect~2|",
        "|none~0|+|skip_connect~0|avg_pool_3x3~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_3x3~2|",
    )
    candidates = np.array([SPACE.from_arch_string(text) for text in texts])
    assert SPACE.parameters(candidates, 10).tolist() == [73_306, 129_306, 559_386]
    assert SPACE.parameters(candidates, 120).tolist() == [80_456, 136_456, 566_536]
    assert SPACE.parameters(candidates[0], 100) == 79_156
    assert OPERATIONS[candidates[0, 0]] == "avg_pool_3x3"


def test_parameters_are_of_candidates_only():
    for wrong in (np.zeros((2, 3), np.int32), np.zeros(6), np.zeros(7, np.int32)):
        with pytest.raises(SpaceError, match=r"must be whole numbers \[\.\.\., 6\]; got shape"):
            SPACE.parameters(wrong, 10)
    for wrong in (-1, 5):
        with pytest.raises(SpaceError, match=f"edge 2>3 has options 0 to 4 .*, not {wrong}"):
            SPACE.parameters(np.array([[0, 0, 0, 0, 0, 4], [0, 0, 0, 0, 0, wrong]]), 10)

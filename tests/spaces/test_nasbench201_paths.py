"""NAS-Bench-201's cells, growing path by path: every part is a network."""

import numpy as np
import pytest

from jaxnas.spaces import NASBench201Paths, NASBench201Space, SpaceError

SPACE = NASBench201Paths()
EDGES = NASBench201Space()
EVERY = np.array(list(SPACE.enumerate()))
NONE, SKIP, CONV_1, CONV_3, POOL = range(5)


def test_a_step_decides_a_path():
    assert [each.name for each in SPACE.decisions] == [
        f"edge {edge}" for edge in ("0>3", "0>1", "1>3", "0>2", "2>3", "1>2")
    ]
    kinds = [each.kind for each in SPACE.decisions]
    assert kinds[0] == "operation of 0>3"
    assert len(set(kinds)) == 6
    assert SPACE.levels == (1, 3, 5, 6)


def test_the_same_edges_stand_in_the_order_of_the_benchmark():
    """The names of the decisions say which is which."""
    theirs = [each.name for each in EDGES.decisions]
    found = SPACE.as_nasbench201(EVERY)
    assert found.dtype == np.int32
    for column, decision in enumerate(SPACE.decisions):
        np.testing.assert_array_equal(found[:, theirs.index(decision.name)], EVERY[:, column])
    assert len(np.unique(EDGES.codes(found))) == EDGES.size
    np.testing.assert_array_equal(
        SPACE.as_nasbench201(EVERY.reshape(25, 625, 6)), found.reshape(25, 625, 6)
    )


def test_what_is_undecided_is_none():
    for level in SPACE.levels[:-1]:
        part = EVERY[::7, :level]
        rest = np.full((len(part), 6 - level), NONE)
        whole = np.concatenate([part, rest], 1)
        np.testing.assert_array_equal(SPACE.as_nasbench201(part), SPACE.as_nasbench201(whole))


def test_every_part_of_paths_with_operations_leads_to_the_output():
    for level in SPACE.levels:
        part = EVERY[:, :level]
        part = np.unique(part[(part != NONE).all(1)], axis=0)
        for whole in SPACE.as_nasbench201(part[::5]):
            assert EDGES.decode(whole).connected()


def test_networks_are_those_of_the_benchmark():
    for candidate in EVERY[::501]:
        genotype = SPACE.decode(candidate)
        assert genotype == EDGES.decode(SPACE.as_nasbench201(candidate))
        np.testing.assert_array_equal(SPACE.encode(genotype), candidate)


def test_canonical_cells_are_those_of_the_benchmark():
    np.testing.assert_array_equal(
        SPACE.as_nasbench201(SPACE.canonical(EVERY)), EDGES.canonical(SPACE.as_nasbench201(EVERY))
    )
    assert SPACE.unique_size == 4_930


def test_parts_of_one_network_may_grow_to_different_ones():
    dead, nothing = np.array([[CONV_1, CONV_3, NONE], [CONV_1, NONE, NONE]])
    cells = EDGES.canonical(SPACE.as_nasbench201(np.stack([dead, nothing])))
    np.testing.assert_array_equal(*cells)
    for part in (dead, nothing):
        np.testing.assert_array_equal(SPACE.canonical(part), part)

    def leads_on(part: np.ndarray) -> np.ndarray:
        """The part with 2>3 and 1>2: 0>1, 1>2, 2>3 if there is a 0>1."""
        return SPACE.canonical(np.array([*part, NONE, POOL, SKIP]))

    assert leads_on(dead).tolist() != leads_on(nothing).tolist()


def test_growing_from_everything_gives_all_canonical_cells_and_no_others():
    parts = SPACE.grow()
    for count in (5, 5**3, 5**5):
        assert len(parts) == count
        parts = np.unique(np.concatenate([SPACE.grow(part) for part in parts]), axis=0)
    np.testing.assert_array_equal(parts, np.unique(SPACE.canonical(EVERY), axis=0))


def test_what_is_no_part_is_refused():
    for wrong in (np.zeros((2, 4), int), np.zeros(6), np.int32(0), np.zeros((3, 0), int)):
        with pytest.raises(SpaceError, match=r"whole numbers \[\.\.\., 1, 3, 5 or 6\]; got shape"):
            SPACE.as_nasbench201(wrong)

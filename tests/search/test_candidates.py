import jax
import jax.numpy as jnp
import numpy as np

from jaxnas.search.blackbox import candidates
from support.toys import MIXED

OPTIONS = MIXED.options


def test_samples_are_uniform_over_the_options():
    drawn = np.asarray(candidates.sample(jax.random.key(0), OPTIONS, 20_000))
    for column, count in zip(drawn.T, OPTIONS, strict=True):
        shares = np.bincount(column, minlength=count) / len(column)
        assert len(shares) == count
        np.testing.assert_allclose(shares, 1 / count, atol=5 * np.sqrt(0.25 / len(column)))


def test_a_mutation_changes_one_decision_to_any_other_option():
    parent = jnp.array([1, 4, 0, 2, 6, 0, 3, 1])
    keys = jax.random.split(jax.random.key(1), 20_000)
    children = np.asarray(jax.vmap(lambda key: candidates.mutate(key, OPTIONS, parent))(keys))
    changed = children != np.asarray(parent)
    np.testing.assert_array_equal(changed.sum(1), 1)
    shares = changed.mean(0)
    assert shares[2] == 0, "it has one option"
    np.testing.assert_allclose(np.delete(shares, 2), 1 / 7, atol=0.015)
    for place, count in enumerate(OPTIONS):
        others = np.delete(np.arange(count), parent[place])
        found = children[changed[:, place], place]
        np.testing.assert_array_equal(np.unique(found), others)
        if len(others) > 1:
            counts = np.bincount(found, minlength=count)[others] / max(len(found), 1)
            np.testing.assert_allclose(counts, 1 / len(others), atol=0.05)


def test_neighbours_are_all_that_differ_in_one_decision():
    candidate = jnp.array([0, 3, 0, 1, 5, 1, 2, 0])
    count = candidates.neighbour_count(OPTIONS)
    found = np.asarray(
        jax.vmap(lambda index: candidates.neighbour(OPTIONS, candidate, index))(jnp.arange(count))
    )
    expected = set()
    for place, options in enumerate(OPTIONS):
        for option in range(options):
            changed = np.asarray(candidate).copy()
            changed[place] = option
            expected.add(tuple(changed.tolist()))
    expected.remove(tuple(candidate.tolist()))
    assert {tuple(each.tolist()) for each in found} == expected
    assert len(found) == len(expected)


def test_one_hot_has_a_one_for_each_decision():
    drawn = candidates.sample(jax.random.key(2), OPTIONS, 50)
    found = np.asarray(candidates.one_hot(OPTIONS, drawn))
    assert found.shape == (50, OPTIONS.sum())
    starts = np.concatenate([[0], np.cumsum(OPTIONS)[:-1]])
    expected = np.zeros_like(found)
    for row, candidate in enumerate(np.asarray(drawn)):
        expected[row, starts + candidate] = 1
    np.testing.assert_array_equal(found, expected)

import jax
import numpy as np
import pytest

from jaxnas.data import DataError, epoch_permutation, rounds


@pytest.mark.parametrize(("n", "batch_size"), [(1, 1), (50, 50), (53, 8)])
def test_an_epoch_visits_no_image_twice(n: int, batch_size: int):
    order = np.asarray(epoch_permutation(jax.random.key(n), n, batch_size))
    assert order.shape == (n // batch_size, batch_size)
    assert order.dtype == np.int32
    assert len(set(order.ravel().tolist())) == order.size
    assert order.min() >= 0
    assert order.max() < n


def test_the_order_depends_on_the_key_alone():
    keys = [jax.random.fold_in(jax.random.key(0), epoch) for epoch in (0, 1, 0)]
    first, second, again = (np.asarray(epoch_permutation(key, 100, 10)) for key in keys)
    assert (first == again).all()
    assert (first != second).any()
    assert sorted(first.ravel()) == sorted(second.ravel()) == list(range(100))


@pytest.mark.parametrize("batch_size", [0, 11])
def test_a_batch_larger_than_the_data_is_refused(batch_size: int):
    with pytest.raises(DataError, match=f"batch of {batch_size} .* choose a batch size from 1"):
        epoch_permutation(jax.random.key(0), 10, batch_size)


@pytest.mark.parametrize(("n", "shape"), [(7, (5, 4)), (24, (7, 8)), (10, (2, 3)), (1, (3, 1))])
def test_rounds_take_every_image_once_before_any_again(n: int, shape: tuple[int, int]):
    found = np.asarray(rounds(jax.random.key(n), n, shape))
    assert found.shape == shape
    taken = found.ravel()
    for start in range(0, taken.size, n):
        part = taken[start : start + n].tolist()
        assert len(set(part)) == len(part)
        assert set(part) <= set(range(n))
    if taken.size >= 2 * n > 2:
        assert (taken[:n] != taken[n : 2 * n]).any(), "another order each time"

"""The order in which an epoch visits the training images."""

import math

import jax

from jaxnas.data.errors import DataError


def epoch_permutation(key: jax.Array, n: int, batch_size: int) -> jax.Array:
    """Draws an epoch's batches without replacement, as a pure function of the epoch's key.

    Args:
      key: random key of the epoch: fold the epoch's number into the key of the data order.
      n: number of training images.
      batch_size: images in a batch.

    Returns:
      int32 [n // batch_size, batch_size], the indices of each batch's images; the n % batch_size
      images left over sit this epoch out.

    Raises:
      DataError: if batch_size is below 1 or above n.
    """
    if not 1 <= batch_size <= n:
        raise DataError(
            f"A batch of {batch_size} cannot be drawn from {n} training images: "
            f"choose a batch size from 1 to {n}."
        )
    batches = n // batch_size
    return jax.random.permutation(key, n)[: batches * batch_size].reshape(batches, batch_size)


def rounds(key: jax.Array, n: int, shape: tuple[int, ...]) -> jax.Array:
    """Goes through n images as often as it takes, each time in another order.

    Args:
      key: random key.
      n: number of images, at least 1.
      shape: [batches, images in a batch].

    Returns:
      int32 of that shape: every image once before any comes again.
    """
    count = math.prod(shape)
    keys = jax.random.split(key, -(-count // n))
    orders = jax.vmap(lambda each: jax.random.permutation(each, n))(keys)
    return orders.reshape(-1)[:count].reshape(shape)

"""A network that holds many, at one candidate, beside the network built from its genotype."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest


def weighted(out):
    """A scalar that depends on every number in `out`, on each in its own way."""
    return sum(
        (leaf * jnp.cos(jnp.arange(leaf.size, dtype=jnp.float32)).reshape(leaf.shape)).sum()
        for leaf in jax.tree.leaves(out)
    )


def loss_of(network):
    """(params, variables, images, *inputs) to `weighted` of the outputs, and these and statistics;
    with its gradient, compiled."""

    def loss(params, variables, x, *inputs):
        out, changed = network.apply(
            {**variables, "params": params}, x, *inputs, train=True, mutable=["batch_stats"]
        )
        return weighted(out), (out, changed["batch_stats"])

    return jax.jit(jax.value_and_grad(loss, has_aux=True))


def assert_close(found, wanted, tolerance):
    """Leaf by leaf, relative to the leaf's largest value."""
    assert jax.tree.structure(found) == jax.tree.structure(wanted)
    for (path, ours), theirs in zip(
        jax.tree_util.tree_leaves_with_path(found), jax.tree.leaves(wanted), strict=True
    ):
        scale = np.abs(theirs).max() + 1e-2
        assert np.abs(ours - theirs).max() <= tolerance * scale, jax.tree_util.keystr(path)


def assert_same_step(found, cut, built, initial, images):
    """What `loss_of` gives for the network of many is what it gives for the built one.

    Args:
      found: the former.
      cut: its variables, or their gradients and statistics, to those of the built network.
      built: the latter network.
      initial: its variables.
      images: of the step.

    Returns:
      the built network's batch statistics afterwards.
    """
    (_, (out, statistics)), gradient = found
    (_, (wanted, wanted_statistics)), wanted_gradient = loss_of(built)(
        initial["params"], initial, images
    )
    for ours, theirs in zip(jax.tree.leaves(out), jax.tree.leaves(wanted), strict=True):
        assert np.abs(theirs).max() > 0.1
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4)
    part = cut({"params": gradient, "batch_stats": statistics})
    assert_close(part["batch_stats"], wanted_statistics, 1e-4)
    assert_close(part["params"], wanted_gradient, 1e-2)
    # All of the gradient is in what was cut.
    whole, of_part = (
        sum(float((leaf**2).sum()) for leaf in jax.tree.leaves(tree))
        for tree in (gradient, part["params"])
    )
    assert whole == pytest.approx(of_part, rel=1e-4)
    return wanted_statistics

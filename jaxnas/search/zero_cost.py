"""Scores of a network that is not trained, from one batch.

Each is a pure function, to be jitted with the network fixed and all arrays as arguments: with
images for constants XLA compiles several times longer. Of a supernet, whichever, it scores the
chosen network alone, with the layers that this has in the supernet; the architecture is an input,
so that one compiled program scores a whole space.
"""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from jaxnas.errors import SettingsError
from jaxnas.nn import inspection
from jaxnas.nn.heads import Representation, WithAuxiliary
from jaxnas.nn.layers import Activation, BatchNorm, weighted
from jaxnas.nn.operations import Op
from jaxnas.nn.supernets.child_network import Child


def synflow(
    network: nn.Module, variables: Any, input_shape: tuple[int, ...], *args: Any
) -> jax.Array:
    """Logarithm of the sum of |w dR/dw| over all kernels (Tanaka et al. 2020, equation 2).

    R is the sum of the logits of an image of ones, in the network of the kernels' absolute values.
    No data are seen. Batch norms are left out, as in Abdelfattah et al. 2021: on one image of ones
    they would undo every sum that the score is made of. Without them, and with nothing negative for
    a ReLU to cut off (nor ReLU6 above), outputs are proportional to inputs, but grow by many powers
    of ten. So behind each block all that later ones may read is divided by its largest value, whose
    logarithm comes back in the end.

    Args:
      network: takes an image and `args`.
      variables: its ``params`` and ``batch_stats``; of the latter only the names are looked at.
      input_shape: [h, w, c] of an image.
      *args: further arguments of the network after the image, such as a supernet's gates.

    Returns:
      float32 scalar; minus infinity where no path leads to the logits.

    Raises:
      SettingsError: if `network` has squeeze-and-excitation, or does not end in logits.
    """

    def linear(call: Any, arguments: Any, kwargs: Any, context: Any) -> Any:
        module = context.module
        if context.method_name != "__call__":
            return call(*arguments, **kwargs)
        if isinstance(module, BatchNorm):
            x, _, *gate = arguments
            return weighted(x, *(gate or [None]))
        if isinstance(module, Activation):
            return arguments[0]
        if isinstance(module, Op) and module.op.startswith("squeeze_excite"):
            raise SettingsError(
                "synflow is for networks that are linear without batch norms and ReLUs; "
                f"squeeze-and-excitation ({module.op}) is not"
            )
        return call(*arguments, **kwargs)

    def total(params: Any) -> tuple[jax.Array, jax.Array]:
        with inspection.inspect(rescale=True) as found, nn.intercept_methods(linear):
            x = jnp.ones((1, *input_shape))
            out = network.apply({**variables, "params": params}, x, *args, train=False)
            return _logits(out).sum(), sum(found.scales, jnp.zeros(()))

    positive = jax.tree.map(jnp.abs, variables["params"])
    gradients, log = jax.grad(total, has_aux=True)(positive)
    parts = jax.tree.map(lambda w, gradient: (w * gradient).sum(), positive, gradients)
    return jnp.log(sum(_kernels(parts))) + log


def naswot(network: nn.Module, variables: Any, images: jax.Array, *args: Any) -> jax.Array:
    """log |det K| of a batch's ReLU codes (Mellor et al. 2021, section 3.2).

    K[i, j] is at how many ReLU units of the whole network the images i and j are alike: both
    positive or both not. Batch norms use the batch's statistics. Of a supernet the units of the
    candidates that run count; one whose candidate is weighted by a gate as often as that says.

    Args:
      network: takes images and `args`.
      variables: its ``params`` and ``batch_stats``.
      images: float [b, h, w, c], normalised; two equal ones make the score minus infinity.
      *args: further arguments of the network after the images.

    Returns:
      float32 scalar. Without a path to the logits it says nothing.

    Raises:
      SettingsError: if the network has no ReLU.
    """

    def look(call: Any, arguments: Any, kwargs: Any, context: Any) -> Any:
        module = context.module
        if isinstance(module, Activation) and module.kind != "silu":
            x = arguments[0]
            inspection.note(_alike(x > 0, inspection.present_channels(x)))
        gated = isinstance(module, Op) and context.method_name == "__call__" and len(arguments) > 2
        with inspection.counting(arguments[2] if gated else None):
            return call(*arguments, **kwargs)

    with inspection.inspect() as found, nn.intercept_methods(look):
        network.apply(variables, images, *args, train=True, mutable=["batch_stats"])
    if not found.noted:
        raise SettingsError("naswot is for networks with ReLUs; this one has none")
    return jnp.linalg.slogdet(sum(found.noted[1:], found.noted[0]))[1]


def _alike(codes: jax.Array, present: jax.Array | None) -> jax.Array:
    """How many of the codes [b, ..., c] are equal in each pair of images: float32 [b, b].

    Of the channels only those that are `present`, float32 [c], None for all.
    """
    weights = jnp.ones(codes.shape[-1]) if present is None else present
    weights = jnp.broadcast_to(weights, codes.shape[1:]).ravel()
    flat = codes.reshape(len(codes), -1).astype(jnp.float32)
    ones = flat @ weights
    return 2 * (flat * weights) @ flat.T - ones[:, None] - ones + weights.sum()


def gradient_norm(
    network: nn.Module, variables: Any, images: jax.Array, labels: jax.Array, *args: Any
) -> jax.Array:
    """Sum of the Euclidean norms of the loss's gradients by the kernels (Abdelfattah et al. 2021).

    Args:
      network: takes images and `args`.
      variables: its ``params`` and ``batch_stats``.
      images: float [b, h, w, c], normalised.
      labels: int [b].
      *args: further arguments of the network after the images.

    Returns:
      float32 scalar.

    Raises:
      SettingsError: if `network` does not end in logits.
    """

    def loss(params: Any) -> jax.Array:
        out, _ = network.apply(
            {**variables, "params": params}, images, *args, train=True, mutable=["batch_stats"]
        )
        return optax.softmax_cross_entropy_with_integer_labels(_logits(out), labels).mean()

    gradients, total = jax.grad(loss)(variables["params"]), jnp.zeros(())
    if isinstance(network, Child):  # it has the kernels of a slot in one row
        total += network.slot_kernel_norms(gradients, *args)
        blocks = {f"block_{layout.index}" for layout in network.layouts}
        gradients = {name: each for name, each in gradients.items() if name not in blocks}
    return sum(_kernels(jax.tree.map(jnp.linalg.norm, gradients)), total)


def _logits(out: Any) -> jax.Array:
    """A network's logits, without those of an auxiliary head."""
    logits = out.logits if isinstance(out, WithAuxiliary) else out
    if isinstance(logits, Representation):
        raise SettingsError("scores are of networks that end in logits, not in a projection")
    return logits


def _kernels(tree: Any) -> list[Any]:
    """The leaves of the weights of convolutions and of the classifier."""
    return [
        leaf for path, leaf in jax.tree_util.tree_leaves_with_path(tree) if path[-1].key == "kernel"
    ]

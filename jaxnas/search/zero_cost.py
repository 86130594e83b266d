"""Scores of a network that is not trained, from one batch.

Each is a pure function, to be jitted with the network fixed and all arrays as arguments: with
images for constants XLA compiles several times longer. Of a supernet whose architecture is an input
it scores the chosen network alone, so that one compiled program scores a whole space.
"""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from jaxnas.nn.blocks import BlockModule
from jaxnas.nn.layers import BatchNorm, Relu, weighted
from jaxnas.nn.network import Network
from jaxnas.nn.operations import Op
from jaxnas.nn.supernets.nasbench201_supernet import GatedCell


def synflow(network: nn.Module, params: Any, input_shape: tuple[int, ...], *args: Any) -> jax.Array:
    """Logarithm of the sum of |w dR/dw| over all kernels (Tanaka et al. 2020, equation 2).

    R is the sum of the logits of an image of ones, in the network of the kernels' absolute values.
    No data are seen. Batch norms are left out, as in Abdelfattah et al. 2021: on one image of ones
    they would undo every sum that the score is made of. Without them and with nothing negative a
    network is linear in its input, but grows by many powers of ten. So each block's output is
    divided by its largest value, whose logarithm comes back in the end.

    Args:
      network: takes an image and `args`; its blocks have one input each, and its activation is
        ReLU.
      params: its parameters.
      input_shape: [h, w, c] of an image.
      *args: further arguments of the network after the image, such as a supernet's gates.

    Returns:
      float32 scalar; minus infinity where no path leads to the logits.

    Raises:
      ValueError: if `network` is a `Network` that is not linear in this sense.
    """
    _check_linear(network)

    def total(params: Any) -> tuple[jax.Array, jax.Array]:
        logs = []

        def linear(call: Any, arguments: Any, kwargs: Any, context: Any) -> Any:
            if context.method_name != "__call__":
                return call(*arguments, **kwargs)
            if isinstance(context.module, BatchNorm):
                x, _, *gate = arguments
                return weighted(x, *(gate or [None]))
            out = call(*arguments, **kwargs)
            if isinstance(context.module, BlockModule | GatedCell):
                largest = jax.lax.stop_gradient(out.max())
                largest = jnp.where(largest > 0, largest, 1.0)
                logs.append(jnp.log(largest))
                out = out / largest
            return out

        with nn.intercept_methods(linear):
            x = jnp.ones((1, *input_shape))
            logits: Any = network.apply({"params": params}, x, *args, train=False)
        return logits.sum(), jnp.sum(jnp.stack(logs))

    positive = jax.tree.map(jnp.abs, params)
    gradients, log = jax.grad(total, has_aux=True)(positive)
    parts = jax.tree.map(lambda w, gradient: (w * gradient).sum(), positive, gradients)
    return jnp.log(sum(_kernels(parts))) + log


def _check_linear(network: nn.Module) -> None:
    if not isinstance(network, Network):
        return
    genotype = network.genotype
    ops = {edge.op for cell in genotype.cells for edge in cell.edges}
    if (
        genotype.rules.inputs != 1
        or genotype.rules.wiring != "chain"
        or genotype.activation != "relu"
        or any(op.startswith("squeeze_excite") for op in ops)
    ):
        raise ValueError(
            f"synflow is for chains of blocks with ReLU and without squeeze-and-excitation; "
            f"{genotype.name!r} is none"
        )


def naswot(network: nn.Module, variables: Any, images: jax.Array, *args: Any) -> jax.Array:
    """log |det K| of a batch's ReLU codes (Mellor et al. 2021, section 3.2).

    K[i, j] is at how many ReLU units of the whole network the images i and j are alike: both
    positive or both not. Batch norms use the batch's statistics. A unit before an operation of a
    supernet counts as often as the operation's gate says.

    Args:
      network: takes images and `args`.
      variables: its ``params`` and ``batch_stats``.
      images: float [b, h, w, c], normalised; two equal ones make the score minus infinity.
      *args: further arguments of the network after the images.

    Returns:
      float32 scalar. Without a path to the logits it says nothing.
    """
    alike: list[jax.Array] = []
    gates: list[Any] = [1.0]  # of the operations that are running

    def look(call: Any, arguments: Any, kwargs: Any, context: Any) -> Any:
        if isinstance(context.module, Relu):
            alike.append(gates[-1] * _alike(arguments[0] > 0))
        if not isinstance(context.module, Op) or context.method_name != "__call__":
            return call(*arguments, **kwargs)
        gates.append(arguments[2] if len(arguments) > 2 and arguments[2] is not None else 1.0)
        out = call(*arguments, **kwargs)
        gates.pop()
        return out

    with nn.intercept_methods(look):
        network.apply(variables, images, *args, train=True, mutable=["batch_stats"])
    return jnp.linalg.slogdet(sum(alike[1:], alike[0]))[1]


def _alike(codes: jax.Array) -> jax.Array:
    """How many of the codes [b, ...] are equal in each pair of images: float32 [b, b]."""
    flat = codes.reshape(len(codes), -1).astype(jnp.float32)
    ones = flat.sum(1)
    return 2 * flat @ flat.T - ones[:, None] - ones + flat.shape[1]


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
    """

    def loss(params: Any) -> jax.Array:
        logits, _ = network.apply(
            {**variables, "params": params}, images, *args, train=True, mutable=["batch_stats"]
        )
        return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()

    norms = jax.tree.map(jnp.linalg.norm, jax.grad(loss)(variables["params"]))
    return sum(_kernels(norms), jnp.zeros(()))


def _kernels(tree: Any) -> list[Any]:
    """The leaves of the weights of convolutions and of the classifier."""
    return [
        leaf for path, leaf in jax.tree_util.tree_leaves_with_path(tree) if path[-1].key == "kernel"
    ]

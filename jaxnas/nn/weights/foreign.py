"""Weights of other libraries, as networks of this project that compute the same logits.

Weights are recognised by their names and shapes. Where the source has no classifier
(``include_top=False``, ``num_classes=0``), the network's is the identity: its logits are the
averaged features.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxnas.nn.network import Network, build
from jaxnas.nn.weights.checks import WeightsError, as_float32, check_shapes, shapes_of
from jaxnas.nn.weights.init import named_leaves
from jaxnas.nn.weights.source_layers import LayerName, Place, Source, SourceArrayOf
from jaxnas.spaces import zoo
from jaxnas.spaces.genotype import Genotype


class Imported(NamedTuple):
    """A network with the weights of another library.

    Attributes:
      network: its genotype says what it is called.
      variables: float32 ``{"params": ..., "batch_stats": ...}``.
      mean: of the images' channels in 0..1, which the source's published weights want subtracted;
        None where it is not known.
      std: of these channels, by which they want the difference divided; likewise.
    """

    network: Network
    variables: Any
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None


def another_network(where: Any, networks: Sequence[Genotype], base: str) -> str:
    """What is said of weights of one of these networks that are given for the base of that name."""
    names = " or ".join(dict.fromkeys(each.name for each in networks))
    in_zoo = all(each.name in zoo.ZOO and zoo.named(each.name) == each for each in networks)
    it = f"--base {names}" if in_zoo else "its genotype as --base"
    return (
        f"{where} holds the weights of {names}; --base {base} is another network: give {it}, or "
        f"weights of {base}"
    )


_SIDE = 224  # the variables are the same for images of any size


def _source_layer(places: Sequence[Place], module: tuple[str, ...], layer_of: LayerName) -> str:
    """The source's name of a layer that has the path `module` in our variables."""
    head, *rest = module
    if not head.startswith("block_"):
        return layer_of(places[0], module)
    _, number, *inputs = head.split("_")  # block_3, or block_3_input_0
    place = places[int(number)]
    if inputs:
        return layer_of(place, ("_".join(inputs), *rest))
    return layer_of(place, (rest[0].split("_")[1], *rest[1:]))  # edge_0_sep_conv_3x3


def convert_weights(
    source: Source,
    where: str,
    genotype: Genotype,
    places: Sequence[Place],
    layer_of: LayerName,
    leaf_of: SourceArrayOf,
    channels: int,
) -> Imported:
    """The network of `genotype` with the weights of `source`.

    Args:
      source: the arrays by name.
      where: what holds them, for messages.
      genotype: of the network.
      places: of its blocks.
      layer_of: (place, path of a layer in our variables) to the source's name of the layer.
      leaf_of: (that name, our layer, our variable, its shape) to where the variable comes from.
      channels: of an image.

    Raises:
      WeightsError: naming what is missing, unknown or of another shape.
    """
    bias = leaf_of(layer_of(places[0], ("classifier",)), "classifier", "bias", ()).name
    classes = (*source[bias][0], 1)[0] if bias in source else None
    expected = shapes_of(
        build(genotype, 1 if classes is None else classes), (_SIDE, _SIDE, channels)
    )
    wanted = {}
    for name, leaf in named_leaves(expected).items():
        _, *module, kind = name.split("/")
        if classes is None and module[0] == "classifier":
            continue
        layer = _source_layer(places, tuple(module), layer_of)
        wanted[name] = leaf_of(layer, module[-1], kind, leaf.shape)
    check_shapes(
        where,
        {name: shape for name, (shape, _) in source.items()},
        {leaf.name: leaf.shape for leaf in wanted.values()},
    )
    values = {}
    for name, leaf in wanted.items():
        try:
            value = np.asarray(source[leaf.name][1]())
        except (TypeError, ValueError) as error:
            raise WeightsError(f"{where}: {leaf.name} holds no numbers ({error})") from error
        value = leaf.convert(as_float32(where, leaf.name, value))
        values[name] = jnp.array(value)  # a copy: the source may go on training
    if classes is None:
        classes = expected["params"]["classifier"]["kernel"].shape[0]
        values["params/classifier/kernel"] = jnp.eye(classes)
        values["params/classifier/bias"] = jnp.zeros(classes)
    leaves = [values[name] for name in named_leaves(expected)]
    variables = jax.tree.unflatten(jax.tree.structure(expected), leaves)
    return Imported(build(genotype, classes), variables)

"""Trained weights of whatever source as the variables of a given network."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jaxnas.errors import told_by_parameters
from jaxnas.nn.weights.checks import WeightsError, kind_of
from jaxnas.nn.weights.foreign import Imported, another_network
from jaxnas.nn.weights.from_keras import import_keras
from jaxnas.nn.weights.from_torch import import_fitting
from jaxnas.nn.weights.safetensors_file import load_network, read_safetensors
from jaxnas.spaces.genotype import Genotype

_STEMS = "params/stem_conv/kernel", "params/stem_conv_0/kernel"
_SIDE = 32  # the variables are the same for images of any size


@told_by_parameters()
def import_weights(weights: Any, base: Genotype) -> Imported:
    """The network `base` with trained weights, recognised by their names.

    Args:
      weights: as `import_source` takes them.
      base: the network, of any name.

    Returns:
      See `import_source`; the network is called as `base` is.

    Raises:
      WeightsError: if it cannot be read, or naming what does not fit the network.
    """
    return import_by_flags(weights, base)


def import_by_flags(weights: Any, base: Genotype) -> Imported:
    """As `import_weights`, but errors name flags as a command's user types them."""

    def fits(genotype: Genotype) -> bool:
        return genotype == dataclasses.replace(base, name=genotype.name)

    imported = import_source(weights, base.name, fits)
    if not fits(genotype := imported.network.genotype):
        raise WeightsError(another_network(weights, [genotype], base.name))
    return imported._replace(network=dataclasses.replace(imported.network, genotype=base))


def import_source(weights: Any, base: str, fits: Callable[[Genotype], bool]) -> Imported:
    """The network whose trained weights these are, recognised by their names.

    It has as many classes as the source; its logits are the averaged features where the source has
    no classifier.

    Args:
      weights: the path of a file: a safetensors file of this project, timm or torchvision; a .pth
        of these two or of efficientnet_pytorch, which takes PyTorch; a .h5 or .keras of Keras. Or a
        state dict, as `import_timm` takes it.
      base: name of what the network must fit, for messages.
      fits: whether a network does; it tells those of timm, torchvision and efficientnet_pytorch
        apart whose weights have the same names and shapes.

    Returns:
      The network, its variables, and the mean and standard deviation of the images' channels that
      the source's published weights want; None of a file of this project, which does not say.

    Raises:
      WeightsError: if it cannot be read, or if timm's, torchvision's or efficientnet_pytorch's are
        of no network that fits.
    """
    if isinstance(weights, str | os.PathLike):
        path = Path(weights)
        kind = kind_of(path)
        if kind == "keras":
            return import_keras(path)
        arrays = read_safetensors(path)[0] if kind == "safetensors" else {}
        if any(name.startswith("params/") for name in arrays):
            stems = (arrays[name].shape[2] for name in _STEMS if name in arrays)
            network, variables, _ = load_network(path, (_SIDE, _SIDE, next(stems, 3)))
            return Imported(network, variables)
    return import_fitting(weights, base, fits)

"""Trained weights of whatever source as the variables of a given network."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Any

from jaxnas.nn.weights.checks import WeightsError
from jaxnas.nn.weights.foreign import Imported
from jaxnas.nn.weights.from_keras import import_keras
from jaxnas.nn.weights.from_torch import PICKLES, import_as
from jaxnas.nn.weights.safetensors_file import load_network, read_safetensors
from jaxnas.spaces.genotype import Genotype

_STEMS = "params/stem_conv/kernel", "params/stem_conv_0/kernel"
_SIDE = 32  # the variables are the same for images of any size


def import_weights(weights: Any, base: Genotype) -> Imported:
    """The network `base` with trained weights, recognised by their names.

    The network has as many classes as the source; its logits are the averaged features where the
    source has no classifier.

    Args:
      weights: the path of a file: a safetensors file of this project, timm or torchvision; a .pth
        or .pt of these two or of efficientnet_pytorch, which takes PyTorch; a .h5 or .keras of
        Keras. Or a state dict, as `import_timm` takes it.
      base: the network, of any name.

    Returns:
      The network, its variables, and the mean and standard deviation of the images' channels that
      the source's published weights want; None of a file of this project, which does not say.

    Raises:
      WeightsError: if it cannot be read, or naming what does not fit the network.
    """
    if isinstance(weights, str | os.PathLike):
        path = Path(weights)
        if path.suffix in (".h5", ".hdf5", ".keras"):
            return _of_base(import_keras(path), base, path)
        arrays = {} if path.suffix in PICKLES else read_safetensors(path)[0]
        if any(name.startswith("params/") for name in arrays):
            stems = (arrays[name].shape[2] for name in _STEMS if name in arrays)
            network, variables, _ = load_network(path, (_SIDE, _SIDE, next(stems, 3)))
            return _of_base(Imported(network, variables), base, path)
    return import_as(weights, base)


def _of_base(imported: Imported, base: Genotype, path: Path) -> Imported:
    genotype = imported.network.genotype
    if genotype != dataclasses.replace(base, name=genotype.name):
        raise WeightsError(f"{path} holds {genotype.name}; {base.name} is another network")
    return imported._replace(network=dataclasses.replace(imported.network, genotype=base))

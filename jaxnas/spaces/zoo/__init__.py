"""Known networks as genotypes, by name.

ResNet (He et al. 2016, section 4.2) and MobileNetV2 (Sandler et al. 2018) also stand in the cell
form that NAT (Guo et al. 2019) released for them (``..._cells``), which has null edges from the
block before the last. `plain20` is ResNet-20 with its shortcuts turned into null edges. ResNet-18,
-34 and -50 and MobileNetV2 have a form for CIFAR (``..._cifar``; the bare name means it too) and
one for ImageNet (``..._imagenet``); see `in_form`. EfficientNets whose names begin with ``tf_``
have the padding and epsilon of the original code, the others PyTorch's.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from jaxnas.hints import alike
from jaxnas.spaces.genotype import Genotype
from jaxnas.spaces.zoo import darts, enas, inverted, nas, nasnet, residual
from jaxnas.spaces.zoo.darts import darts_network, with_stem
from jaxnas.spaces.zoo.enas import enas_macro, enas_micro
from jaxnas.spaces.zoo.inverted import inverted_chain, mobilenet_v2
from jaxnas.spaces.zoo.nasnet import nasnet_network
from jaxnas.spaces.zoo.residual import plain, resnet, staged_resnet

__all__ = [
    "TWO_FORMS",
    "ZOO",
    "darts_network",
    "enas_macro",
    "enas_micro",
    "in_form",
    "inverted_chain",
    "mobilenet_v2",
    "named",
    "nasnet_network",
    "plain",
    "resnet",
    "staged_resnet",
    "with_stem",
]

ZOO: dict[str, Callable[..., Genotype]] = {
    **residual.ENTRIES,
    **inverted.ENTRIES,
    **darts.ENTRIES,
    **nasnet.ENTRIES,
    **enas.ENTRIES,
    **nas.ENTRIES,
}
"""The genotypes by name; a value makes the genotype."""

LARGE_IMAGES = {
    name: 331 for name in ZOO if name.endswith("_large") and name != "amoebanet_d_large"
}
"""Side of the images of the published networks for ImageNet where it is not 224."""


def named(name: str, *, channels: int | None = None, cells: int | None = None) -> Genotype:
    """The zoo's genotype of that name.

    Args:
      name: one of `ZOO`.
      channels: of a node in the first cells of a cell network; None for the published number.
      cells: of a cell network: DARTS's number of layers, NASNet's 3N, PNASNet's number of cells,
        ENAS macro's number of layers (up to 24); None for the published number.

    Raises:
      ValueError: if there is none (the message says which are alike), if it is no cell network and
        `channels` or `cells` are given, or if they are no positive numbers.
    """
    if name not in ZOO:
        hint = alike(str(name), ZOO, f"the zoo has {', '.join(ZOO)}")
        raise ValueError(f"there is no base network {name!r}; {hint}")
    sizes = {"channels": channels, "cell_count": cells}
    given = {key: value for key, value in sizes.items() if value is not None}
    if given and name in residual.ENTRIES | inverted.ENTRIES | nas.ENTRIES:
        raise ValueError(f"{name} is no cell network: its channels and cells cannot be chosen")
    if not all(isinstance(size, int) and size > 0 for size in given.values()):
        raise ValueError(f"channels and cells of {name} must be positive whole numbers")
    return ZOO[name](**given)


_FORMS = ("_cifar", "_imagenet")
TWO_FORMS = tuple(name for name in ZOO if all(name + form in ZOO for form in _FORMS))
"""Names of the networks of two forms; they mean the one for CIFAR."""


def in_form(genotype: Genotype, *, imagenet: bool) -> Genotype | None:
    """The zoo's other form of a network of the zoo, for ImageNet's images or for CIFAR's.

    Args:
      genotype: a network of the zoo, of any name, or another.
      imagenet: which form.

    Returns:
      The network in that form; None if `genotype` is none of those that have two.
    """
    for name in TWO_FORMS:
        for form in _FORMS:
            if dataclasses.replace(named(name + form), name=genotype.name) == genotype:
                return named(name + _FORMS[imagenet])
    return None

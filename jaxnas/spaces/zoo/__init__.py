"""Known networks as genotypes, by name.

ResNet (He et al. 2016, section 4.2) and `mobilenet_v2` (Sandler et al. 2018 in the CIFAR form of
kuangliu/pytorch-cifar) stand in two forms: their own, and the cell form that NAT (Guo et al. 2019)
released for them (``..._cells``), which has null edges from the block before the last. `plain20` is
ResNet-20 with its shortcuts turned into null edges. `resnet18`, `resnet34` and `resnet50` are the
networks for ImageNet with the stem for CIFAR, as self-supervised learning uses them.
"""

from __future__ import annotations

from collections.abc import Callable

from jaxnas.hints import alike
from jaxnas.spaces.genotype import Genotype
from jaxnas.spaces.zoo import darts, enas, nasnet, residual
from jaxnas.spaces.zoo.darts import darts_network, with_stem
from jaxnas.spaces.zoo.enas import enas_macro, enas_micro
from jaxnas.spaces.zoo.nasnet import nasnet_network
from jaxnas.spaces.zoo.residual import (
    inverted_chain,
    mobilenet_v2,
    plain,
    resnet,
    staged_resnet,
)

__all__ = [
    "ZOO",
    "darts_network",
    "enas_macro",
    "enas_micro",
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
    **darts.ENTRIES,
    **nasnet.ENTRIES,
    **enas.ENTRIES,
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
    if given and name in residual.ENTRIES:
        raise ValueError(f"{name} is no cell network: its channels and cells cannot be chosen")
    if not all(isinstance(size, int) and size > 0 for size in given.values()):
        raise ValueError(f"channels and cells of {name} must be positive whole numbers")
    return ZOO[name](**given)

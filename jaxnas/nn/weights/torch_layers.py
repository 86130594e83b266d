"""What the layers of networks are called in PyTorch's libraries, and which networks they have.

A library's way to name the layers of some kind of network is one record of `NAMINGS`.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable
from typing import NamedTuple

from jaxnas.nn.weights.checks import Shape
from jaxnas.nn.weights.source_layers import (
    LayerName,
    Place,
    Source,
    SourceArray,
    cell_places,
    with_padded_pools,
)
from jaxnas.normalisation import IMAGENET, Normalisation
from jaxnas.spaces import zoo
from jaxnas.spaces.genotype import Genotype

_HALF = Normalisation((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))  # to -1..1


class Model(NamedTuple):
    """A network of a library.

    Attributes:
      name: in the library.
      zoo: name of the zoo's network that computes the same.
      marker: name of a weight and its shape (outputs, inputs, kernel's side), which tell the
        network from others of its naming.
      without: name of a weight that it has not and others with its marker have.
      normalisation: mean and standard deviation that its published weights want.
    """

    name: str
    zoo: str
    marker: tuple[str, Shape]
    without: str = ""
    normalisation: Normalisation = IMAGENET

    def genotype(self) -> Genotype:
        """The network. timm's NASNet pads before the strided average pools, with zeros."""
        genotype = zoo.named(self.zoo)
        if self.name == "nasnetalarge":
            return with_padded_pools(genotype, "timm", "avg")
        return genotype


class Naming(NamedTuple):
    """How a library names the layers of a kind of network.

    Attributes:
      libraries: that do so.
      stem: name of the convolution that reads the image; no other naming has it with `models`.
      models: the networks.
      places: of the blocks of one of them, in order.
      layer_of: (place, path of a layer in our variables) to the library's name of the layer.
    """

    libraries: tuple[str, ...]
    stem: str
    models: tuple[Model, ...]
    places: Callable[[Genotype], list[Place]]
    layer_of: LayerName

    def found_in(self, source: Source) -> list[Model]:
        """The models whose marker the weights have; several where they do not tell them apart."""

        def fits(model: Model) -> bool:
            name, marked = model.marker
            shape = source[name][0] if name in source else ()
            return (*shape[:2], *shape[-1:]) == marked and model.without not in source

        kernel = source[self.stem][0] if self.stem in source else ()
        return [model for model in self.models if fits(model)] if len(kernel) == 4 else []


def torch_leaf(layer: str, module: str, leaf: str, shape: Shape) -> SourceArray:
    """Where a variable of a layer comes from, which the library calls `layer` and we `module`."""
    name = {
        "kernel": "weight",
        "scale": "weight",
        "bias": "bias",
        "mean": "running_mean",
        "var": "running_var",
    }[leaf]
    name = f"{layer}.{name}"
    if leaf != "kernel":
        return SourceArray(name, shape, lambda value: value)
    if len(shape) == 4:
        kh, kw, inputs, outputs = shape
        return SourceArray(
            name, (outputs, inputs, kh, kw), lambda value: value.transpose(2, 3, 1, 0)
        )
    inputs, outputs = shape
    # Squeeze-and-excitation's dense layers are 1x1 convolutions there.
    ones = () if module == "classifier" else (1, 1)
    return SourceArray(
        name, (outputs, inputs, *ones), lambda value: value.reshape(outputs, inputs).T
    )


# ---------------------------------------------------------------- NASNet, PNASNet


_SHORT = {"conv": "conv", "norm": "bn"}
_SHORT_RESIZED = {"conv_even": "path_1.conv", "conv_odd": "path_2.conv", "norm": "final_path_bn"}


def _nasnet_layer(stem: str, path: str, block: Place, module: tuple[str, ...]) -> str:
    """A layer of nasnetalarge; `path` is where a factorized reduction keeps its paths."""
    match module:
        case ("stem_conv",) | ("stem_norm",):
            return f"{stem}.{_SHORT[module[0].removeprefix('stem_')]}"
        case ("classifier",):
            return "last_linear"
        case ("input_0", layer):
            return f"{block.torch}.conv_1x1.{_SHORT[layer]}"
        case ("input_1", layer):
            if block.resized:
                return f"{block.torch}.{path}{_SHORT_RESIZED[layer]}"
            return f"{block.torch}.conv_prev_1x1.{_SHORT[layer]}"
        case (edge, layer):
            side = f"{block.torch}.comb_iter_{int(edge) // 2}_{('left', 'right')[int(edge) % 2]}"
            kind, _, index = layer.partition("_")
            if not index:
                return f"{side}.{_SHORT[layer]}"
            number = int(index) + 1
            if kind == "norm":
                return f"{side}.bn_sep_{number}"
            return f"{side}.separable_{number}.{kind}_conv2d"
    raise AssertionError(module)


# ---------------------------------------------------------------- chains of blocks


def _chain_layer(
    outside: dict[str, str],
    inside: Callable[[int], dict[str, tuple[str, ...]]],
    block: Place,
    module: tuple[str, ...],
) -> str:
    """A layer of a chain of blocks.

    Args:
      outside: our names of the layers outside of blocks to the library's.
      inside: the number of a block's convolutions to the library's names of these and of their
        batch norms, in order, and of those of squeeze-and-excitation; by ``conv``, ``norm``,
        ``excite``, and ``shortcut`` for a convolution and batch norm beside them.
      block: the place.
      module: path of the layer in our variables.
    """
    if len(module) == 1:
        return outside[module[0]]
    number, layer = int(module[0]), module[1]
    edges = block.cell.edges
    last = len(block.cell.nodes)
    weighty = ("conv", "depthwise_conv")
    chain = [
        each
        for each in edges
        if each.op.startswith(weighty) and not (each.source == 0 and each.target == last)
    ]
    names = inside(len(chain))
    if layer in ("reduce", "expand"):
        return f"{block.torch}.{names['excite'][layer == 'expand']}"
    if edges[number] not in chain:
        return f"{block.torch}.{names['shortcut'][layer == 'norm']}"
    return f"{block.torch}.{names[layer][chain.index(edges[number])]}"


def _staged(prefix: str, first: int) -> Callable[[Genotype], list[Place]]:
    """The places of blocks such as ``blocks.1.0``: a stage of blocks of equal channels, and one."""

    def places(genotype: Genotype) -> list[Place]:
        blocks = zip(genotype.blocks, genotype.placed_cells(), strict=True)
        stages = itertools.groupby(blocks, lambda each: each[0].channels)
        return [
            Place(cell, "", f"{prefix}{stage}.{index}")
            for stage, (_, group) in enumerate(stages, start=first)
            for index, (_, cell) in enumerate(group)
        ]

    return places


def _numbered(prefix: str, first: int) -> Callable[[Genotype], list[Place]]:
    """The places of blocks such as ``features.1``, numbered from `first`."""

    def places(genotype: Genotype) -> list[Place]:
        cells = enumerate(genotype.placed_cells(), start=first)
        return [Place(cell, "", f"{prefix}{number}") for number, cell in cells]

    return places


def _resnet_inside(count: int) -> dict[str, tuple[str, ...]]:
    numbers = range(1, count + 1)
    return {
        "conv": tuple(f"conv{number}" for number in numbers),
        "norm": tuple(f"bn{number}" for number in numbers),
        "shortcut": ("downsample.0", "downsample.1"),
    }


def _timm_inside(count: int) -> dict[str, tuple[str, ...]]:
    return {
        "conv": ("conv_pw", "conv_dw", "conv_pwl") if count == 3 else ("conv_dw", "conv_pw"),
        "norm": ("bn1", "bn2", "bn3"),
        "excite": ("se.conv_reduce", "se.conv_expand"),
    }


def _mobilenet_inside(count: int) -> dict[str, tuple[str, ...]]:
    first = range(count - 1)  # a convolution, its batch norm and ReLU6 are one item
    return {
        "conv": (*(f"conv.{number}.0" for number in first), f"conv.{count - 1}"),
        "norm": (*(f"conv.{number}.1" for number in first), f"conv.{count}"),
    }


def _efficientnet_inside(count: int) -> dict[str, tuple[str, ...]]:
    numbers = *range(count - 1), count  # squeeze-and-excitation stands before the last
    return {
        "conv": tuple(f"block.{number}.0" for number in numbers),
        "norm": tuple(f"block.{number}.1" for number in numbers),
        "excite": (f"block.{count - 1}.fc1", f"block.{count - 1}.fc2"),
    }


def _underscored_inside(count: int) -> dict[str, tuple[str, ...]]:
    skipped = 3 - count  # a block of expansion 1 has no _expand_conv
    return {
        "conv": ("_expand_conv", "_depthwise_conv", "_project_conv")[skipped:],
        "norm": ("_bn0", "_bn1", "_bn2")[skipped:],
        "excite": ("_se_reduce", "_se_expand"),
    }


def _chain(
    libraries: str,
    outside: str,
    inside: Callable[[int], dict[str, tuple[str, ...]]],
    places: Callable[[Genotype], list[Place]],
    *models: Model,
) -> Naming:
    """The naming of chains of blocks; see `_chain_layer`, of `outside` the names by `_OUTSIDE`."""
    names: dict[str, str] = dict(zip(_OUTSIDE, outside.split(), strict=False))
    stem = names["stem_conv"] + ".weight"
    layer_of = functools.partial(_chain_layer, names, inside)
    return Naming(tuple(libraries.split()), stem, models, places, layer_of)


_OUTSIDE = "stem_conv", "stem_norm", "classifier", "head_conv", "head_norm"

# timm's models that begin with tf_ differ from their namesakes in padding and epsilon alone.
_TIMM_EXCITED = "blocks.0.0.se.conv_reduce.weight"
_TIMM_LITE = ("blocks.5.0.conv_pwl.weight", (192, 672, 1)), _TIMM_EXCITED
_CELL_STEM = "cell_stem_0.conv_1x1.conv.weight"
# (x - 127) / 128 of bytes, as the TensorFlow code from which it was converted has it.
_LITE_BYTES = Normalisation((127 / 255,) * 3, (128 / 255,) * 3)

NAMINGS = (
    _chain(
        "torchvision timm",
        "conv1 bn1 fc",
        _resnet_inside,
        _staged("layer", 1),
        Model(
            "resnet18",
            "resnet18_imagenet",
            ("layer1.0.conv1.weight", (64, 64, 3)),
            without="layer1.2.conv1.weight",
        ),
        Model("resnet34", "resnet34_imagenet", ("layer1.2.conv1.weight", (64, 64, 3))),
        Model("resnet50", "resnet50_imagenet", ("layer1.0.conv1.weight", (64, 64, 1))),
    ),
    _chain(
        "torchvision",
        "features.0.0 features.0.1 classifier.1 features.18.0 features.18.1",
        _mobilenet_inside,
        _numbered("features.", 1),
        Model("mobilenet_v2", "mobilenet_v2_imagenet", ("features.2.conv.0.0.weight", (96, 16, 1))),
    ),
    _chain(
        "torchvision",
        "features.0.0 features.0.1 classifier.1 features.8.0 features.8.1",
        _efficientnet_inside,
        _staged("features.", 1),
        Model("efficientnet_b0", "efficientnet_b0", ("features.2.0.block.0.0.weight", (96, 16, 1))),
    ),
    _chain(
        "timm",
        "conv_stem bn1 classifier conv_head bn2",
        _timm_inside,
        _staged("blocks.", 0),
        Model(
            "mnasnet_100",
            "mnasnet_b1",
            ("blocks.2.0.conv_pw.weight", (72, 24, 1)),
            without="blocks.2.0.se.conv_expand.weight",
        ),
        Model("semnasnet_100", "mnasnet_a1", ("blocks.2.0.se.conv_expand.weight", (72, 6, 1))),
        Model(
            "mobilenetv2_100", "mobilenet_v2_imagenet", ("blocks.2.0.conv_dw.weight", (144, 1, 3))
        ),
        Model("efficientnet_b0", "efficientnet_b0", (_TIMM_EXCITED, (8, 32, 1))),
        Model("tf_efficientnet_b0", "tf_efficientnet_b0", (_TIMM_EXCITED, (8, 32, 1))),
        Model("efficientnet_lite0", "efficientnet_lite0", *_TIMM_LITE),
        Model("tf_efficientnet_lite0", "tf_efficientnet_lite0", *_TIMM_LITE, _HALF),
    ),
    _chain(
        "efficientnet_pytorch",
        "_conv_stem _bn0 _fc _conv_head _bn1",
        _underscored_inside,
        _numbered("_blocks.", 0),
        Model("efficientnet-b0", "tf_efficientnet_b0", ("_blocks.0._se_reduce.weight", (8, 32, 1))),
        Model(
            "efficientnet-lite0",
            "tf_efficientnet_lite0",
            ("_blocks.3._depthwise_conv.weight", (144, 1, 5)),
            "_blocks.0._se_reduce.weight",
            _LITE_BYTES,
        ),
    ),
    Naming(
        ("timm",),
        "conv0.conv.weight",
        (Model("nasnetalarge", "nasnet_a_large", (_CELL_STEM, (42, 96, 1)), "", _HALF),),
        cell_places,
        functools.partial(_nasnet_layer, "conv0", ""),
    ),
    Naming(
        ("timm",),
        "conv_0.conv.weight",
        (Model("pnasnet5large", "pnasnet_5_large", (_CELL_STEM, (54, 96, 1)), "", _HALF),),
        cell_places,
        functools.partial(_nasnet_layer, "conv_0", "conv_prev_1x1."),
    ),
)
"""The namings, each with its networks."""

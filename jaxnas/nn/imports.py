"""Weights of Keras and timm, as networks of this project that compute the same logits.

Weights are recognised by their names and shapes. Nothing is unpickled, and neither Keras nor
PyTorch is imported.

Keras pads before the strided pools of NASNet's reduction cells, so that their windows see zeros;
timm's NASNet does before the strided average pools. TensorFlow's code, for which the published
weights were trained, does not. The imported genotypes have ``padded_max_pool_3x3`` and
``padded_avg_pool_3x3`` there, so that they equal the source; their variables also fit the zoo's
networks, ``nasnet_a_mobile`` and ``nasnet_a_large``, which equal TensorFlow's.

Where the source has no classifier (``include_top=False``, ``num_classes=0``), the network's is the
identity: its logits are the averaged features.
"""

from __future__ import annotations

import dataclasses
import itertools
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxnas.nn.init import named_leaves
from jaxnas.nn.network import Network, build
from jaxnas.nn.weights import (
    Shape,
    WeightsError,
    check_shapes,
    read_safetensors,
    shapes_of,
)
from jaxnas.spaces import zoo
from jaxnas.spaces.genotype import Cell, Genotype

# An array that is read when it is needed, and its shape.
Source = Mapping[str, tuple[Shape, Callable[[], np.ndarray]]]


class Imported(NamedTuple):
    """A network with the weights of another library.

    Attributes:
      network: its genotype says what it is called.
      variables: float32 ``{"params": ..., "batch_stats": ...}``.
    """

    network: Network
    variables: Any


def import_keras(model: Any) -> Imported:
    """NASNetMobile or NASNetLarge of Keras, with or without their top.

    The logits are those before the top's softmax.

    Args:
      model: a Keras model, or the path of an HDF5 file with the weights of one: Keras's published
        files, or what ``model.save_weights`` or ``model.save`` write as ``.h5``.

    Raises:
      WeightsError: if it is neither, naming what is missing, unknown or of another shape.
    """
    if isinstance(model, str | os.PathLike):
        return _read_h5(Path(model))
    if not hasattr(model, "layers"):
        raise WeightsError(
            f"a {type(model).__name__} is neither a Keras model nor the path of an .h5 file"
        )
    source = {}
    for layer in model.layers:
        for weight in layer.weights:
            source[f"{layer.name}/{_last(weight.name)}"] = tuple(weight.shape), weight.numpy
    return _from_keras(source, "the Keras model")


def import_timm(weights: Any) -> Imported:
    """timm's nasnetalarge, pnasnet5large, mnasnet_100 or semnasnet_100.

    Args:
      weights: a state dict of PyTorch tensors or NumPy arrays, or the path of a safetensors file.

    Raises:
      WeightsError: if it is none of them, naming what is missing, unknown or of another shape.
    """
    if isinstance(weights, str | os.PathLike):
        if Path(weights).suffix in (".pth", ".pt", ".bin", ".ckpt"):
            raise WeightsError(
                f"{weights} is a pickle, which can run code when it is read; "
                "give its safetensors file, or a state dict"
            )
        arrays, where = read_safetensors(weights)[0], str(weights)
    elif isinstance(weights, Mapping):
        arrays, where = weights, "the state dict"
    else:
        raise WeightsError(
            f"a {type(weights).__name__} is neither a state dict nor the path of a safetensors file"
        )
    source = {}
    for name, value in arrays.items():
        if not hasattr(value, "shape"):
            raise WeightsError(f"{where} is no state dict: its {name!r} is no array")
        if name.rpartition(".")[2] != "num_batches_tracked":
            source[name] = tuple(value.shape), lambda value=value: _numpy(value)
    for marker, name, layer_of in (
        ("conv0.conv.weight", "nasnet_a_large", _timm_nasnet_layer),
        ("conv_0.conv.weight", "pnasnet_5_large", _timm_pnasnet_layer),
        ("blocks.2.0.se.conv_reduce.weight", "mnasnet_a1", _timm_mnasnet_layer),
        ("blocks.2.0.conv_pwl.weight", "mnasnet_b1", _timm_mnasnet_layer),
    ):
        if marker in source:
            genotype = zoo.named(name)
            if name == "nasnet_a_large":
                genotype = _padded(genotype, "timm", "avg")
            return _import(source, where, genotype, layer_of, _torch_leaf)
    raise WeightsError(
        f"{where} is none of timm's nasnetalarge, pnasnet5large, mnasnet_100 and semnasnet_100"
    )


# --------------------------------------------------------------------------- Keras


def _read_h5(path: Path) -> Imported:
    try:
        import h5py
    except ImportError as error:
        raise WeightsError(f"{path} is read with h5py: pip install 'jaxnas[imports]'") from error
    if not path.is_file():
        raise WeightsError(f"there is no file {path}")
    try:
        with h5py.File(path, "r") as file:
            return _from_keras(_h5_source(file, path), str(path))
    except (OSError, RuntimeError) as error:
        raise WeightsError(f"{path} is no HDF5 file or is damaged ({error})") from error


# What Keras 3 numbers, by how many a layer has.
_NUMBERED = {
    1: ("kernel",),
    2: ("depthwise_kernel", "pointwise_kernel"),
    4: ("gamma", "beta", "moving_mean", "moving_variance"),
}


def _h5_source(file: Any, path: Path) -> Source:
    """The weights in an HDF5 file by layer and name; links to other files are not followed."""
    import h5py

    source = {}

    def visit(name: str, item: Any) -> None:
        parts = name.removeprefix("model_weights/").split("/")
        if not isinstance(item, h5py.Dataset) or not item.shape or parts[0].startswith("optimizer"):
            return
        if item.external or item.is_virtual:
            raise WeightsError(f"{path} keeps {name} in another file, which is not read")
        layer, last = parts[0], _last(name)  # Keras 2: stem_conv1/[scopes/]kernel:0
        if parts[-2:-1] == ["vars"]:  # Keras 3: layers/conv2d_3/vars/0
            numbered: Any = item.parent
            layer = _text(numbered.attrs.get("name", parts[1]))
            names = _NUMBERED.get(len(numbered), ())
            if layer == "predictions":
                names = "kernel", "bias"
            last = dict(zip("0123", names, strict=False)).get(last, last)
        source[f"{layer}/{last}"] = item.shape, lambda: np.asarray(item)

    file.visititems(visit)
    return source


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _last(name: str) -> str:
    """``kernel`` of ``scope/kernel:0``."""
    return name.rpartition("/")[2].partition(":")[0]


def _from_keras(source: Source, where: str) -> Imported:
    stem = source.get("stem_conv1/kernel", ((),))[0]
    stems: dict[Shape, str] = {(32,): "nasnet_a_mobile", (96,): "nasnet_a_large"}
    name = stems.get(stem[3:])
    if name is None:
        raise WeightsError(f"{where} is neither Keras's NASNetMobile nor NASNetLarge")
    genotype = _padded(zoo.named(name), "keras", "max avg")
    return _import(source, where, genotype, _keras_layer, _keras_leaf)


_KERAS_SIDES = {
    "normal": {0: "left1", 1: "right1", 2: "left2", 3: "right2", 8: "left5"},
    # The fifth block's convolution is called left4 too.
    "reduction": {0: "left1", 1: "right1", 3: "right2", 5: "right3", 8: "left4"},
}


def _keras_layer(block: _Place, module: tuple[str, ...]) -> str:
    match module:
        case ("stem_conv",) | ("stem_norm",):
            return {"stem_conv": "stem_conv1", "stem_norm": "stem_bn1"}[module[0]]
        case ("classifier",):
            return "predictions"
        case ("input_0", layer):
            return f"{block.cell.name}_{'bn' if layer == 'norm' else 'conv'}_1_{block.keras}"
        case ("input_1", layer):
            return {
                "conv": "adjust_conv_projection",
                "conv_even": "adjust_conv_1",
                "conv_odd": "adjust_conv_2",
                "norm": "adjust_bn",
            }[layer] + f"_{block.keras}"
        case (edge, layer):
            kind, _, index = layer.partition("_")
            name = f"separable_conv_{int(index) + 1}" + ("_bn" if kind == "norm" else "")
            side = _KERAS_SIDES[block.cell.name][int(edge)]
            return f"{name}_{block.cell.name}_{side}_{block.keras}"
    raise AssertionError(module)


def _keras_leaf(layer: str, module: str, leaf: str, shape: Shape) -> _Leaf:
    if module.startswith("depthwise"):
        kh, kw, one, channels = shape
        return _Leaf(
            f"{layer}/depthwise_kernel",
            (kh, kw, channels, one),
            lambda value: value.transpose(0, 1, 3, 2),
        )
    name = {
        "kernel": "pointwise_kernel" if module.startswith("pointwise") else "kernel",
        "scale": "gamma",
        "bias": "bias" if module == "classifier" else "beta",
        "mean": "moving_mean",
        "var": "moving_variance",
    }[leaf]
    return _Leaf(f"{layer}/{name}", shape, lambda value: value)


# --------------------------------------------------------------------------- timm


def _numpy(value: Any) -> np.ndarray:
    """A PyTorch tensor, of any device and floating dtype, or an array, as an array."""
    return value.detach().float().cpu().numpy() if hasattr(value, "detach") else np.asarray(value)


def _timm_nasnet_layer(block: _Place, module: tuple[str, ...], path: str = "") -> str:
    """A layer of nasnetalarge; `path` is where a factorized reduction keeps its paths."""
    match module:
        case ("stem_conv",) | ("stem_norm",):
            return f"{'conv_0' if path else 'conv0'}.{_SHORT[module[0].removeprefix('stem_')]}"
        case ("classifier",):
            return "last_linear"
        case ("input_0", layer):
            return f"{block.timm}.conv_1x1.{_SHORT[layer]}"
        case ("input_1", layer):
            if block.resized:
                return f"{block.timm}.{path}{_SHORT_RESIZED[layer]}"
            return f"{block.timm}.conv_prev_1x1.{_SHORT[layer]}"
        case (edge, layer):
            side = f"{block.timm}.comb_iter_{int(edge) // 2}_{('left', 'right')[int(edge) % 2]}"
            kind, _, index = layer.partition("_")
            if not index:
                return f"{side}.{_SHORT[layer]}"
            number = int(index) + 1
            if kind == "norm":
                return f"{side}.bn_sep_{number}"
            return f"{side}.separable_{number}.{kind}_conv2d"
    raise AssertionError(module)


_SHORT = {"conv": "conv", "norm": "bn"}
_SHORT_RESIZED = {"conv_even": "path_1.conv", "conv_odd": "path_2.conv", "norm": "final_path_bn"}


def _timm_pnasnet_layer(block: _Place, module: tuple[str, ...]) -> str:
    return _timm_nasnet_layer(block, module, "conv_prev_1x1.")


def _timm_mnasnet_layer(block: _Place, module: tuple[str, ...]) -> str:
    match module:
        case ("classifier",):
            return "classifier"
        case (layer,):
            return {
                "stem_conv": "conv_stem",
                "stem_norm": "bn1",
                "head_conv": "conv_head",
                "head_norm": "bn2",
            }[layer]
    edge, layer = int(module[0]), module[1]
    if layer in ("reduce", "expand"):
        return f"{block.timm}.se.conv_{layer}"
    edges = [each for each in block.cell.edges if each.op.startswith(("conv", "depthwise"))]
    index = edges.index(block.cell.edges[edge])
    if layer == "norm":
        return f"{block.timm}.bn{index + 1}"
    names = ("conv_pw", "conv_dw", "conv_pwl") if len(edges) == 3 else ("conv_dw", "conv_pw")
    return f"{block.timm}.{names[index]}"


def _torch_leaf(layer: str, module: str, leaf: str, shape: Shape) -> _Leaf:
    name = {
        "kernel": "weight",
        "scale": "weight",
        "bias": "bias",
        "mean": "running_mean",
        "var": "running_var",
    }[leaf]
    name = f"{layer}.{name}"
    if leaf != "kernel":
        return _Leaf(name, shape, lambda value: value)
    if len(shape) == 4:
        kh, kw, inputs, outputs = shape
        return _Leaf(name, (outputs, inputs, kh, kw), lambda value: value.transpose(2, 3, 1, 0))
    inputs, outputs = shape
    # Squeeze-and-excitation's dense layers are 1x1 convolutions in timm.
    ones = () if module == "classifier" else (1, 1)
    return _Leaf(name, (outputs, inputs, *ones), lambda value: value.reshape(outputs, inputs).T)


# --------------------------------------------------------------------------- both


class _Leaf(NamedTuple):
    """Where a variable comes from: the source's name and shape for it, and the way from there."""

    name: str
    shape: Shape
    convert: Callable[[np.ndarray], np.ndarray]


class _Place(NamedTuple):
    """What a block is called in the sources.

    Attributes:
      cell: of the block.
      keras: suffix of the names of its layers.
      timm: prefix of the names of its layers.
      resized: whether its older input is larger than its newer one.
    """

    cell: Cell
    keras: str
    timm: str
    resized: bool


LayerName = Callable[[_Place, tuple[str, ...]], str]
LeafOf = Callable[[str, str, str, Shape], _Leaf]

# The variables are the same for images of any size from 32x32 on.
_IMAGE = (224, 224, 3)


def _padded(genotype: Genotype, source: str, kinds: str) -> Genotype:
    """A NASNet whose strided pools of those kinds see their padding as zeros."""
    names = {f"{kind}_pool_3x3" for kind in kinds.split()}
    cells = tuple(
        dataclasses.replace(
            cell,
            edges=tuple(
                dataclasses.replace(edge, op=f"padded_{edge.op}")
                if cell.name == "reduction" and edge.op in names and edge.source < cell.inputs
                else edge
                for edge in cell.edges
            ),
        )
        for cell in genotype.cells
    )
    return dataclasses.replace(genotype, name=f"{genotype.name}_{source}", cells=cells)


def _source_layer(places: list[_Place], module: tuple[str, ...], layer_of: LayerName) -> str:
    """The source's name of a layer that has the path `module` in our variables."""
    head, *rest = module
    if not head.startswith("block_"):
        return layer_of(places[0], module)
    _, number, *inputs = head.split("_")  # block_3, or block_3_input_0
    place = places[int(number)]
    if inputs:
        return layer_of(place, ("_".join(inputs), *rest))
    return layer_of(place, (rest[0].split("_")[1], *rest[1:]))  # edge_0_sep_conv_3x3


def _places(genotype: Genotype) -> Iterator[_Place]:
    """The blocks' places, in order."""
    if genotype.family == "residual":  # timm: a stage for each number of channels
        groups = itertools.groupby(
            zip(genotype.blocks, genotype.placed_cells(), strict=True),
            key=lambda pair: pair[0].channels,
        )
        for stage, (_, group) in enumerate(groups):
            for index, (_, cell) in enumerate(group):
                yield _Place(cell, "", f"blocks.{stage}.{index}", False)
        return
    in_place = genotype.name.startswith("pnasnet")
    reductions = cells = 0
    for index, cell in enumerate(genotype.placed_cells()):
        newer, older = genotype.inputs_of(index)
        resized = any(each.stride == 2 for each in genotype.blocks[older + 1 : newer + 1])
        if index < 2:
            keras, timm = f"stem_{index + 1}", f"cell_stem_{index}"
        elif cell.name == "reduction" and not in_place:
            keras, timm = f"reduce_{cells}", f"reduction_cell_{reductions}"
            reductions += 1
        else:
            keras, timm = str(cells + (reductions > 0)), f"cell_{cells}"
            cells += 1
        yield _Place(cell, keras, timm, resized)


def _import(
    source: Source, where: str, genotype: Genotype, layer_of: LayerName, leaf_of: LeafOf
) -> Imported:
    """The network of `genotype` with the weights of `source`."""
    places = list(_places(genotype))
    bias = leaf_of(layer_of(places[0], ("classifier",)), "classifier", "bias", ()).name
    classes = (*source[bias][0], 1)[0] if bias in source else None
    expected = shapes_of(build(genotype, 1 if classes is None else classes), _IMAGE)
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
            value = np.asarray(source[leaf.name][1](), np.float32)
        except (TypeError, ValueError) as error:
            raise WeightsError(f"{where}: {leaf.name} holds no numbers ({error})") from error
        values[name] = jnp.array(leaf.convert(value))  # a copy: the source may go on training
    if classes is None:
        classes = expected["params"]["classifier"]["kernel"].shape[0]
        values["params/classifier/kernel"] = jnp.eye(classes)
        values["params/classifier/bias"] = jnp.zeros(classes)
    leaves = [values[name] for name in named_leaves(expected)]
    variables = jax.tree.unflatten(jax.tree.structure(expected), leaves)
    return Imported(build(genotype, classes), variables)

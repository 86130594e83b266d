"""Keras's NASNetMobile and NASNetLarge. Keras is not imported, and nothing is unpickled.

Keras pads before the strided pools of NASNet's reduction cells, so that their windows see zeros.
TensorFlow's code, for which the published weights were trained, does not. The imported genotypes
have ``padded_max_pool_3x3`` and ``padded_avg_pool_3x3`` there, so that they equal the source; their
variables also fit the zoo's networks, ``nasnet_a_mobile`` and ``nasnet_a_large``, which equal
TensorFlow's.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from jaxnas.nn.weights.checks import Shape, WeightsError
from jaxnas.nn.weights.foreign import (
    Imported,
    Place,
    Source,
    SourceArray,
    cell_places,
    import_weights,
    with_padded_pools,
)
from jaxnas.spaces import zoo


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
    except WeightsError:
        raise
    except Exception as error:  # a damaged file can raise almost anything
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
    genotype = with_padded_pools(zoo.named(name), "keras", "max avg")
    return import_weights(source, where, genotype, cell_places(genotype), _keras_layer, _keras_leaf)


_KERAS_SIDES = {
    "normal": {0: "left1", 1: "right1", 2: "left2", 3: "right2", 8: "left5"},
    # The fifth block's convolution is called left4 too.
    "reduction": {0: "left1", 1: "right1", 3: "right2", 5: "right3", 8: "left4"},
}


def _keras_layer(block: Place, module: tuple[str, ...]) -> str:
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


def _keras_leaf(layer: str, module: str, leaf: str, shape: Shape) -> SourceArray:
    if module.startswith("depthwise"):
        kh, kw, one, channels = shape
        return SourceArray(
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
    return SourceArray(f"{layer}/{name}", shape, lambda value: value)

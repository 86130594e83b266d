"""Keras's NASNetMobile and NASNetLarge. Keras is not imported; no pickle and no code is run.

Keras pads before the strided pools of NASNet's reduction cells, so that their windows see zeros.
TensorFlow's code, for which the published weights were trained, does not. The imported genotypes
have ``padded_max_pool_3x3`` and ``padded_avg_pool_3x3`` there, so that they equal the source; their
variables also fit the zoo's networks, ``nasnet_a_mobile`` and ``nasnet_a_large``, which equal
TensorFlow's.
"""

from __future__ import annotations

import io
import os
import re
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from jaxnas.nn.weights.checks import Shape, WeightsError, existing_file
from jaxnas.nn.weights.foreign import Imported, convert_weights
from jaxnas.nn.weights.source_layers import (
    Place,
    Source,
    SourceArray,
    cell_places,
    with_padded_pools,
)
from jaxnas.spaces import zoo


def import_keras(model: Any) -> Imported:
    """NASNetMobile or NASNetLarge of Keras, with or without their top, for images of any channels.

    The logits are those before the top's softmax. The network may stand in a Sequential or another
    model, with one dense layer behind it for a top.

    Args:
      model: a Keras model, or the path of a file with the weights of one: Keras's published files,
        or what ``model.save_weights`` or ``model.save`` write as ``.h5`` or ``.keras``.

    Raises:
      WeightsError: if it is neither, naming what is missing, unknown or of another shape.
    """
    if isinstance(model, str | os.PathLike):
        return _read_h5(Path(model))
    if not hasattr(model, "layers"):
        raise WeightsError(
            f"a {type(model).__name__} is neither a Keras model nor the path of an .h5 file"
        )
    source, where = {}, "the Keras model"
    for layer in _layers(model):
        _refuse_layer(type(layer).__name__, where)
        for weight in layer.weights:
            source[f"{layer.name}/{_last(weight.name)}"] = tuple(weight.shape), weight.numpy
    return _from_keras(source, where)


def _layers(model: Any) -> Iterator[Any]:
    """The layers of a model and of the models in it."""
    for layer in model.layers:
        yield from _layers(layer) if hasattr(layer, "layers") else (layer,)


# They compute something without weights that would tell of them.
_REFUSED = ("Flatten", "GlobalMaxPooling2D", "Lambda", "Rescaling")


def _refuse_layer(kind: str, where: str) -> None:
    if kind in _REFUSED:
        raise WeightsError(
            f"{where} has a {kind} layer, which NASNet has not and the import would leave out; "
            "give the model without it"
        )


def _read_h5(path: Path) -> Imported:
    try:
        import h5py
    except ImportError as error:
        raise WeightsError(f"{path} is read with h5py: pip install 'jaxnas[imports]'") from error
    path = existing_file(path)
    try:
        with h5py.File(_unzipped(path) if path.suffix == ".keras" else path, "r") as file:
            return _from_keras(_h5_source(file, path), str(path))
    except WeightsError:
        raise
    except Exception as error:  # a damaged file can raise almost anything
        raise WeightsError(f"{path} is no HDF5 file or is damaged ({error})") from error


def _unzipped(path: Path) -> io.BytesIO:
    """The HDF5 file in a .keras file, whose config.json is checked and not run."""
    try:
        with zipfile.ZipFile(path) as file:
            config = file.read("config.json").decode("utf-8", "replace")
            content = file.read("model.weights.h5")
    except (OSError, KeyError, EOFError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        raise WeightsError(
            f"{path} is no .keras file, or is damaged ({error}); Keras's model.save writes it, and "
            "model.save_weights a .weights.h5 that is read too"
        ) from error
    for kind in _REFUSED:
        if re.search(rf'"class_name": *"{kind}"', config):
            _refuse_layer(kind, str(path))
    return io.BytesIO(content)


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
            if len(numbered) == 2 and getattr(numbered.get("0"), "ndim", 0) == 2:
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
    stem = source.get("stem_conv1/kernel", ((0, 0, 0, 0),))[0]
    stems: dict[Shape, str] = {(32,): "nasnet_a_mobile", (96,): "nasnet_a_large"}
    name = stems.get(stem[3:])
    if name is None:
        raise WeightsError(f"{where} is neither Keras's NASNetMobile nor NASNetLarge")
    genotype = with_padded_pools(zoo.named(name), "keras", "max avg")
    imported = convert_weights(
        _with_top(source),
        where,
        genotype,
        cell_places(genotype),
        _keras_layer,
        _keras_leaf,
        stem[2],
    )
    # keras.applications.nasnet.preprocess_input
    return imported._replace(mean=(0.5,) * stem[2], std=(0.5,) * stem[2])


def _with_top(source: Source) -> Source:
    """The weights, those of the one dense layer by the name that Keras's own top has."""
    dense = {name for name, (shape, _) in source.items() if len(shape) == 2}
    if len(dense) != 1:
        return source
    layer = dense.pop().rpartition("/")[0]
    return {
        f"predictions/{_last(name)}" if name.rpartition("/")[0] == layer else name: value
        for name, value in source.items()
    }


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

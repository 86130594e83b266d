"""timm's nasnetalarge, pnasnet5large, mnasnet_100 and semnasnet_100. PyTorch is not imported.

timm's NASNet pads before the strided average pools, so that their windows see zeros; the imported
genotype has ``padded_avg_pool_3x3`` there. Nothing is unpickled.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from jaxnas.nn.weights.checks import Shape, WeightsError
from jaxnas.nn.weights.foreign import (
    Imported,
    Place,
    SourceArray,
    cell_places,
    import_weights,
    with_padded_pools,
)
from jaxnas.nn.weights.safetensors_file import read_safetensors
from jaxnas.spaces import zoo
from jaxnas.spaces.genotype import Genotype


def import_timm(weights: Any) -> Imported:
    """timm's nasnetalarge, pnasnet5large, mnasnet_100 or semnasnet_100.

    Names may all begin with ``module.`` or another of `_PREFIXES`, and the state dict may stand in
    a checkpoint beside other things; where it has the averaged weights too, those are taken, as
    timm does.

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
        arrays, where = dict(weights), "the state dict"
    else:
        raise WeightsError(
            f"a {type(weights).__name__} is neither a state dict nor the path of a safetensors file"
        )
    for name in _DICTS:
        if isinstance(inner := arrays.get(name), Mapping):
            arrays, where = dict(inner), f"{where}'s {name}"
            break
    source = {}
    for name, value in _without_prefix(arrays).items():
        if not hasattr(value, "shape"):
            raise WeightsError(f"{where} is no state dict: its {name!r} is no array")
        if name.rpartition(".")[2] != "num_batches_tracked":
            source[name] = tuple(value.shape), lambda value=value: _numpy(value)
    for marker, name, places, layer_of in (
        ("conv0.conv.weight", "nasnet_a_large", cell_places, _nasnet_layer),
        ("conv_0.conv.weight", "pnasnet_5_large", cell_places, _pnasnet_layer),
        ("blocks.2.0.se.conv_reduce.weight", "mnasnet_a1", _stage_places, _mnasnet_layer),
        ("blocks.2.0.conv_pwl.weight", "mnasnet_b1", _stage_places, _mnasnet_layer),
    ):
        if marker in source:
            genotype = zoo.named(name)
            if name == "nasnet_a_large":
                genotype = with_padded_pools(genotype, "timm", "avg")
            stems = [shape for name, (shape, _) in source.items() if name in _STEMS]
            if [len(shape) for shape in stems] != [4]:
                raise WeightsError(f"{where} has no kernel of a stem, such as {_STEMS[-1]}")
            channels = stems[0][1]
            return import_weights(
                source, where, genotype, places(genotype), layer_of, _torch_leaf, channels
            )
    raise WeightsError(
        f"{where} is none of timm's nasnetalarge, pnasnet5large, mnasnet_100 and semnasnet_100"
    )


# Where checkpoints keep a state dict, averaged weights first, and what wrappers put before names.
_DICTS = ("state_dict_ema", "model_ema", "ema", "state_dict", "model")
_PREFIXES = ("module.", "_orig_mod.", "ema_model.", *(f"{name}." for name in _DICTS))
_STEMS = ("conv0.conv.weight", "conv_0.conv.weight", "conv_stem.weight")


def _without_prefix(arrays: Mapping[str, Any]) -> dict[str, Any]:
    """The arrays by their names without the prefixes that all of them have."""
    # A counter of torch.optim.swa_utils.AveragedModel, which is no weight.
    found = {str(name): value for name, value in arrays.items() if name != "n_averaged"}
    while found and (
        prefix := next((each for each in _PREFIXES if all(n.startswith(each) for n in found)), None)
    ):
        found = {name.removeprefix(prefix): value for name, value in found.items()}
    return found


def _numpy(value: Any) -> np.ndarray:
    """A PyTorch tensor, of any device and floating dtype, or an array, as an array."""
    return value.detach().float().cpu().numpy() if hasattr(value, "detach") else np.asarray(value)


def _nasnet_layer(block: Place, module: tuple[str, ...], path: str = "") -> str:
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


def _pnasnet_layer(block: Place, module: tuple[str, ...]) -> str:
    return _nasnet_layer(block, module, "conv_prev_1x1.")


def _mnasnet_layer(block: Place, module: tuple[str, ...]) -> str:
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


def _torch_leaf(layer: str, module: str, leaf: str, shape: Shape) -> SourceArray:
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
    # Squeeze-and-excitation's dense layers are 1x1 convolutions in timm.
    ones = () if module == "classifier" else (1, 1)
    return SourceArray(
        name, (outputs, inputs, *ones), lambda value: value.reshape(outputs, inputs).T
    )


def _stage_places(genotype: Genotype) -> list[Place]:
    """The places of a MnasNet's blocks, in order: timm has a stage for each number of channels."""
    blocks = zip(genotype.blocks, genotype.placed_cells(), strict=True)
    return [
        Place(cell, "", f"blocks.{stage}.{index}", False)
        for stage, (_, group) in enumerate(itertools.groupby(blocks, lambda each: each[0].channels))
        for index, (_, cell) in enumerate(group)
    ]

"""Networks of timm and torchvision. PyTorch is imported for its own files alone.

Weights are read from a state dict, from a safetensors file, and from a .pth by PyTorch's restricted
reader, which makes tensors and plain containers and runs nothing else.
"""

from __future__ import annotations

import itertools
import os
import re
import warnings
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from jaxnas import reading
from jaxnas.nn.weights.checks import MisfitError, WeightsError, kind_of
from jaxnas.nn.weights.foreign import Imported, another_network, convert_weights
from jaxnas.nn.weights.safetensors_file import read_safetensors
from jaxnas.nn.weights.source_layers import Source
from jaxnas.nn.weights.torch_layers import NAMINGS, Model, Naming, torch_leaf
from jaxnas.normalisation import Normalisation
from jaxnas.spaces.genotype import Genotype

_SAFE_TORCH = (2, 6)  # before it, weights_only could be got round (CVE-2025-32434)


class _RelativeError(WeightsError):
    """Weights that have a network's marker and are not its own."""


def import_timm(weights: Any, model: str | None = None) -> Imported:
    """A network of timm: ResNet, MobileNetV2, EfficientNet, MnasNet, NASNet-A or PNASNet-5.

    Names may all begin with ``module.`` or another of `_PREFIXES`, and the state dict may stand in
    a checkpoint beside other things; where it has the averaged weights too, those are taken, as
    timm does.

    Args:
      weights: a state dict of PyTorch tensors or NumPy arrays, or the path of a safetensors file or
        of a .pth or other file of PyTorch, which takes PyTorch to be read.
      model: timm's name of the network, such as ``resnet18``, ``resnet34``, ``resnet50``,
        ``mobilenetv2_100``, ``efficientnet_b0``, ``efficientnet_lite0``, these two with ``tf_``
        before them, ``mnasnet_100``, ``semnasnet_100``, ``nasnetalarge`` or ``pnasnet5large``. None
        for what names and shapes say, or a ``config.json`` of timm beside the file. They do not
        tell a ``tf_`` network from its namesake, which computes something else.

    Raises:
      WeightsError: if it is none of them, naming what is missing, unknown or of another shape; if
        it may be two networks; or if PyTorch is needed and missing.
    """
    return _import(weights, "timm", model)


def import_torchvision(weights: Any) -> Imported:
    """A network of torchvision: resnet18, resnet34, resnet50, mobilenet_v2 or efficientnet_b0.

    Args:
      weights: as `import_timm` takes them.

    Raises:
      WeightsError: as `import_timm` does.
    """
    return _import(weights, "torchvision", None)


def import_fitting(weights: Any, base: str, fits: Callable[[Genotype], bool]) -> Imported:
    """The network of timm, torchvision or efficientnet_pytorch that fits.

    Args:
      weights: as `import_timm` takes them.
      base: name of what it must fit, for messages.
      fits: whether a network does.

    Raises:
      WeightsError: as `import_timm` does, and if the weights are of another network.
    """
    source, where, config = _read(weights)
    found = _find(source, where, None)
    found = [each for each in found if each[1].name == config.get("architecture")] or found
    for naming, model in found:
        if fits(model.genotype()):
            return _convert(source, where, naming, model, config)
    networks = [model.genotype() for _, model in _exact(source, where, found)]
    raise WeightsError(another_network(where, networks, base))


def _import(weights: Any, library: str, name: str | None) -> Imported:
    source, where, config = _read(weights)
    name = name or (config.get("architecture") if library == "timm" else None)
    found = _find(source, where, library)
    if name is not None:
        found = [(naming, model) for naming, model in found if model.name == name]
        if not found:
            known = ", ".join(model.name for each in _of(library) for model in each.models)
            raise WeightsError(
                f"{where} does not hold the weights of {library}'s {name}, or that is none of the "
                f"networks that are known: {known}"
            )
    if len(found) > 1:
        found = _exact(source, where, found)
    if len(found) > 1:
        names = " and ".join(model.name for _, model in found)
        raise WeightsError(
            f"{where} fits {library}'s {names}, which pad differently and so compute different "
            "things; say which it is by model="
        )
    ((naming, model),) = found
    return _convert(source, where, naming, model, config)


def _of(library: str | None) -> list[Naming]:
    return [each for each in NAMINGS if library is None or library in each.libraries]


def _find(source: Source, where: str, library: str | None) -> list[tuple[Naming, Model]]:
    """The networks that weights may be of, or of relatives of them.

    Raises:
      WeightsError: if there is none.
    """
    namings = _of(library)
    found = [(naming, model) for naming in namings for model in naming.found_in(source)]
    if found:
        return found
    known = ", ".join(dict.fromkeys(model.name for each in namings for model in each.models))
    library = library or " or ".join(dict.fromkeys(name for n in namings for name in n.libraries))
    raise WeightsError(f"{where} holds none of these networks of {library}: {known}")


def _exact(
    source: Source, where: str, found: list[tuple[Naming, Model]]
) -> list[tuple[Naming, Model]]:
    """Those of the networks found that have all names and shapes of the weights.

    Raises:
      WeightsError: if there is none.
    """
    exact, errors = [], []
    for _, group in itertools.groupby(found, key=lambda each: each[1].marker):
        alike = list(group)  # in all that weights show
        try:
            _convert(source, where, *alike[0], {})
        except _RelativeError as error:
            errors.append(error)
        else:
            exact += alike
    if not exact:
        raise errors[0]
    return exact


def _convert(
    source: Source, where: str, naming: Naming, model: Model, config: dict[str, Any]
) -> Imported:
    genotype = model.genotype()
    places, channels = naming.places(genotype), source[naming.stem][0][1]
    try:
        imported = convert_weights(
            source, where, genotype, places, naming.layer_of, torch_leaf, channels
        )
    except MisfitError as error:
        name = genotype.name
        raise _RelativeError(
            f"{where} looks like a scaled, deeper or incomplete relative of {name}, which is not "
            f"in the zoo; give weights of a network that is (unlike {name} {error.misfit})"
        ) from error
    if channels != 3:  # the normalisation of grey images depends on who made them so
        return imported
    mean, std = _normalisation(config) or model.normalisation
    return imported._replace(mean=mean, std=std)


def _normalisation(config: dict[str, Any]) -> Normalisation | None:
    """What timm's ``config.json`` says of mean and standard deviation."""
    settings = config.get("pretrained_cfg")
    if not isinstance(settings, dict):
        return None
    found = []
    for name in ("mean", "std"):
        values = settings.get(name)
        if not isinstance(values, list) or {type(each) for each in values} - {int, float}:
            return None
        found.append(tuple(values))
    return Normalisation(*found)


# ---------------------------------------------------------------- reading


# Where checkpoints keep a state dict, averaged weights first, and what wrappers put before names.
_DICTS = (
    *("state_dict_ema", "model_ema", "ema"),
    *("state_dict", "model_state_dict", "model", "net", "network"),
)
_PREFIXES = ("module.", "_orig_mod.", "ema_model.", *(f"{name}." for name in _DICTS))


def _read(weights: Any) -> tuple[Source, str, dict[str, Any]]:
    """The arrays by name, what holds them, and timm's ``config.json`` beside a file."""
    config: dict[str, Any] = {}
    if isinstance(weights, str | os.PathLike):
        path = Path(weights)
        config = _config_beside(path)
        pickled = kind_of(path) == "pickle"
        arrays: Any = _unpickled(path) if pickled else read_safetensors(path)[0]
        where = str(path)
    elif isinstance(weights, Mapping):
        arrays, where = weights, "the state dict"
    else:
        raise WeightsError(
            f"a {type(weights).__name__} is neither a state dict nor the path of a safetensors "
            "file or of a .pth"
        )
    arrays = dict(arrays)
    for name in _DICTS:
        if isinstance(inner := arrays.get(name), Mapping):
            arrays, where = dict(inner), f"{where}'s {name}"
            break
    source = {}
    for name, value in _without_prefix(arrays).items():
        if not hasattr(value, "shape"):
            raise WeightsError(
                f"{where} is no state dict: its {name!r} is no array; in a checkpoint one is read "
                f"that is called {', '.join(_DICTS[:-1])} or {_DICTS[-1]}"
            )
        if name.rpartition(".")[2] != "num_batches_tracked":
            source[name] = tuple(value.shape), lambda value=value: _numpy(value)
    return source, where, config


def _config_beside(path: Path) -> dict[str, Any]:
    """timm's ``config.json`` beside a file, as its hub has it; empty if there is none."""
    try:
        config = reading.from_json(reading.read_text(path.parent / "config.json"))
    except (OSError, ValueError):
        return {}
    known = isinstance(config, dict) and isinstance(config.get("architecture"), str)
    return config if known else {}


def _unpickled(path: Path) -> Mapping[str, Any]:
    """What PyTorch's restricted reader makes of a file."""
    try:
        torch: Any = import_module("torch")
    except ImportError as error:
        raise WeightsError(
            f"{path} is a pickle, which PyTorch alone reads without running code: "
            "pip install torch, or give its safetensors file"
        ) from error
    if tuple(int(part) for part in torch.__version__.split(".")[:2]) < _SAFE_TORCH:
        raise WeightsError(
            f"{path} is a pickle, and PyTorch before 2.6 can be made to run code by one "
            f"(CVE-2025-32434); this is {torch.__version__}; give its safetensors file"
        )
    try:
        # Not by its name, of which PyTorch would look at the suffix; what it warns of it refuses.
        with path.open("rb") as file, warnings.catch_warnings(action="ignore"):
            found = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # damaged files make it raise almost anything
        code = re.search(r"(?<=GLOBAL )[\w.]{1,99}|TorchScript", str(error))
        wrong = f"but holds {code[0]}, which is code and is not run" if code else "or is damaged"
        # Without PyTorch's text, which advises to run the code.
        raise WeightsError(
            f"{path} is no file of weights alone, {wrong}; save model.state_dict() where it comes "
            "from, or give a safetensors file"
        ) from None
    if not isinstance(found, Mapping):
        raise WeightsError(f"{path} holds a {type(found).__name__} and no state dict")
    return found


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
    """A PyTorch tensor of any device, or an array, as an array; float32 of floating-point ones."""
    if not hasattr(value, "detach"):
        return np.asarray(value)
    value = value.detach()
    return (value.float() if value.is_floating_point() else value).cpu().numpy()

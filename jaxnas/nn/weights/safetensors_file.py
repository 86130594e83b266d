"""Variables of networks in safetensors files, which hold arrays and cannot run code.

A variable is named by its path, such as ``params/block_0/edge_0_conv_3x3/conv/kernel``. The file's
metadata may hold the genotype, so that the network can be built from the file alone, the names of
its classes, and which images it takes.
"""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from jaxnas import reading
from jaxnas.errors import ExecutionError
from jaxnas.nn.network import Network, build
from jaxnas.nn.weights.checks import (
    Shape,
    WeightsError,
    as_float32,
    check_fits,
    class_names_text,
    existing_file,
    read_class_names,
)
from jaxnas.nn.weights.init import named_leaves
from jaxnas.normalisation import Normalisation, refuse_other_units
from jaxnas.spaces.genotype import Genotype

_CLASSIFIER = "params/classifier/kernel"


class _Unwritten(WeightsError, ExecutionError):
    """A file that cannot be written."""


class ImageForm(NamedTuple):
    """Images as a network takes them: float32, of uint8 (images / 255 - mean) / std.

    Attributes:
      shape: [h, w, c] of those that it was trained on.
      mean: of each channel, in 0..1; `data.normalise` takes it and `std`.
      std: standard deviation of each channel, in 0..1.
    """

    shape: tuple[int, int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]


class LoadedNetwork(NamedTuple):
    """A network from a file.

    Attributes:
      network: the Flax module, of float32.
      variables: its ``params`` and ``batch_stats``.
      class_names: of its logits, in their order; None where the file does not say.
    """

    network: Network
    variables: Any
    class_names: tuple[str, ...] | None


def save_safetensors(
    variables: Any,
    path: str | os.PathLike[str],
    genotype: Genotype | None = None,
    class_names: Sequence[str] | None = None,
    image_form: ImageForm | None = None,
) -> None:
    """Writes variables to a file, atomically.

    Args:
      variables: ``{"params": ..., "batch_stats": ...}`` of a network or a supernet.
      path: of the file; one that is there is replaced.
      genotype: of the network; `load_network` needs it.
      class_names: of the network's logits, in their order; None to leave them out.
      image_form: of the images that the network takes; None to leave it out.

    Raises:
      SettingsError: if `variables` are no nested dictionaries.
      TypeError: if `genotype` is none.
      WeightsError: if the file cannot be written, naming what is no array of numbers, if there are
        no variables, or if there is not one name for each logit.
    """
    from safetensors.numpy import save

    arrays = {
        # safetensors takes the bytes as they lie in memory.
        name: np.ascontiguousarray(leaf)
        for name, leaf in named_leaves(variables).items()
    }
    if not arrays:
        raise WeightsError(f"there is no variable in a {type(variables).__name__}, and none saved")
    if wrong := [name for name, array in arrays.items() if array.dtype.kind not in "biufV"]:
        raise WeightsError(f"{wrong[0]} is no array of numbers and cannot be saved")
    if not isinstance(genotype, Genotype | None):
        raise TypeError(f"genotype must be a Genotype or None, not a {type(genotype).__name__}")
    metadata = {} if genotype is None else {"genotype": genotype.to_json()}
    if class_names is not None:
        classifier = arrays.get(_CLASSIFIER)
        classes = None if classifier is None else classifier.shape[-1]
        metadata["class_names"] = class_names_text(path, class_names, classes)
    if image_form is not None:
        metadata["images"] = json.dumps(image_form._asdict())
    path = Path(path)
    if not path.name:
        raise WeightsError(f"{path} is no path of a file")
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        with open(temporary, "wb") as file:
            file.write(save(arrays, metadata))
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise _Unwritten(f"{path} cannot be written ({error.strerror or error})") from error
    finally:
        temporary.unlink(missing_ok=True)


def load_safetensors(
    path: str | os.PathLike[str], module: nn.Module, input_shape: Shape, *args: Any
) -> Any:
    """The variables of `module` in a file of `save_safetensors`, bitwise as saved.

    Args:
      path: of the file.
      module: a network or a supernet.
      input_shape: [h, w, c] of an image.
      *args: further arguments of the module after the image, such as a supernet's gates.

    Raises:
      WeightsError: if the file cannot be read, or naming each variable that it lacks, that the
        module has not, or that has another shape or dtype in it.
    """
    arrays, _ = read_safetensors(path)
    return _match(path, arrays, module, input_shape, *args)


def load_network(path: str | os.PathLike[str], input_shape: Shape) -> LoadedNetwork:
    """The network, not a supernet, in a file that was saved with its genotype.

    The number of classes is that of the classifier; the network has an auxiliary head if the file
    has variables for one. Variables of another precision are taken as float32.

    Args:
      path: of the file.
      input_shape: [h, w, c] of an image.

    Raises:
      WeightsError: as `load_safetensors`, and if the file holds no genotype or a wrong one.
    """
    arrays, metadata = read_safetensors(path)
    if "genotype" not in metadata:
        raise WeightsError(
            f"{path} was saved without a genotype; build its network and use load_safetensors"
        )
    classifier = arrays.get(_CLASSIFIER)
    if classifier is None or classifier.ndim != 2:
        raise WeightsError(f"{path} holds no classifier, {_CLASSIFIER} [inputs, classes]")
    auxiliary = any(name.startswith("params/auxiliary/") for name in arrays)
    genotype = read_genotype(path, metadata["genotype"])
    try:
        network = build(genotype, classifier.shape[1], auxiliary=auxiliary)
    except ValueError as error:
        raise WeightsError(f"{path} holds a genotype of no network: {error}") from error
    names = read_class_names(path, metadata.get("class_names"), classifier.shape[1])
    arrays = {name: as_float32(path, name, array) for name, array in arrays.items()}
    return LoadedNetwork(network, _match(path, arrays, network, input_shape), names)


def read_genotype(where: Any, text: str) -> Genotype:
    """The genotype in the metadata of a file.

    Raises:
      WeightsError: naming the file `where`, if it is none.
    """
    try:
        return Genotype.from_json(text)
    except ValueError as error:
        raise WeightsError(f"{where} holds a genotype of no network: {error}") from error


def load_image_form(path: str | os.PathLike[str]) -> ImageForm | None:
    """Which images the network in a file of `save_safetensors` takes; None where it does not say.

    Raises:
      WeightsError: as `read_safetensors`, and if what it says is damaged.
    """
    _, metadata = read_safetensors(path)
    if "images" not in metadata:
        return None
    try:
        fields = reading.from_json(metadata["images"])
        return image_form(fields["shape"], fields["mean"], fields["std"])
    except (KeyError, TypeError, ValueError) as error:
        raise WeightsError(f"{path} says wrongly which images it takes ({error})") from error


def image_form(shape: Sequence[int], mean: Sequence[float], std: Sequence[float]) -> ImageForm:
    """The form of images [h, w, c] with these moments of each channel.

    Raises:
      ValueError: if there is not one number for each channel, or they are none of images in 0..1.
    """
    height, width, channels = shape
    for values in (mean, std):
        if len(values) != channels or not np.isfinite(np.array(values, float)).all():
            raise ValueError(f"{list(values)} is no number for each of {channels} channels")
    refuse_other_units(Normalisation(tuple(mean), tuple(std)))
    return ImageForm((height, width, channels), tuple(mean), tuple(std))


def read_safetensors(
    path: str | os.PathLike[str],
) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """The arrays of a safetensors file by their names, and its metadata.

    Raises:
      WeightsError: if there is no such file, it is no safetensors file or damaged.
    """
    from safetensors import SafetensorError, safe_open

    path = existing_file(path)
    try:
        with safe_open(path, framework="numpy") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
    # An AttributeError of dtypes that NumPy has not, as those of 8 bits.
    except (SafetensorError, OSError, AttributeError, TypeError, ValueError) as error:
        raise WeightsError(f"{path} is no safetensors file or is damaged ({error})") from error


def _match(
    path: Any, arrays: dict[str, np.ndarray], module: nn.Module, input_shape: Shape, *args: Any
) -> Any:
    """`arrays` as the variables of `module`."""
    expected = check_fits(path, arrays, module, input_shape, *args)
    leaves = named_leaves(expected)
    if wrong := [
        f"{name} as {arrays[name].dtype}"
        for name, leaf in leaves.items()
        if arrays[name].dtype != leaf.dtype
    ]:
        raise WeightsError(f"{path} does not fit the network: it has {', '.join(wrong)}")
    values = [jnp.asarray(arrays[name]) for name in leaves]
    return jax.tree.unflatten(jax.tree.structure(expected), values)

"""Weights that training starts from: read, fitted to a base and its images, and told of."""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxnas import nn
from jaxnas.data import Dataset
from jaxnas.hints import escaped
from jaxnas.nn.weights.checks import as_float32, check_shapes, kind_of, read_class_names
from jaxnas.nn.weights.foreign import another_network
from jaxnas.nn.weights.init import named_leaves
from jaxnas.nn.weights.pretrained import import_source
from jaxnas.nn.weights.safetensors_file import load_image_form, read_genotype, read_safetensors
from jaxnas.normalisation import Normalisation, refuse_other_units
from jaxnas.runs.config import ConfigError
from jaxnas.runs.flags.pretrained import PretrainedFlags
from jaxnas.runs.load import load_run
from jaxnas.runs.starting.buildable import refuse_no_network
from jaxnas.runs.starting.start import Start
from jaxnas.spaces import AdaptationSpace, Genotype, SpaceError
from jaxnas.storage.files import RunError

_KERNEL, _BIAS = "params/classifier/kernel", "params/classifier/bias"
_COLLECTIONS = "params/", "batch_stats/"  # what else a file holds is no network's


class GivenWeights(NamedTuple):
    """Weights as they were found.

    Attributes:
      where: what they came from, for messages.
      arrays: float32 by name, such as ``params/stem_conv/kernel``.
      genotype: of their network; None where the file does not say.
      class_names: of its logits; None where the file does not say.
      normalisation: of its images; None where the file does not say.
    """

    where: str
    arrays: dict[str, np.ndarray]
    genotype: Genotype | None
    class_names: tuple[str, ...] | None
    normalisation: Normalisation | None


def start_from(weights: Any, base: Genotype, dataset: Dataset, flags: PretrainedFlags) -> Start:
    """What training of `base` starts from.

    Args:
      weights: see `read_weights`.
      base: the network that is trained: that of the weights, or one that turns edges of it into
        nothing or identities.
      dataset: what is learned.
      flags: how.

    Raises:
      ConfigError: naming what does not fit, if the weights are not of such a network, or of images
        of other channels.
      RunError: for a folder that holds no finished network, or several.
      WeightsError: for a file that cannot be read.
    """
    source = read_weights(weights, base)
    outputs, shape = dataset.num_classes, dataset.input_shape
    refuse_no_network(base, shape)
    wanted = named_leaves(nn.abstract_variables(nn.build(base, outputs), shape))
    # Parameters come first where an error names some.
    wanted = dict(sorted(wanted.items(), key=lambda each: not each[0].startswith("params/")))
    body = {name: leaf.shape for name, leaf in wanted.items() if not _of_head(name)}
    head = {name: leaf.shape for name, leaf in wanted.items() if _of_head(name)}
    kept_head = _fits(source, head, dataset.class_names)
    given = {name: source.arrays[name] for name in body if name in source.arrays}
    new = [name for name in body if name not in given]
    _refuse_other_network(source, base, body, shape)
    _refuse_other_channels(source, shape[-1])
    if kept_head:
        given |= {name: source.arrays[name] for name in head}
    for name, array in given.items():
        if not np.isfinite(array).all():
            raise ConfigError(f"--weights {source.where}: {name} is not finite")
        if name.endswith("/var") and array.min(initial=0) < 0:
            raise ConfigError(f"--weights {source.where}: {name} has a variance below 0")
    ignored = [name for name in source.arrays if name not in wanted and not _of_head(name)]
    told = _told(source, base, dataset, len(body), new, ignored, kept_head=kept_head)
    return Start(
        given, source.normalisation, told, flags.head_epochs, float(flags.body_learning_rate_share)
    )


def read_weights(weights: Any, base: Genotype) -> GivenWeights:
    """Weights, and what their file says of them.

    Args:
      weights: a network with its variables, such as `nn.Imported` or `Trained`; or the path of a
        .safetensors of this project, of a run's folder, or of a file of another library that
        `nn.import_weights` reads.
      base: the network that training starts from, by which files of other libraries are read.

    Raises:
      ConfigError: for anything else.
      RunError, WeightsError: see `start_from`.
    """
    if hasattr(weights, "network") and hasattr(weights, "variables"):
        return _of_network("the given network", weights)
    if not isinstance(weights, str | os.PathLike):
        raise ConfigError(
            "weights are the path of a file or of a run's folder, or a network with its variables "
            f"such as nn.import_timm gives; got a {type(weights).__name__}"
        )
    path = Path(weights)
    if path.is_dir():
        try:
            return _of_network(str(path), load_run(path))
        except RunError as error:
            if path != Path():  # which an empty text is too
                raise
            raise ConfigError(f"--weights is empty, or the current folder: {error}") from error
    if kind_of(path) == "safetensors":
        arrays, metadata = read_safetensors(path)
        if "genotype" in metadata or any(name.startswith("params/") for name in arrays):
            return _own(path, arrays, metadata)
    made_of = functools.partial(_is_made_of, base)
    return _of_network(str(path), import_source(path, base.name, made_of))


def _is_made_of(base: Genotype, whole: Genotype) -> bool:
    """Whether `base` is `whole`, of any name, or turns edges of it into nothing or identities."""
    try:
        AdaptationSpace(whole, "full").encode(base)
    except SpaceError:
        return False
    return True


def _of_network(where: str, found: Any) -> GivenWeights:
    """What a network with its variables holds, and says of classes and images where it does."""
    names, mean, std = (getattr(found, each, None) for each in ("class_names", "mean", "std"))
    normalisation = None
    if mean is not None and std is not None:
        normalisation = Normalisation(tuple(mean), tuple(std))
        try:
            refuse_other_units(normalisation)
        except ValueError as error:
            raise ConfigError(f"--weights {where}: {error}") from error
    arrays = _arrays(where, named_leaves(found.variables))
    kernel, bias = (arrays.get(name) for name in (_KERNEL, _BIAS))
    # A source without classes is imported so: its logits are the features.
    if kernel is not None and bias is not None and _is_identity(kernel, bias):
        del arrays[_KERNEL], arrays[_BIAS]
    return GivenWeights(where, arrays, found.network.genotype, names, normalisation)


def _is_identity(kernel: np.ndarray, bias: np.ndarray) -> bool:
    return not bias.any() and np.array_equal(kernel, np.eye(len(kernel)))


def _own(path: Path, arrays: dict[str, np.ndarray], metadata: Mapping[str, str]) -> GivenWeights:
    """The content of a file of `nn.save_safetensors`."""
    genotype = read_genotype(path, metadata["genotype"]) if "genotype" in metadata else None
    classes = _classes(arrays)
    named = metadata.get("class_names")
    names = None if classes is None else read_class_names(path, named, classes)
    form = load_image_form(path)
    normalisation = None if form is None else Normalisation(form.mean, form.std)
    own = {name: array for name, array in arrays.items() if name.startswith(_COLLECTIONS)}
    floats = arrays | _arrays(str(path), own)
    return GivenWeights(str(path), floats, genotype, names, normalisation)


def _classes(arrays: Mapping[str, np.ndarray]) -> int | None:
    """Number of classes of a head; None without one."""
    kernel = arrays.get(_KERNEL)
    return kernel.shape[1] if kernel is not None and kernel.ndim == 2 else None


def _arrays(where: str, leaves: Mapping[str, Any]) -> dict[str, np.ndarray]:
    return {name: as_float32(where, name, leaf) for name, leaf in leaves.items()}


def _of_head(name: str) -> bool:
    _, *modules = name.split("/")
    return bool(modules) and modules[0] in nn.HEAD_MODULES


def _fits(
    source: GivenWeights, head: Mapping[str, tuple[int, ...]], class_names: tuple[str, ...]
) -> bool:
    """Whether the source's head is one for these classes."""
    if source.class_names is not None and source.class_names != class_names:
        return False
    found = {name: array.shape for name, array in source.arrays.items()}
    return all(found.get(name) == shape for name, shape in head.items())


def _refuse_other_network(
    source: GivenWeights,
    base: Genotype,
    body: Mapping[str, tuple[int, ...]],
    shape: tuple[int, ...],
) -> None:
    """Raises a ConfigError where the weights are of a network that `base` is not made of."""
    found = {name: array.shape for name, array in source.arrays.items() if name in body}
    where, wanted = f"--weights {source.where}", body
    try:
        if source.genotype not in (None, base):
            there = {name: size for name, size in body.items() if name in found}
            try:
                check_shapes(where, found, there)  # its error says more than the next one's
            except nn.WeightsError as error:
                if source.genotype.name == base.name:
                    raise
                told = another_network(where, [source.genotype], base.name)
                raise ConfigError(told) from error
            AdaptationSpace(source.genotype, "full").encode(base)
            # The weights lack what `base` has an identity for in the place of an operation.
            own = named_leaves(nn.abstract_variables(nn.build(source.genotype, 2), shape))
            wanted = there | {name: size for name, size in body.items() if name in own}
        check_shapes(where, found, wanted)
    except SpaceError as error:
        raise ConfigError(
            f"--weights {source.where} are of {source.genotype and source.genotype.name}, of which "
            f"--base {base.name} is no network with edges left out or identities ({error})"
        ) from error
    except nn.WeightsError as error:
        raise ConfigError(str(error).replace("the network:", f"--base {base.name}:")) from error


def _refuse_other_channels(source: GivenWeights, channels: int) -> None:
    if source.normalisation is None:
        return
    own = len(source.normalisation.mean)
    if own != channels:
        raise ConfigError(
            f"--weights {source.where} are for images of {own} channels; the data set's have "
            f"{channels}"
        )


def _told(
    source: GivenWeights,
    base: Genotype,
    dataset: Dataset,
    count: int,
    new: list[str],
    ignored: list[str],
    *,
    kept_head: bool,
) -> tuple[str, ...]:
    """What a reader should know of a start."""
    network = base.name if source.genotype is None else source.genotype.name
    told = [
        f"Training starts from {source.where} ({network}): {count - len(new)} of the {count} "
        "variables of the network's body are taken."
    ]
    if new:
        told.append(f"New, of identities between shapes: {_some(new)}.")
    if kept_head:
        told.append("The head is taken too: its classes are the data set's.")
    else:
        told.append(f"The head is new: the weights have {_other_head(source, dataset)}.")
    if ignored:
        told.append(f"Ignored, as {base.name} has no such variables: {_some(ignored)}.")
    if source.normalisation is None:
        told.append("The weights do not say how images are normalised: as the data set's own are.")
    else:
        mean, std = ([round(value, 4) for value in each] for each in source.normalisation)
        told.append(f"Images are normalised as for the weights: mean {mean}, deviation {std}.")
    return tuple(escaped(each, ("Cc", "Cf", "Cs", "Zl", "Zp")) for each in told)


def _other_head(source: GivenWeights, dataset: Dataset) -> str:
    """What the weights have in place of a head for a data set's classes."""
    classes, names, wanted = _classes(source.arrays), source.class_names, dataset.class_names
    if classes != dataset.num_classes:
        there = "no" if classes is None else f"{classes:,}"
        return f"{there} classes, the data {dataset.num_classes:,}"
    if names is not None and set(names) != set(wanted):
        return f"{classes:,} classes of other names, the data {dataset.num_classes:,}"
    if names is not None and names != tuple(wanted):
        return "the data's classes in another order"
    return f"no {_BIAS}" if _BIAS not in source.arrays else "a head of another shape"


def _some(names: list[str]) -> str:
    more = len(names) - 3
    return ", ".join(names[:3]) + (f" and {more} more" if more > 0 else "")

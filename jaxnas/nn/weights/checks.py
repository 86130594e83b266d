"""Whether arrays are the variables of a network, and what is said if they are not."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import flax.linen as nn
import jax.numpy as jnp
import numpy as np

from jaxnas import reading
from jaxnas.errors import UserError
from jaxnas.nn.weights.init import abstract_variables, check_module, named_leaves

Shape = tuple[int, ...]

_PICKLES = (".pth", ".pt", ".bin", ".ckpt", ".tar")  # .pth.tar too
_NAMED = 6  # variables that an error names


class WeightsError(UserError, ValueError):
    """Weights that cannot be read, written or used; the message is one sentence that says why."""


class MisfitError(WeightsError):
    """Arrays that are not the variables of a network.

    Attributes:
      misfit: what they lack, have too much or of another shape, as clauses about "it".
    """

    def __init__(self, where: str, misfit: str) -> None:
        """`where` is what holds them."""
        super().__init__(where, misfit)  # by which it is pickled
        self.misfit = misfit

    def __str__(self) -> str:
        return f"{self.args[0]} does not fit the network: {self.misfit}"


def read_class_names(where: Any, text: str | None, classes: int) -> tuple[str, ...] | None:
    """The class names in a file's metadata, a JSON list, or None where there is no text.

    Raises:
      WeightsError: naming the file `where`, if they are not one for each of the `classes`, or two
        are equal.
    """
    if text is None:
        return None
    try:
        names = reading.from_json(text)
    except ValueError:
        names = None
    if not isinstance(names, list) or [type(name) for name in names] != [str] * classes:
        raise WeightsError(f"{where} does not hold one class name for each of its {classes} logits")
    if (twice := reading.repeated(names)) is not None:
        raise WeightsError(f"{where} has two classes of the name {twice!r}")
    return tuple(names)


def class_names_text(where: Any, names: Sequence[str], classes: int | None) -> str:
    """The JSON list that `read_class_names` reads; of `classes` names, where that is known.

    Raises:
      WeightsError: naming the file `where`, as `read_class_names`, and for what has no order.
    """
    if not isinstance(names, tuple | list):  # a text is a sequence too, of letters
        raise WeightsError(f"class_names must be a tuple or list of text, not {names!r}")
    text = json.dumps(names)
    read_class_names(where, text, len(names) if classes is None else classes)
    return text


def existing_file(path: str | os.PathLike[str]) -> Path:
    """`path`, which is a file's.

    Raises:
      WeightsError: if it is not.
    """
    if not isinstance(path, str | os.PathLike):
        raise WeightsError(f"a {type(path).__name__} is no path of a file")
    try:
        return reading.regular(Path(path))
    except FileNotFoundError as error:
        raise WeightsError(f"there is no file {path}") from error
    except (OSError, ValueError) as error:  # a ValueError of a name with a zero byte
        reason = getattr(error, "strerror", None) or error
        raise WeightsError(f"{str(path)!r} cannot be read ({reason})") from error


def kind_of(path: str | os.PathLike[str]) -> Literal["safetensors", "pickle", "keras"]:
    """What a file of weights is, by its first bytes and, where they do not say it, by its name.

    Raises:
      WeightsError: if it cannot be read.
    """
    path = existing_file(path)
    try:
        with path.open("rb") as file:
            start = file.read(500)
    except OSError as error:
        raise WeightsError(f"{str(path)!r} cannot be read ({error.strerror or error})") from error
    suffix = path.suffix.lower()
    if start[8:9] == b"{":  # of the header, after its length
        return "safetensors"
    if suffix in (".h5", ".hdf5", ".keras"):
        return "keras"
    # PyTorch writes a zip file of a pickle and then arrays, or as it did before 1.6 a pickle.
    zipped = start[:2] == b"PK" and b"/data.pkl" in start
    written_by_torch = zipped or start[:1] == b"\x80"
    return "pickle" if written_by_torch or suffix in _PICKLES else "safetensors"


def as_float32(where: Any, name: str, array: Any) -> np.ndarray:
    """Floating-point numbers of any precision as float32; those beyond its range become infinite.

    Raises:
      WeightsError: naming the array `name` of `where`, if it holds others, as quantised weights do.
    """
    array = np.asarray(array)
    if not jnp.issubdtype(array.dtype, jnp.floating):
        raise WeightsError(
            f"{where} holds {name} as {array.dtype}, and weights are floating-point numbers; give "
            "them as they were before they were quantised or converted"
        )
    with np.errstate(over="ignore"):
        return array.astype(np.float32, copy=False)


def check_shapes(where: Any, found: Mapping[str, Shape], expected: Mapping[str, Shape]) -> None:
    """Checks that `where` holds the expected variables and no others.

    Raises:
      MisfitError: naming variables that are missing, that are too much or of another shape.
      WeightsError: if it holds none of them.
    """
    if not found.keys() & expected.keys():
        raise WeightsError(
            f"{where} holds none of the network's {len(expected)} variables, such as "
            f"{next(iter(expected))}"
        )
    problems = []
    if missing := [name for name in expected if name not in found]:
        problems.append(f"lacks {_some(missing)}")
    if unexpected := [name for name in found if name not in expected]:
        problems.append(f"has {_some(unexpected)}, which the network has not")
    if misshapen := [
        f"{name} as {list(found[name])} instead of {list(shape)}"
        for name, shape in expected.items()
        if name in found and tuple(found[name]) != tuple(shape)
    ]:
        problems.append(f"has {_some(misshapen)}")
    if problems:
        raise MisfitError(str(where), f"it {'; it '.join(problems)}")


def _some(names: list[str]) -> str:
    """The first of `names`, and how many more there are."""
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def shapes_of(module: nn.Module, input_shape: Shape, *args: Any) -> Any:
    """Shapes and dtypes of the variables of `module`.

    Raises:
      TypeError: if it is no module.
      WeightsError: if it takes no images of that shape.
    """
    check_module(module)
    try:
        return abstract_variables(module, input_shape, *args)
    except (TypeError, ValueError, OverflowError, ZeroDivisionError) as error:
        raise WeightsError(
            f"the network takes no images of shape {input_shape}: {error}"
        ) from error


def check_fits(
    where: Any, arrays: Mapping[str, Any], module: nn.Module, input_shape: Shape, *args: Any
) -> Any:
    """Shapes and dtypes of the variables of `module`, whose names and shapes `arrays` must have.

    Raises:
      WeightsError: if they have not, or if the module takes no images of that shape.
    """
    expected = shapes_of(module, input_shape, *args)
    check_shapes(
        where,
        {name: array.shape for name, array in arrays.items()},
        {name: leaf.shape for name, leaf in named_leaves(expected).items()},
    )
    return expected

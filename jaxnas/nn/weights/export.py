"""Trained networks as StableHLO programs, which run without this project's code."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Sequence
from typing import Any

import jax
import jax.export
import jax.numpy as jnp
from jax.extend.mlir import deserialize_portable_artifact, ir
from jax.interpreters.mlir import make_ir_context

from jaxnas.nn import kernels
from jaxnas.nn.network import Network
from jaxnas.nn.weights.checks import (
    WeightsError,
    check_fits,
    class_names_text,
    existing_file,
    read_class_names,
)
from jaxnas.nn.weights.init import named_leaves

# What JAX puts into a program of symbolic batch size. Any other call leaves the program.
_CUSTOM_CALLS = {"shape_assertion"}
_PLATFORMS = ("cpu", "cuda", "rocm", "tpu")


class Program:
    """A network's program: images float32 [b, h, w, c] to logits float32 [b, classes].

    Attributes:
      class_names: of the logits, in their order; None where the program does not say.
    """

    def __init__(self, exported: jax.export.Exported, class_names: tuple[str, ...] | None) -> None:
        """Takes a program of `export`."""
        self.class_names = class_names
        self._call = jax.jit(exported.call)

    def __call__(self, images: Any) -> jax.Array:
        return self._call(images)


def export(
    network: Network,
    variables: Any,
    input_shape: tuple[int, int, int],
    platforms: Sequence[str] = ("cpu", "cuda"),
    class_names: Sequence[str] | None = None,
) -> bytes:
    """The network in evaluation mode as a program from images to logits, its variables in it.

    The program is `jax.export`'s: ``jax.export.deserialize(data).call(images)`` runs it wherever
    JAX is installed, for images float32 [b, h, w, c] of any b.

    For the platform in use alone it is traced as usual. For others or several it has XLA's own
    primitives, which every platform knows and a CPU runs more slowly than what is traced there.

    Args:
      network: not a supernet.
      variables: ``{"params": ..., "batch_stats": ...}``.
      input_shape: [h, w, c] of an image.
      platforms: out of ``cpu``, ``cuda``, ``rocm`` and ``tpu``.
      class_names: of the logits, in their order; the program has them as the JSON list that is its
        ``fun_name``, the one text in the format that is free. None to leave them out.

    Raises:
      SettingsError: if `variables` are no nested dictionaries.
      ValueError: for another platform, or none.
      WeightsError: if the network takes no images of that shape, `variables` are not its own, or
        there is not one name for each logit.
    """
    if (
        not isinstance(platforms, tuple | list)
        or not platforms
        or not all(each in _PLATFORMS for each in platforms)
    ):
        raise ValueError(
            f"platforms must be a tuple out of {', '.join(_PLATFORMS)}, not {platforms!r}"
        )
    check_fits("the tree of variables", named_leaves(variables), network, input_shape)

    def logits(images: jax.Array) -> jax.Array:
        return network.apply(variables, images, train=False)  # type: ignore

    (batch,) = jax.export.symbolic_shape("batch")
    images = jax.ShapeDtypeStruct((batch, *input_shape), jnp.float32)
    own = tuple(platforms) == (jax.default_backend(),)
    with contextlib.nullcontext() if own else kernels.portable():
        try:
            exported = jax.export.export(jax.jit(logits), platforms=platforms)(images)
        except OverflowError as error:
            raise WeightsError(f"images of shape {input_shape} are too large ({error})") from error
    if class_names is not None:
        names = class_names_text("class_names", class_names, exported.out_avals[0].shape[-1])
        exported = dataclasses.replace(exported, fun_name=names)
    return bytes(exported.serialize())


def load_exported(data: bytes | str | os.PathLike[str]) -> Program:
    """The function in a program of `export`, from images float32 [b, h, w, c] to logits.

    Args:
      data: the program, or the path of a file that holds it.

    Raises:
      WeightsError: if it is no such program or is damaged, or if it calls anything outside of
        itself.
    """
    where = "the program"
    if not isinstance(data, bytes | bytearray | memoryview):
        path = existing_file(data)
        where = str(path)
        try:
            data = path.read_bytes()
        except OSError as error:
            raise WeightsError(f"{where} cannot be read ({error.strerror or error})") from error
    try:
        exported = jax.export.deserialize(bytearray(data))
        calls = _custom_calls(exported)
    except Exception as error:  # damaged bytes make the parsers raise almost anything
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise WeightsError(f"{where} is no exported network or is damaged ({reason})") from error
    if foreign := sorted(calls - _CUSTOM_CALLS):
        raise WeightsError(
            f"{where} calls {', '.join(foreign)}, which no network needs: it is not run"
        )
    if [aval.ndim for aval in exported.in_avals] != [4]:
        raise WeightsError(f"{where} is no exported network: it does not take images alone")
    named = exported.fun_name if exported.fun_name.startswith("[") else None
    return Program(exported, read_class_names(where, named, exported.out_avals[0].shape[-1]))


def _custom_calls(exported: jax.export.Exported) -> set[str]:
    """The targets of the program's custom calls."""
    targets = set()

    def visit(operation: Any) -> None:
        if operation.name == "stablehlo.custom_call":
            targets.add(ir.StringAttr(operation.attributes["call_target_name"]).value)
        for region in operation.regions:
            for block in region:
                for inner in block:
                    visit(inner.operation)

    with make_ir_context():
        visit(deserialize_portable_artifact(exported.mlir_module_serialized).operation)
    return targets

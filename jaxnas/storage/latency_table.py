"""Measured latencies, kept in a file: what was timed once is the same number ever after."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from jaxnas.nn.costs.latency import Latency, candidate_latency
from jaxnas.spaces import AdaptationSpace, ChainSpace
from jaxnas.storage import files
from jaxnas.storage.files import RunError

FILE = "latency.json"
"""What the table is called in the folder of an experiment."""


def kept_latency(
    path: Path,
    space: AdaptationSpace | ChainSpace,
    input_shape: tuple[int, ...],
    num_classes: int,
    *,
    batch_size: int,
    rounds: int = 20,
    dtype: Any = jnp.float32,
    remeasure: bool = False,
) -> Latency:
    """`nn.costs.latency.candidate_latency`, timed once and then read from a table.

    What the table at `path` lacks is timed and added to it; it is written whole or not at all.

    Args:
      path: the table, a .json file; made if it is not there.
      space: the candidates.
      input_shape: [h, w, c] of an image.
      num_classes: size of the output.
      batch_size: images in the batch.
      rounds: timed calls of each part.
      dtype: of the computation.
      remeasure: whether a table of another device, JAX or batch size is replaced.

    Raises:
      RunError: if the table is of another device, JAX or batch size, damaged, or cannot be written.
    """
    conditions = _conditions(batch_size)
    known: dict[str, float] = {}
    if path.exists():
        found, known = _read(path)
        differing = [name for name, value in conditions.items() if found.get(name) != value]
        if differing and not remeasure:
            told = ", ".join(
                f"{name} {found.get(name)!r} instead of {conditions[name]!r}" for name in differing
            )
            raise RunError(
                f"{path} was measured with {told}; go on where it was measured, or measure anew "
                "with --overwrite or another --run-dir"
            )
        if differing:
            known = {}
    options: Any = {"batch_size": batch_size, "rounds": rounds, "dtype": dtype, "known": known}
    latency = candidate_latency(space, input_shape, num_classes, **options)
    if not latency.parts.keys() <= known.keys():
        table = conditions | {"seconds": known | latency.parts}
        text = files.to_json(table, str(path), indent=1)
        files.write_bytes(path, (text + "\n").encode())
    return latency


def _conditions(batch_size: int) -> dict[str, Any]:
    device = jax.devices()[0]
    return {
        "platform": device.platform,
        "device_kind": device.device_kind,
        "jax": jax.__version__,
        "batch_size": batch_size,
    }


def _read(path: Path) -> tuple[dict[str, Any], dict[str, float]]:
    """The conditions and the seconds of each part."""
    table = files.from_json(files.read_text(path), path)
    seconds = table.pop("seconds", None) if isinstance(table, dict) else None
    if not isinstance(seconds, dict) or not all(
        isinstance(each, float) and each >= 0 for each in seconds.values()
    ):
        raise RunError(f"{path} is no table of latencies; delete it to measure anew")
    return table, seconds

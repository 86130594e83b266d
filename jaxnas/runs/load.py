"""The trained network that a finished run left."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxnas.nn import WeightsError, load_network
from jaxnas.nn.network import Network
from jaxnas.nn.weights.init import named_leaves
from jaxnas.reports.method_folder import seed_suffix
from jaxnas.storage import files
from jaxnas.storage.directory import OUTCOME
from jaxnas.storage.files import RunError


class Trained(NamedTuple):
    """A trained network.

    Attributes:
      network: the Flax module, of float32; its `genotype` is the architecture.
      variables: trained ``params`` and ``batch_stats``.
      input_shape: [h, w, c] of an image.
      mean: of each channel, in 0..1; `data.normalise` takes it and `std`.
      std: standard deviation of each channel.
      result: the row of the run's table: ``method``, ``seed``, ``test_accuracy``, ...
      class_names: of the network's logits, in their order; None in a run of a version that did not
        keep them.
    """

    network: Network
    variables: Any
    input_shape: tuple[int, int, int]
    mean: list[float]
    std: list[float]
    result: dict[str, Any]
    class_names: tuple[str, ...] | None


def load_run(run_dir: str | os.PathLike[str], seed: int | None = None) -> Trained:
    """The network of a method's folder, such as ``runs/x/cell_seed0``, or of the only one in a run.

    Args:
      run_dir: the folder.
      seed: which, in the folder of seeds that were trained side by side.

    Raises:
      RunError: if the folder holds no finished method or several, if the seed has to be said or is
        not there, or if a file is missing or damaged.
    """
    folder = _method_folder(Path(run_dir))
    path = folder / OUTCOME
    outcomes = files.from_json(files.read_text(path), path)
    try:
        if not outcomes:
            raise ValueError("it tells of no seed")
        by_seed = {each["result"]["seed"]: each for each in outcomes}
        if len(by_seed) < len(outcomes):
            raise ValueError("it tells of a seed twice")
        if seed is None and len(by_seed) == 1:
            (seed,) = by_seed
        if seed not in by_seed:
            there = f"{folder} has the seeds {', '.join(map(str, by_seed))}"
            wrong = "say which by --seed" if seed is None else f"there is no seed {seed}"
            raise RunError(f"{there}; {wrong}")
        result, images = by_seed[seed]["result"], by_seed[seed]["images"]
        height, width, channels = images["shape"]
        suffix = seed_suffix(result["seed"], len(by_seed))
        shape = (height, width, channels)
        found = load_network(folder / f"weights{suffix}.safetensors", shape)
        network, variables, class_names = found
        moments = images["mean"], images["std"]
        for values in moments:
            if len(values) != channels or not np.isfinite(np.array(values, float)).all():
                raise ValueError(f"{values} is no number for each of {channels} channels")
        if not min(images["std"]) > 0:
            raise ValueError(f"std {images['std']} is not above 0")
        for name, leaf in named_leaves(variables).items():
            values = np.asarray(leaf, np.float32)
            if not np.isfinite(values).all() or (name.endswith("/var") and values.min() < 0):
                raise RunError(
                    f"{folder}: {name} of its weights is not finite, or a variance below 0; train "
                    "it anew"
                )
        return Trained(network, variables, shape, *moments, result, class_names)
    except WeightsError as error:
        raise RunError(str(error)) from error
    except (KeyError, TypeError, ValueError) as error:
        raise RunError(f"{path} is damaged or of another version ({error!r})") from error


def _method_folder(folder: Path) -> Path:
    finished = (path.parent for path in folder.glob(f"*/{OUTCOME}"))
    found = sorted(each for each in finished if any(each.glob("weights*.safetensors")))
    if not found and (folder / OUTCOME).is_file():
        return folder
    if not found:
        raise RunError(f"{folder} is not the folder of a run with a finished method")
    if len(found) > 1:
        raise RunError(
            f"{folder} has several networks; give the folder of one: {', '.join(map(str, found))}"
        )
    return found[0]

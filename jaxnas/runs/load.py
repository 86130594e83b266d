"""Trained networks, of a finished run or a file of weights, and what they say of images."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxnas.data import normalise
from jaxnas.errors import UserError
from jaxnas.nn import WeightsError, load_network
from jaxnas.nn.network import Network
from jaxnas.nn.weights.init import named_leaves
from jaxnas.nn.weights.safetensors_file import ImageForm, image_form, load_image_form
from jaxnas.reports.method_folder import seed_suffix
from jaxnas.runs.flags.checks import ConfigError
from jaxnas.storage import files
from jaxnas.storage.directory import OUTCOME
from jaxnas.storage.files import RunError


class OutputsError(UserError, ValueError):
    """A network's outputs are not finite."""

    def __init__(self) -> None:
        super().__init__(
            "the network's outputs are not finite: its weights, or the mean and std of its images, "
            "are wrong"
        )


class Trained(NamedTuple):
    """A trained network.

    Attributes:
      network: the Flax module, of float32; its `genotype` is the architecture.
      variables: trained ``params`` and ``batch_stats``.
      input_shape: [h, w, c] of an image.
      mean: of each channel, in 0..1; `data.normalise` takes it and `std`.
      std: standard deviation of each channel.
      result: the row of the run's table: ``method``, ``seed``, ``test_accuracy``, ...; empty for a
        file of weights.
      class_names: of the network's logits, in their order; None in a run of a version that did not
        keep them, and in a file that does not say.
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
        suffix = seed_suffix(result["seed"], len(by_seed))
        form = image_form(images["shape"], images["mean"], images["std"])
        return _trained(folder / f"weights{suffix}.safetensors", form, result)
    except WeightsError as error:
        raise RunError(str(error)) from error
    except (KeyError, TypeError, ValueError) as error:
        raise RunError(f"{path} is damaged or of another version ({error!r})") from error


def load_trained(
    source: str | os.PathLike[str],
    seed: int | None = None,
    moments: tuple[Sequence[float], Sequence[float]] | None = None,
    shape: tuple[int, int, int] | None = None,
) -> Trained:
    """The network of a run, as `load_run` takes it, or of a .safetensors file with its genotype.

    Args:
      source: the folder or the file.
      seed: see `load_run`.
      moments: mean and standard deviation of each channel, in 0..1, by which images are normalised;
        None for those that the run or the file says.
      shape: [h, w, c] of the images, for a file that does not say its own.

    Raises:
      RunError: as `load_run`.
      ConfigError: for a file that does not say what is left out, or that has no seeds.
      WeightsError: for a file that cannot be read.
    """
    path = Path(source)
    if _is_run(path):
        trained = load_run(path, seed)
        if moments is None:
            return trained
        form = _told_form(trained.input_shape, moments)
        return trained._replace(mean=list(form.mean), std=list(form.std))
    if seed is not None:
        raise ConfigError(f"{path} is a file of one network; leave out --seed {seed}")
    form = load_image_form(path)
    if form is not None and moments is not None:
        form = _told_form(form.shape, moments)
    elif form is None:
        if moments is None or shape is None:
            raise ConfigError(
                f"{path} does not say how images are normalised for it; say so by --mean and "
                "--std, in 0..1 for each channel, as its source does"
            )
        form = _told_form(shape, moments)
    return _trained(path, form, {})


def knows_images(source: str | os.PathLike[str]) -> bool:
    """Whether a run or a file says which images it takes, as `load_trained` wants it.

    Raises:
      WeightsError: for a file that cannot be read.
    """
    path = Path(source)
    return _is_run(path) or load_image_form(path) is not None


def learned_besides(
    source: str | os.PathLike[str], dataset: str, share: float | None, seed: int
) -> str | None:
    """Why some test images of a data set may be ones that a run learned, in a sentence.

    Args:
      source: the folder of a run or of one of its methods.
      dataset: the data set that is judged on, as the flags name it.
      share: of it that is drawn to be the test part; None if it has one.
      seed: by which it is drawn.

    Returns:
      The sentence where the run drew another test part of the same data set; else None.
    """
    drawn = drawn_test_part(source, dataset)
    if not drawn or drawn == {"test_share": share, "test_seed": seed}:
        return None
    return (
        f"Some of these images may be ones that the run learned: it drew its test part "
        f"by --test-share {drawn['test_share']} --test-seed {drawn['test_seed']}; say the same."
    )


def drawn_test_part(source: str | os.PathLike[str], dataset: str) -> dict[str, Any]:
    """The `test_share` and `test_seed` by which a run drew the test part of a data set.

    Returns:
      them; empty where the run did not, learned another data set, or does not say.
    """
    data = _data_flags(source)
    same = Path(str(data.get("dataset"))).resolve() == Path(dataset).resolve()
    if not same or data.get("test_share") is None:
        return {}
    return {name: data.get(name) for name in ("test_share", "test_seed")}


def crop_share_of(source: str | os.PathLike[str]) -> float:
    """The --crop-share of the images of a run; 1 where its folder, or a file, does not say."""
    share = _data_flags(source).get("crop_share", 1.0)
    return share if isinstance(share, int | float) and 0 < share <= 1 else 1.0


def _data_flags(source: str | os.PathLike[str]) -> dict[str, Any]:
    """What the flags of a run, or of the one that a method is of, say of data; else empty."""
    for folder in (Path(source), Path(source).parent):
        path = folder / "config.json"
        config = files.from_json(files.read_text(path), path) if path.is_file() else None
        data = config.get("data") if isinstance(config, dict) else None
        if isinstance(data, dict):
            return data
    return {}


def _is_run(path: Path) -> bool:
    return not path.is_file() and path.suffix != ".safetensors"


def _told_form(
    shape: tuple[int, int, int], moments: tuple[Sequence[float], Sequence[float]]
) -> ImageForm:
    try:
        return image_form(shape, *moments)
    except ValueError as error:
        raise ConfigError(f"--mean and --std: {error}") from error


def classifier(trained: Trained, batch_size: int) -> Callable[[np.ndarray], np.ndarray]:
    """A function from images uint8 [n, h, w, c], n at most `batch_size`, to logits float32.

    One program takes them all: a batch that is not full is filled up, and the filling left out. It
    raises OutputsError where logits are not finite.
    """

    @jax.jit
    def logits(variables: Any, images: jax.Array) -> jax.Array:
        inputs = normalise(images, np.array(trained.mean), np.array(trained.std))
        outputs: Any = trained.network.apply(variables, inputs, train=False)
        return outputs

    def classify(images: np.ndarray) -> np.ndarray:
        missing = batch_size - len(images)
        filled = np.pad(images, ((0, missing), (0, 0), (0, 0), (0, 0)))
        found = np.asarray(logits(trained.variables, filled), np.float32)[: len(images)]
        if not np.isfinite(found).all():
            raise OutputsError
        return found

    return classify


def _trained(path: Path, form: ImageForm, result: dict[str, Any]) -> Trained:
    """The network in a file of weights, which must be finite."""
    network, variables, class_names = load_network(path, form.shape)
    for name, leaf in named_leaves(variables).items():
        values = np.asarray(leaf, np.float32)
        if not np.isfinite(values).all() or (name.endswith("/var") and values.min() < 0):
            raise RunError(
                f"{path.parent}: {name} of its weights is not finite, or a variance below 0; train "
                "it anew"
            )
    moments = list(form.mean), list(form.std)
    return Trained(network, variables, form.shape, *moments, result, class_names)


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

"""What the flags of data and of a run stand for: a data set, and a folder."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from jaxnas.data import Dataset
from jaxnas.data.loading import load_by_flags
from jaxnas.hints import alike, beside
from jaxnas.runs.config import ConfigError, RunFlags, Stem
from jaxnas.runs.flags.data import DataFlags
from jaxnas.runs.flags.pretrained import PretrainedFlags
from jaxnas.runs.genotype_files import usual_stem, with_stem
from jaxnas.runs.search_config import SearchFlags
from jaxnas.runs.starting.pretrained import start_from
from jaxnas.runs.starting.start import Start
from jaxnas.spaces import Genotype
from jaxnas.storage.directory import DATA, WEIGHTS, RunDirectory

_LAID_OUT = "its learning rate is laid out over all epochs"


def load_data(flags: DataFlags) -> Dataset:
    """The data set of the flags; prints what was read.

    Raises:
      DataError: if it cannot be found, read or limited.
    """
    dataset = load_by_flags(flags.dataset, flags.data_dir, download=flags.download, **flags.reading)
    if flags.flip is not None:
        augmentation = dataclasses.replace(dataset.augmentation, flip=flags.flip)
        dataset = dataclasses.replace(dataset, augmentation=augmentation)
    if flags.crop_area is not None:
        augmentation = dataclasses.replace(dataset.augmentation, pad=0, crop_area=flags.crop_area)
        dataset = dataclasses.replace(dataset, augmentation=augmentation)
    if flags.train_limit is not None:
        dataset = dataset.limit(flags.train_limit)
    print(dataset.described, flush=True)
    return dataset


def refuse_early(
    flags: RunFlags,
    name: str,
    recorded: dict[str, Any],
    bound_to_epochs: str = _LAID_OUT,
    *,
    weights: Path | None = None,
) -> None:
    """Refuses the folder of a run as far as that can be done before its data are read.

    Says where --resume finds no run, and so begins one. See `run_folder` for the arguments; here
    `recorded` may lack fields. Of `weights` see `refuse_missing`.
    """
    refuse_missing(weights)
    path = flags.path(name)
    _folder(flags, path, recorded, bound_to_epochs).check(partial=True)
    if flags.resume and not (path / "config.json").exists():
        runs = [each for each in beside(path) if (Path(each) / "config.json").exists()]
        hint = alike(str(path), runs, "")
        print(f"{path} holds no run to go on with; it starts anew{'; ' * bool(hint)}{hint}")


def refuse_missing(weights: Path | None) -> None:
    """Raises a ConfigError if --weights name neither a file nor a folder."""
    if weights is not None and not weights.exists():
        hint = alike(str(weights), beside(weights), "name a file of weights or the folder of a run")
        raise ConfigError(f"--weights: there is no file {weights}; {hint}")


def fit_stem(base: Genotype, source: str, stem: Stem | None, dataset: Dataset) -> Genotype:
    """The network that flags name, in its form for a data set's images where they name none.

    Says it where that is not the network's own.
    """
    side = min(dataset.input_shape[:2])
    fitted = with_stem(base, usual_stem(source, side) if stem is None else None)
    if fitted != base:
        print(
            f"{source} is built as for ImageNet, since images have {side} pixels a side; "
            "--stem cifar is the form for small ones."
        )
    return fitted


def load_start(flags: PretrainedFlags, base: Genotype, dataset: Dataset) -> Start | None:
    """What training of `base` starts from by the flags, None for what is drawn; prints what it is.

    Raises:
      UserError: see `start_from`.
    """
    if flags.weights is None:
        return None
    start = start_from(flags.weights, base, dataset, flags)
    print(*start.told, sep="\n", flush=True)
    return start


def run_folder(
    flags: RunFlags,
    name: str,
    recorded: dict[str, Any],
    dataset: Dataset,
    bound_to_epochs: str = _LAID_OUT,
    start: Start | None = None,
) -> RunDirectory:
    """The folder of a run, checked but not entered.

    Args:
      flags: where it is, and what becomes of an earlier run in it.
      name: of the folder in runs/ where the flags name none.
      recorded: what a resumed run must agree on, but for its data.
      dataset: what a resumed run must agree on likewise.
      bound_to_epochs: why a resumed run cannot have more epochs; empty where it can.
      start: what training starts from, which a resumed run must agree on too; None if it is drawn.

    Raises:
      RunError: if it cannot be used.
    """
    recorded = recorded | {DATA: dataset.fingerprint}
    told = dataset.described
    if start is not None:
        recorded[WEIGHTS] = start.fingerprint
        told = "\n".join([told, *start.told])
    folder = _folder(flags, flags.path(name), recorded, bound_to_epochs, told)
    folder.check()  # what follows may take long
    return folder


def search_inputs(
    flags: SearchFlags, name: str, settings: dict[str, Any]
) -> tuple[Dataset, RunDirectory]:
    """The data, and the folder of a run of the search `name` with its settings; see `run_folder`.

    Raises:
      UserError: if either cannot be used; what can be told without the data comes first.
    """
    recorded = flags.recorded() | {"search": name, "settings": settings}
    place = f"{name}-{flags.data.label}-seed{flags.seed}"
    refuse_early(flags.run, place, recorded)
    dataset = load_data(flags.data)
    return dataset, run_folder(flags.run, place, recorded, dataset)


def _folder(
    flags: RunFlags, path: Path, recorded: dict[str, Any], bound: str, data: str | None = None
) -> RunDirectory:
    return RunDirectory(
        path,
        recorded,
        resume=flags.resume,
        overwrite=flags.overwrite,
        growing=dict.fromkeys(("training.epochs", "epochs", "search_epochs"), bound),
        data=data,
    )

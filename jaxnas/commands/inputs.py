"""What the flags of data and of a run stand for: a data set, and a folder."""

from __future__ import annotations

from typing import Any

from jaxnas import data
from jaxnas.data import Dataset
from jaxnas.runs.config import DataFlags, RunFlags
from jaxnas.runs.search_config import SearchFlags
from jaxnas.storage.directory import RunDirectory


def load_data(flags: DataFlags, *, tell: bool = True) -> Dataset:
    """The data set of the flags; prints what was read, unless `tell` is false.

    Raises:
      DataError: if it cannot be found, read or limited.
    """
    dataset = data.load(flags.dataset, flags.data_dir, download=flags.download)
    if flags.train_limit is not None:
        dataset = dataset.limit(flags.train_limit)
    if tell:
        print(dataset.described, flush=True)
    return dataset


def run_folder(flags: RunFlags, name: str, recorded: dict[str, Any]) -> RunDirectory:
    """The folder of a run, checked but not entered.

    Args:
      flags: where it is, and what becomes of an earlier run in it.
      name: of the folder in runs/ where the flags name none.
      recorded: what a resumed run must agree on.

    Raises:
      RunError: if it cannot be used.
    """
    folder = RunDirectory(
        flags.path(name), recorded, resume=flags.resume, overwrite=flags.overwrite
    )
    folder.check()  # what follows may take long
    return folder


def search_folder(flags: SearchFlags, name: str, settings: dict[str, Any]) -> RunDirectory:
    """The folder of a run of the search `name` with its settings; see `run_folder`."""
    recorded = flags.recorded() | {"search": name, "settings": settings}
    return run_folder(flags.run, f"{name}-{flags.data.label}-seed{flags.seed}", recorded)

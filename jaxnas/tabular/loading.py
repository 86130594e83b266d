"""One function that finds NAS-Bench-201."""

import os
from pathlib import Path

from jaxnas.tabular.csv_file import read_csv
from jaxnas.tabular.errors import TabularError
from jaxnas.tabular.nasbench201 import WHERE_FROM, MeasuredTable
from jaxnas.tabular.nats_bench import read_folder

_CSV_NAMES = ("nasbench201.csv.gz", "nasbench201.csv")
_OFFICIAL = "NATS-tss-v1_0-3ffb9-simple"


def load_nasbench201(path: str | os.PathLike[str] | None = None) -> MeasuredTable:
    """Loads NAS-Bench-201 into memory: 1.5 MB.

    Args:
      path: a .csv or .csv.gz file as `write_csv` writes it, read in under a second; the official
        folder NATS-tss-v1_0-3ffb9-simple, read in minutes; or a folder that holds
        nasbench201.csv.gz, nasbench201.csv or the official folder, taken in this order. By default
        the folder nasbench201 in the environment's JAXNAS_DATA_DIR, else in "data".

    Raises:
      TabularError: if it cannot be found, read or used.
    """
    if path is None:
        path = Path(os.environ.get("JAXNAS_DATA_DIR") or "data") / "nasbench201"
    try:
        path = Path(path).expanduser()
    except RuntimeError as error:
        raise TabularError(f"{path} is nowhere: {error}") from error
    if path.is_file():
        return read_csv(path)
    for name in _CSV_NAMES:
        if (path / name).is_file():
            return read_csv(path / name)
    for folder in (path / _OFFICIAL, path):
        if any(folder.glob("*.pickle.pbz2")):
            return read_folder(folder)
    what = "NAS-Bench-201 is not at" if path.exists() else "no such file or folder:"
    raise TabularError(
        f"{what} {path}: {WHERE_FROM}, and give its folder as the path "
        f"or put it into the folder nasbench201 of JAXNAS_DATA_DIR."
    )

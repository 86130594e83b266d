"""The pickles that tables are published as."""

import bz2
import importlib.util
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from jaxnas import pickles, reading
from jaxnas.tabular.errors import TabularError

_LIMIT = 1 << 24  # bytes unpacked; NATS-Bench's largest, meta, has 1.4 million


def installed_folder(
    package: str, inside: str, holds: Callable[[Path], bool] = Path.is_dir
) -> Path | None:
    """The folder `inside` an installed package that `holds` what is read; None without one.

    The package is not imported.
    """
    spec = importlib.util.find_spec(package)
    places = (spec and spec.submodule_search_locations) or ()
    return next((folder for each in places if holds(folder := Path(each) / inside)), None)


def read_pickle(path: Path, dtypes: Collection[str] = ("f8",), limit: int = _LIMIT) -> Any:
    """Reads dicts, lists, tuples, strings and numbers, and running nothing; see `pickles.load`.

    Args:
      path: a pickle, packed if it ends in .pbz2.
      dtypes: NumPy's codes of the types that may occur.
      limit: bytes, unpacked, that are more than any right file has.

    Raises:
      TabularError: if the file is missing or damaged, or its pickle asks for anything else.
    """
    try:
        with (bz2.open if path.suffix == ".pbz2" else open)(reading.regular(path), "rb") as file:
            content = file.read(limit + 1)
    except (OSError, EOFError) as error:
        raise TabularError(f"{path} cannot be read ({error}): download it again.") from error
    if len(content) > limit:
        raise TabularError(
            f"{path} unpacks to more than {limit} bytes, as no official file does: download it "
            "again."
        )
    try:
        return pickles.load(content, dtypes)
    except pickles.PickledCodeError as error:
        raise TabularError(f"{path} {error}") from None
    except Exception as error:  # a damaged pickle can raise almost anything
        raise TabularError(f"{path} holds no pickle ({error}): download it again.") from error

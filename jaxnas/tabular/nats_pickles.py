"""Reading NATS-Bench's packed pickles without letting a pickle run anything."""

import bz2
import io
import pickle
import struct
from pathlib import Path
from typing import Any

from jaxnas import reading
from jaxnas.tabular.errors import TabularError

_LIMIT = 1 << 24  # bytes unpacked; the largest official file, meta, has 1.4 million


def read_pickle(path: Path) -> Any:
    """Reads dicts, lists, tuples, strings and numbers.

    Args:
      path: a .pickle.pbz2 file of the folder NATS-tss-v1_0-3ffb9-simple.

    Raises:
      TabularError: if the file is missing or damaged, or its pickle asks for anything else.
    """
    try:
        with bz2.open(reading.regular(path)) as file:
            content = file.read(_LIMIT + 1)
    except (OSError, EOFError) as error:
        raise TabularError(f"{path} cannot be read ({error}): download it again.") from error
    if len(content) > _LIMIT:
        raise TabularError(
            f"{path} unpacks to more than {_LIMIT} bytes, as no file of NATS-Bench does: "
            "download the official file."
        )
    try:
        return _Unpickler(io.BytesIO(content)).load()
    except TabularError as error:
        raise TabularError(f"{path} {error}") from None
    except Exception as error:  # a damaged pickle can raise almost anything
        raise TabularError(f"{path} holds no pickle ({error}): download it again.") from error


class _Dtype:
    """Stands in for numpy.dtype; only little-endian float64 passes."""

    def __init__(self, code: str, *_: object) -> None:
        if code != "f8":
            raise pickle.UnpicklingError(f"a number is {code}, not float64")

    def __setstate__(self, state: tuple[object, ...]) -> None:
        if state[1] != "<":
            raise pickle.UnpicklingError("a number is not little-endian")


def _scalar(dtype: _Dtype, content: bytes) -> float:
    """Stands in for numpy's scalar."""
    if not isinstance(dtype, _Dtype):
        raise pickle.UnpicklingError("a number has no dtype")
    return struct.unpack("<d", content)[0]


_ALLOWED = {
    ("collections", "OrderedDict"): dict,
    ("numpy", "dtype"): _Dtype,
    ("numpy.core.multiarray", "scalar"): _scalar,
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise TabularError(
                f"asks for {module}.{name}, which no file of NATS-Bench needs and which could run "
                "code: it was not run; download the official file."
            )
        return _ALLOWED[module, name]

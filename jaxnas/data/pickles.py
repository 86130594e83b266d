"""Reading the pickles of CIFAR's official batches without letting a pickle run anything."""

import io
import pickle
from typing import Any

import numpy as np

from jaxnas.data.errors import DataError


def read_batch(content: bytes, where: str) -> dict[str, Any]:
    """Reads a dict of lists, strings, numbers and uint8 arrays.

    Args:
      content: a pickle as published: written by Python 2, or by Python 3 at protocol 2.
      where: what to call it in messages.

    Returns:
      The dict, its keys as str.

    Raises:
      DataError: if the pickle asks for anything else, is damaged, or is not a dict.
    """
    try:
        # Latin-1 maps Python 2's byte strings, which hold pixels and keys alike, byte for byte.
        batch = _BatchUnpickler(io.BytesIO(content), encoding="latin1").load()
        if isinstance(batch, dict):
            return {
                key.decode("latin1") if isinstance(key, bytes) else str(key): (
                    value.array() if isinstance(value, _Array) else value
                )
                for key, value in batch.items()
            }
    except DataError as error:
        raise DataError(f"{where} {error}") from None
    except Exception as error:  # a damaged pickle can raise almost anything
        raise DataError(f"{where} is not a CIFAR batch ({error}): download it again.") from error
    raise DataError(f"{where} holds a {type(batch).__name__}, not a dict: download it again.")


class _Dtype:
    """Stands in for numpy.dtype; only uint8 passes."""

    def __init__(self, code: str, *_: object) -> None:
        if code != "u1":
            raise pickle.UnpicklingError(f"an array is {code}, not uint8")

    def __setstate__(self, state: object) -> None:
        """Byte order and field names mean nothing for uint8."""


class _Array:
    """Stands in for numpy.ndarray, whose own __setstate__ trusts what it is told."""

    def __init__(self, *_: object) -> None:
        self.state: tuple[tuple[int, ...], bool, bytes] = (0,), False, b""

    def __setstate__(self, state: tuple[int, tuple[int, ...], _Dtype, bool, str | bytes]) -> None:
        _, shape, dtype, fortran, content = state
        if not isinstance(dtype, _Dtype):
            raise pickle.UnpicklingError("an array has no dtype")
        data = content.encode("latin1") if isinstance(content, str) else content
        self.state = shape, fortran, data

    def array(self) -> np.ndarray:
        shape, fortran, data = self.state
        return np.frombuffer(data, np.uint8).reshape(shape, order="F" if fortran else "C")


def _encode(text: str, encoding: str) -> bytes:
    """Stands in for _codecs.encode, by which Python 3 writes bytes at protocol 2."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"bytes are encoded as {encoding}")
    return text.encode("latin1")


_ALLOWED = {
    ("numpy", "dtype"): _Dtype,
    ("numpy", "ndarray"): _Array,
    ("numpy.core.multiarray", "_reconstruct"): _Array,
    ("numpy._core.multiarray", "_reconstruct"): _Array,  # its home since NumPy 2
    ("_codecs", "encode"): _encode,
}


class _BatchUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise DataError(
                f"asks for {module}.{name}, which no CIFAR batch needs and which could run code: "
                "it was not run; download the official file."
            )
        return _ALLOWED[module, name]

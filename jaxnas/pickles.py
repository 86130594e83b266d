"""Reading pickles of numbers, texts and arrays without letting a pickle run anything."""

import functools
import io
import pickle
from collections.abc import Collection
from typing import Any

import numpy as np


class PickledCodeError(Exception):
    """A pickle asks for what numbers, texts and arrays do not need; it was not run."""


def load(content: bytes, dtypes: Collection[str], encoding: str = "ASCII") -> Any:
    """Reads dicts, lists, tuples, texts, numbers, and NumPy's numbers and arrays.

    Args:
      content: a pickle of any protocol.
      dtypes: NumPy's codes of the types that may occur, such as "f8"; little-endian.
      encoding: of the byte strings of Python 2.

    Returns:
      what it holds, `Array` in the place of arrays.

    Raises:
      PickledCodeError: if it asks for anything else.
      Exception: of almost any kind, if it is damaged.
    """
    return _Unpickler(io.BytesIO(content), dtypes, encoding).load()


class Array:
    """Stands in for numpy.ndarray, whose own __setstate__ trusts what it is told.

    `numpy.asarray` makes the array of it.
    """

    def __init__(self, *_: object) -> None:
        self._array = np.zeros(0)

    def __setstate__(self, state: tuple[int, tuple[int, ...], Any, bool, str | bytes]) -> None:
        _, shape, dtype, fortran, content = state
        if not isinstance(dtype, _Dtype):
            raise pickle.UnpicklingError("an array has no dtype")
        data = content.encode("latin1") if isinstance(content, str) else content
        order = "F" if fortran else "C"
        self._array = np.frombuffer(data, dtype.code).reshape(shape, order=order)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self._array, dtype, copy=copy)


class _Dtype:
    """Stands in for numpy.dtype."""

    def __init__(self, allowed: Collection[str], code: str, *_: object) -> None:
        if code not in allowed:
            names = " or ".join(np.dtype(each).name for each in allowed)
            raise pickle.UnpicklingError(f"a number is {code}, not {names}")
        self.code = f"<{code}"

    def __setstate__(self, state: tuple[object, ...]) -> None:
        if state[1] == ">":
            raise pickle.UnpicklingError("a number is not little-endian")


def _scalar(dtype: _Dtype, content: str | bytes) -> Any:
    """Stands in for numpy's scalar."""
    if not isinstance(dtype, _Dtype):
        raise pickle.UnpicklingError("a number has no dtype")
    data = content.encode("latin1") if isinstance(content, str) else content
    return np.frombuffer(data, dtype.code).item()


def _encode(text: str, encoding: str) -> bytes:
    """Stands in for _codecs.encode, by which Python 3 writes bytes at protocol 2."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"bytes are encoded as {encoding}")
    return text.encode("latin1")


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: io.BytesIO, dtypes: Collection[str], encoding: str) -> None:
        super().__init__(file, encoding=encoding)
        self._allowed: dict[tuple[str, str], Any] = {
            ("collections", "OrderedDict"): dict,
            ("_codecs", "encode"): _encode,
            ("numpy", "dtype"): functools.partial(_Dtype, dtypes),
            ("numpy", "ndarray"): Array,
        }
        for home in ("numpy.core.multiarray", "numpy._core.multiarray"):  # the latter since NumPy 2
            self._allowed |= {(home, "_reconstruct"): Array, (home, "scalar"): _scalar}

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self._allowed:
            raise PickledCodeError(
                f"asks for {module}.{name}, which numbers and texts do not need and which could "
                "run code: it was not run; download the official file."
            )
        return self._allowed[module, name]

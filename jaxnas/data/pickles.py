"""The pickles of CIFAR's official batches."""

from typing import Any

import numpy as np

from jaxnas import pickles
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
        batch = pickles.load(content, ("u1",), encoding="latin1")
        if isinstance(batch, dict):
            return {
                key.decode("latin1") if isinstance(key, bytes) else str(key): (
                    np.asarray(value) if isinstance(value, pickles.Array) else value
                )
                for key, value in batch.items()
            }
    except pickles.PickledCodeError as error:
        raise DataError(f"{where} {error}") from None
    except Exception as error:  # a damaged pickle can raise almost anything
        raise DataError(f"{where} is not a CIFAR batch ({error}): download it again.") from error
    raise DataError(f"{where} holds a {type(batch).__name__}, not a dict: download it again.")

"""The official folder NATS-sss-v1_0-50262-simple: accuracies over the space of sizes."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal

import numpy as np

from jaxnas.spaces.nats_size import NATSSizeSpace
from jaxnas.tabular.errors import TabularError
from jaxnas.tabular.nats_bench import accuracy_of
from jaxnas.tabular.pickled import read_pickle

_WHERE_FROM = "get NATS-sss-v1_0-50262-simple from NATS-Bench's page and unpack it"
_KEYS = {1: "01", 12: "12", 90: "90"}


def load_nats_sizes(
    folder: Path,
    dataset: Literal["cifar10", "cifar100", "imagenet16_120"] = "cifar10",
    split: Literal["valid", "test"] = "valid",
    epochs: Literal[1, 12, 90] = 90,
    space: NATSSizeSpace | None = None,
) -> np.ndarray:
    """Accuracies of all networks of the size search space, which takes minutes: keep the array.

    Args:
      folder: holds a packed pickle for each network, 000000.pickle.pbz2 and on.
      dataset: on which the networks were trained.
      split: of which the accuracy is.
      epochs: of the training, whose last epoch's accuracy it is.
      space: the networks; the 32,768 of the benchmark by default.

    Returns:
      float32 [size], percent, means over seeds, in the order of `space.codes`.

    Raises:
      TabularError: if files are missing, damaged or of something else.
    """
    space = space or NATSSizeSpace()
    paths = sorted(Path(folder).glob("[0-9]*.pickle.pbz2"))
    if len(paths) != space.size:
        raise TabularError(
            f"{folder} has {len(paths)} of {space.size} records NNNNNN.pickle.pbz2: {_WHERE_FROM}."
        )

    def read(path: Path) -> tuple[int, float]:
        content = read_pickle(path)
        try:
            record = content[_KEYS[epochs]]
            code = int(space.codes(space.from_arch_string(record["arch_str"])))
            return code, accuracy_of(record["all_results"], dataset, split, epochs)
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            raise TabularError(
                f"{path} is no record of NATS-Bench's size search space ({error!r}): {_WHERE_FROM}."
            ) from error

    # Unpacking is most of the time, and lets other threads run.
    with ThreadPoolExecutor() as pool:
        found = dict(pool.map(read, paths))
    if len(found) != space.size:
        raise TabularError(f"{folder} has a network twice: {_WHERE_FROM}.")
    return np.array([found[code] for code in range(space.size)], np.float32)

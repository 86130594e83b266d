"""NAS-Bench-101 (Ying et al., ICML 2019): 423,624 modules, trained on CIFAR-10 three times each.

A record of its files is a JSON list: a module's hash, the number of epochs, its adjacency matrix as
text of 0 and 1, its operations with commas between, and a message of protocol buffers in base64.
"""

from __future__ import annotations

import array
import base64
import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from jaxnas.tabular.errors import TabularError
from jaxnas.tabular.nasbench201 import choose
from jaxnas.tabular.tfrecords import message_fields, read_records

MODULES = 423_624
REPEATS = 3
MODULE_OPERATIONS = ("conv3x3-bn-relu", "conv1x1-bn-relu", "maxpool3x3")
"""What may stand between "input" and "output", in the order that hashes count them."""
_SPLITS = ("train", "valid", "test")
_WHERE_FROM = (
    "get nasbench_only108.tfrecord or nasbench_full.tfrecord, which "
    "https://github.com/google-research/nasbench links to"
)


class NASBench101Module(NamedTuple):
    """What a network of NAS-Bench-101 repeats.

    Attributes:
      matrix: int8 [v, v], 1 where a vertex's output is the input of a later one.
      operations: of the v vertices; the first is "input", the last "output".
    """

    matrix: np.ndarray
    operations: tuple[str, ...]

    def pruned(self) -> NASBench101Module | None:
        """Without vertices that are on no path from input to output; None if there is no path."""
        paths = self.matrix.astype(bool) | np.eye(len(self.matrix), dtype=bool)
        for _ in self.operations:
            paths = paths @ paths
        kept = paths[0] & paths[:, -1]
        if not kept[0]:
            return None
        operations = tuple(name for name, keep in zip(self.operations, kept, strict=True) if keep)
        return NASBench101Module(self.matrix[np.ix_(kept, kept)], operations)

    def hash(self) -> str:
        """The same for all modules that differ in the order of their vertices alone."""
        labels = [-1, *map(MODULE_OPERATIONS.index, self.operations[1:-1]), -2]
        matrix = self.matrix.tolist()
        vertices = range(len(matrix))
        hashes = [
            _md5(str((sum(matrix[v]), sum(row[v] for row in matrix), labels[v]))) for v in vertices
        ]
        for _ in vertices:
            hashes = [
                _md5(
                    "".join(sorted(hashes[w] for w in vertices if matrix[w][v]))
                    + "|"
                    + "".join(sorted(hashes[w] for w in vertices if matrix[v][w]))
                    + "|"
                    + hashes[v]
                )
                for v in vertices
            ]
        return _md5(str(sorted(hashes)))


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


@dataclass(frozen=True, eq=False)
class NASBench101:
    """What is known of every module, in the order of the file.

    Attributes:
      places: of the modules, by their hashes.
      modules: adjacency and operations as the file writes them; `module` reads them.
      parameters: int32 [n], numbers of trainable parameters.
      runs: float32 [n, 3, 4] by epochs: of three trainings the percent of train, valid and test
        images classified rightly at the end, and the seconds. The methods below are the way to ask.
    """

    places: Mapping[str, int]
    modules: Sequence[tuple[str, str]]
    parameters: np.ndarray
    runs: Mapping[int, np.ndarray]

    def accuracy(self, split: str, epochs: int) -> np.ndarray:
        """float32 [n, 3]: percent of images classified rightly after each of three trainings.

        Args:
          split: "train", "valid" or "test": 10,000 images each; valid is no part of train.
          epochs: 108; in nasbench_full.tfrecord also 4, 12 and 36, trainings of their own.

        Raises:
          TabularError: if there is no such split or training.
        """
        choose("split", split, _SPLITS)
        choose("epochs", epochs, tuple(self.runs))
        return self.runs[epochs][..., _SPLITS.index(split)]

    def train_seconds(self, epochs: int) -> np.ndarray:
        """float32 [n, 3]: seconds of each training, without evaluation.

        Raises:
          TabularError: if there is no such training.
        """
        choose("epochs", epochs, tuple(self.runs))
        return self.runs[epochs][..., -1]

    def module(self, place: int) -> NASBench101Module:
        """The module at a place."""
        adjacency, operations = self.modules[place]
        return _module(adjacency, operations)

    def place(self, matrix: ArrayLike, operations: Sequence[str]) -> int:
        """Where a module stands, or the one that computes the same.

        Args:
          matrix: int [v, v], upper triangular, 1 where a vertex's output is a later one's input.
          operations: of the v vertices: "input", some of `MODULE_OPERATIONS`, "output".

        Raises:
          TabularError: if it is no module, or the table has none like it.
        """
        module = NASBench101Module(np.asarray(matrix), tuple(operations))
        if (wrong := _wrong(module)) is not None:
            raise TabularError(f"this is no module of NAS-Bench-101: {wrong}.")
        pruned = module.pruned()
        if pruned is None:
            raise TabularError("no path leads from the module's input to its output.")
        if (place := self.places.get(pruned.hash())) is None:
            raise TabularError(
                "the table has no such module: NAS-Bench-101's have at most 7 vertices and 9 edges."
            )
        return place


def _wrong(module: NASBench101Module) -> str | None:
    """What is no module about it, as a clause; else None."""
    matrix, operations = module
    if matrix.shape != (len(operations),) * 2 or len(operations) < 2:
        return f"a matrix of shape {matrix.shape} has {len(operations)} operations"
    if not np.isin(matrix, (0, 1)).all() or np.tril(matrix).any():
        return "its matrix is not upper triangular of 0 and 1"
    if operations[0] != "input" or operations[-1] != "output":
        return "its operations do not begin with input and end with output"
    others = [name for name in operations[1:-1] if name not in MODULE_OPERATIONS]
    return f"{others[0]!r} is not one of {', '.join(MODULE_OPERATIONS)}" if others else None


def _module(adjacency: str, operations: str) -> NASBench101Module:
    names = tuple(operations.split(","))
    bits = np.frombuffer(adjacency.encode(), np.uint8) - ord("0")
    side = round(len(bits) ** 0.5)
    return NASBench101Module(bits.reshape(side, side).astype(np.int8), names)


def load_nasbench101(path: str | os.PathLike[str], size: int = MODULES) -> NASBench101:
    """Reads a published file, which takes minutes.

    Args:
      path: nasbench_only108.tfrecord or nasbench_full.tfrecord.
      size: number of modules that the file has to have.

    Raises:
      TabularError: if the file is missing, damaged, incomplete or of something else.
    """
    path = Path(path)
    places: dict[str, int] = {}
    modules: list[tuple[str, str]] = []
    parameters = array.array("i")
    owners: dict[int, array.array[int]] = {}
    numbers: dict[int, array.array[float]] = {}
    for count, record in enumerate(read_records(path, _WHERE_FROM), 1):
        try:
            name, epochs, adjacency, operations, metrics = json.loads(record)
            if not isinstance(name, str) or not isinstance(epochs, int):
                raise TypeError(f"{name!r} is no hash, or {epochs!r} no number of epochs")
            trainable, run = _run(base64.b64decode(metrics, validate=True))
            if name not in places:
                if (wrong := _wrong(_module(adjacency, operations))) is not None:
                    raise ValueError(wrong)
                places[name] = len(modules)
                modules.append((adjacency, operations))
                parameters.append(trainable)
            owners.setdefault(epochs, array.array("l")).append(places[name])
            numbers.setdefault(epochs, array.array("f")).extend(run)
        except (
            ArithmeticError,
            AttributeError,
            LookupError,
            RecursionError,
            TypeError,
            ValueError,
        ) as error:
            raise TabularError(
                f"record {count} of {path} is none of NAS-Bench-101 ({error}): {_WHERE_FROM}."
            ) from error
    if len(modules) != size:
        raise TabularError(
            f"{path} has {len(modules)} of NAS-Bench-101's {size} modules: {_WHERE_FROM}."
        )
    runs = {}
    for epochs, of in sorted(owners.items()):
        if not np.array_equal(np.bincount(of, minlength=size), np.full(size, REPEATS)):
            raise TabularError(
                f"{path} has not three trainings of {epochs} epochs of each module: {_WHERE_FROM}."
            )
        order = np.argsort(of, kind="stable")
        runs[epochs] = np.reshape(np.array(numbers[epochs], np.float32), (-1, 4))[order].reshape(
            size, REPEATS, 4
        )
    return NASBench101(places, modules, np.array(parameters, np.int32), runs)


def _run(metrics: bytes) -> tuple[int, list[float]]:
    """Trainable parameters, and percent of train, valid and test and seconds at the end."""
    evaluations = []
    trainable = 0
    for number, value in message_fields(metrics):
        if number == 1 and isinstance(value, bytes):
            evaluations.append(value)
        elif number == 2 and isinstance(value, int):
            trainable = value
    # At the start, after half of the epochs, and at the end.
    told = dict(message_fields(evaluations[2]))
    values = [told[number] for number in (3, 4, 5, 2)]
    accuracies = [100 * float(value) for value in values[:3]]
    if not all(0 <= each <= 100 for each in accuracies) or not float(values[3]) >= 0:
        raise ValueError(f"{values} are no accuracies and seconds")
    return trainable, [*accuracies, float(values[3])]

"""Writes NAS-Bench-201 with invented numbers, in the formats of the real one."""

import bz2
import functools
import itertools
import pickle
from pathlib import Path
from typing import Any

import numpy as np

OPERATIONS = ["none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3"]
HEADER = (
    "index,arch,"
    "cifar10_valid_acc_200ep,cifar10_test_acc_200ep,cifar100_valid_acc_200ep,"
    "cifar100_test_acc_200ep,imagenet16_120_valid_acc_200ep,imagenet16_120_test_acc_200ep,"
    "cifar10_valid_acc_12ep,cifar10_test_acc_12ep,cifar100_valid_acc_12ep,"
    "cifar100_test_acc_12ep,imagenet16_120_valid_acc_12ep,imagenet16_120_test_acc_12ep,"
    "params_cifar10,params_cifar100,params_imagenet16_120,"
    "cifar10_train_seconds_12ep,cifar10_train_seconds_200ep,imagenet16_120_train_seconds_200ep"
)


def arch(candidate: tuple[int, ...]) -> str:
    a, b, c, d, e, f = (OPERATIONS[i] for i in candidate)
    return f"|{a}~0|+|{b}~0|{c}~1|+|{d}~0|{e}~1|{f}~2|"


@functools.cache
def candidates() -> tuple[tuple[int, ...], ...]:
    """All, in order."""
    return tuple(itertools.product(range(5), repeat=6))


def index(code: int) -> int:
    """An invented official index: 7 and 15,625 share no factor, so it is a permutation."""
    return (7 * code + 3) % 15625


def accuracy(code: int, column: int) -> float:
    """An invented percentage with 5 decimals."""
    return (code * 611_953 + column * 1_299_709) % 10_000_001 / 100_000


@functools.cache
def lines() -> tuple[str, ...]:
    """The CSV file's, sorted by index; the seconds of every fifth architecture are known."""
    rows = []
    for code, candidate in enumerate(candidates()):
        numbers = [str(accuracy(code, column)) for column in range(12)]
        numbers += [str(1000 + code + head) for head in (0, 5850, 7150)]
        numbers += ["", "", ""] if code % 5 else [f"{code}.125", f"{code}.25", f"{code}.5"]
        rows.append((index(code), arch(candidate), *numbers))
    return HEADER, *(",".join(map(str, row)) for row in sorted(rows))


def record(code: int) -> dict[str, Any]:
    """Of one architecture: two seeds, and of the many epochs the first and the last only."""
    name = arch(candidates()[code])
    sources = {
        "cifar10-valid": ["x-valid", "ori-test"],
        "cifar10": ["ori-test"],
        "cifar100": ["ori-test", "x-valid", "x-test"],
        "ImageNet16-120": ["ori-test", "x-valid", "x-test"],
    }
    content: dict[str, Any] = {}
    for epochs in ("12", "200"):
        last = int(epochs) - 1
        results = {}
        for place, (training, images) in enumerate(sources.items()):
            for seed in (777, 888):
                results[training, seed] = {
                    "name": training,
                    "train_times": {0: 0.5, last: code + last / 7 + place},
                    "params": np.float64((1000 + code + place) / 1e6),
                    "eval_acc1es": {f"{each}@0": 1.0 for each in images}
                    | {
                        f"{each}@{last}": (code + last + 10 * place + number) % 90 + seed / 1000
                        for number, each in enumerate(images)
                    },
                }
        content[epochs] = {"arch_index": index(code), "arch_str": name, "all_results": results}
    return content


def pack(content: Any) -> bytes:
    """A packed pickle that names NumPy's scalars as NumPy 1 did, which wrote the official files."""
    pickled = pickle.dumps(content, protocol=3)  # 4 counts the bytes of its frames
    return bz2.compress(pickled.replace(b"cnumpy._core.", b"cnumpy.core."))


def write_record(folder: Path, code: int) -> Path:
    path = folder / f"{index(code):06d}.pickle.pbz2"
    path.write_bytes(pack(record(code)))
    return path

"""Writes small data sets in the official formats."""

import io
import pickle
import tarfile
from pathlib import Path

import numpy as np

CIFAR10_NAMES = ["airplane", "automobile", "bird", "cat", "deer"]
CIFAR10_NAMES += ["dog", "frog", "horse", "ship", "truck"]
CIFAR100_NAMES = [f"fine_{i}" for i in range(100)]

Records = tuple[np.ndarray, np.ndarray]  # uint8 [N, 3072] planes as published; int [N]


def records(count: int, num_classes: int, seed: int) -> Records:
    """Random pixels; parts of consecutive seeds that have as many images as classes have all."""
    pixels = np.random.default_rng(seed).integers(0, 256, (count, 3072), dtype=np.uint8)
    return pixels, 7 * np.arange(seed * count, (seed + 1) * count) % num_classes


def cifar10_records() -> dict[str, Records]:
    names = [f"data_batch_{i}" for i in range(1, 6)] + ["test_batch"]
    return {name: records(4, 10, seed) for seed, name in enumerate(names)}


def cifar100_records() -> dict[str, Records]:
    return {"train": records(100, 100, 0), "test": records(3, 100, 1)}


def images(planes: np.ndarray) -> np.ndarray:
    """uint8 [N, 32, 32, 3], written out pixel by pixel from the format's description."""
    pixels = np.empty((len(planes), 32, 32, 3), np.uint8)
    for channel in range(3):
        for row in range(32):
            start = channel * 1024 + row * 32
            pixels[:, row, :, channel] = planes[:, start : start + 32]
    return pixels


def python2_batch(planes: np.ndarray, label_key: str, labels: np.ndarray) -> bytes:
    """The opcodes that Python 2 wrote the official batches with."""

    def text(value: bytes) -> bytes:
        return b"T" + len(value).to_bytes(4, "little") + value  # BINSTRING

    def number(value: int) -> bytes:
        return b"J" + int(value).to_bytes(4, "little", signed=True)  # BININT

    array = (
        b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
        b"(K\x01" + number(planes.shape[0]) + number(planes.shape[1]) + b"\x86"
        b"cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R"
        b"(K\x03U\x01|NNN" + number(-1) + number(-1) + b"K\x00tb"
        b"\x89" + text(planes.tobytes()) + b"tb"
    )
    items = text(label_key.encode()) + b"](" + b"".join(number(x) for x in labels) + b"e"
    return b"\x80\x02}(" + text(b"data") + array + items + b"u."


def python3_batch(planes: np.ndarray, label_key: str, labels: np.ndarray) -> bytes:
    """As a tool on Python 3 repacks a batch, with bytes keys."""
    return pickle.dumps({b"data": planes, label_key.encode(): [int(x) for x in labels]}, protocol=2)


def cifar10_python(batch=python2_batch) -> dict[str, bytes]:
    files = {
        name: batch(planes, "labels", labels)
        for name, (planes, labels) in cifar10_records().items()
    }
    return files | {"batches.meta": pickle.dumps({"label_names": CIFAR10_NAMES}, protocol=2)}


def cifar10_binary() -> dict[str, bytes]:
    files = {
        f"{name}.bin": np.column_stack([labels, planes]).astype(np.uint8).tobytes()
        for name, (planes, labels) in cifar10_records().items()
    }
    return files | {"batches.meta.txt": ("\n".join(CIFAR10_NAMES) + "\n\n").encode()}


def cifar100_python() -> dict[str, bytes]:
    files = {
        name: python2_batch(planes, "fine_labels", labels)
        for name, (planes, labels) in cifar100_records().items()
    }
    return files | {"meta": pickle.dumps({"fine_label_names": CIFAR100_NAMES}, protocol=2)}


def cifar100_binary() -> dict[str, bytes]:
    files = {
        f"{name}.bin": np.column_stack([labels // 5, labels, planes]).astype(np.uint8).tobytes()
        for name, (planes, labels) in cifar100_records().items()
    }
    return files | {"fine_label_names.txt": ("\n".join(CIFAR100_NAMES) + "\n").encode()}


def write_folder(folder: Path, files: dict[str, bytes]) -> Path:
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


def write_archive(path: Path, folder: str, files: dict[str, bytes]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(f"{folder}/{name}")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path

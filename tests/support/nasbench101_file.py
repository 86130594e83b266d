"""Writes files of NAS-Bench-101 in the published format, by its definitions alone."""

import base64
import json
import struct
from collections.abc import Iterable, Sequence

FIRST_HASH = "00005c142e6f48ac74fdcf73e3439874"
"""Of the first module of the published file, which `FIRST_MATRIX` and `FIRST_OPERATIONS` are."""
FIRST_MATRIX = (
    (0, 1, 0, 0, 1, 1, 0),
    (0, 0, 1, 0, 0, 0, 0),
    (0, 0, 0, 1, 0, 0, 1),
    (0, 0, 0, 0, 0, 1, 0),
    (0, 0, 0, 0, 0, 1, 0),
    (0, 0, 0, 0, 0, 0, 1),
    (0, 0, 0, 0, 0, 0, 0),
)
FIRST_OPERATIONS = (
    "input",
    "conv3x3-bn-relu",
    "maxpool3x3",
    "conv3x3-bn-relu",
    "conv3x3-bn-relu",
    "conv1x1-bn-relu",
    "output",
)


def crc32c(text: bytes) -> int:
    """Castagnoli's, bit by bit."""
    crc = 0xFFFFFFFF
    for byte in text:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ 0x82F63B78 * (crc & 1)
    return crc ^ 0xFFFFFFFF


def masked(text: bytes) -> bytes:
    crc = crc32c(text)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) % 2**32)


def tfrecord(records: Iterable[bytes]) -> bytes:
    content = b""
    for record in records:
        length = struct.pack("<Q", len(record))
        content += length + masked(length) + record + masked(record)
    return content


def varint(value: int) -> bytes:
    low, rest = value & 127, value >> 7
    return bytes([low | 128]) + varint(rest) if rest else bytes([low])


def evaluation(epoch: float, seconds: float, train: float, valid: float, test: float) -> bytes:
    numbers = (epoch, seconds, train, valid, test)
    fields = b"".join(
        bytes([number << 3 | 1]) + struct.pack("<d", value)
        for number, value in enumerate(numbers, 1)
    )
    return fields + bytes([6 << 3 | 2]) + varint(200) + b"x" * 200  # the path of a checkpoint


def metrics(parameters: int, evaluations: Sequence[bytes]) -> bytes:
    content = b"".join(bytes([1 << 3 | 2]) + varint(len(each)) + each for each in evaluations)
    content += bytes([2 << 3]) + varint(parameters)
    return content + bytes([3 << 3 | 1]) + struct.pack("<d", 1234.5)


def record(
    name: str,
    epochs: int,
    matrix: Sequence[Sequence[int]],
    operations: Sequence[str],
    content: bytes,
) -> bytes:
    adjacency = "".join(str(bit) for row in matrix for bit in row)
    text = [name, epochs, adjacency, ",".join(operations), base64.b64encode(content).decode()]
    return json.dumps(text).encode()

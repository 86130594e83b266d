"""TensorFlow's files of records, and messages of protocol buffers, read without TensorFlow.

A record is its length (uint64), that number's checksum, its bytes and their checksum (uint32 each),
little-endian. https://www.tensorflow.org/tutorials/load_data/tfrecord tells the form.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np

from jaxnas import reading
from jaxnas.tabular.errors import TabularError

_TOGETHER = 4096  # records whose checksums are computed at once
_LONGEST = 1 << 20  # bytes of a record


def read_records(path: Path, remedy: str) -> Iterator[bytes]:
    """The records of a file, in order; they are checked before they are given.

    Args:
      path: an unpacked .tfrecord file.
      remedy: what to do about a bad file, in messages.

    Raises:
      TabularError: if the file cannot be read, ends within a record, or a checksum is wrong.
    """
    try:
        with reading.regular(path).open("rb") as file:
            while records := _some(file):
                yield from records
    except (OSError, ValueError) as error:
        raise TabularError(f"{path} cannot be read ({error}): {remedy}.") from error


def _some(file: BinaryIO) -> list[bytes]:
    """The next records, none at the end."""
    lengths: list[bytes] = []
    records: list[bytes] = []
    sums: list[int] = []
    while len(records) < _TOGETHER and (head := file.read(12)):
        if len(head) < 12 or (length := int.from_bytes(head[:8], "little")) > _LONGEST:
            raise ValueError("it holds no records")
        body = file.read(length + 4)
        if len(body) < length + 4:
            raise ValueError("it ends within a record")
        lengths.append(head[:8])
        records.append(body[:-4])
        sums += struct.unpack("<II", head[8:] + body[-4:])
    found = np.stack([masked_crc32c(lengths), masked_crc32c(records)], 1) if records else sums
    if not np.array_equal(np.ravel(found), sums):
        raise ValueError("a checksum is wrong")
    return records


def _crc_table() -> np.ndarray:
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = np.where(table & 1, (table >> 1) ^ np.uint32(0x82F63B78), table >> 1)
    return table


_TABLE = _crc_table()


def masked_crc32c(texts: list[bytes]) -> np.ndarray:
    """uint32 [n]: the checksums of n texts, Castagnoli's CRC turned and shifted by a constant.

    All texts are worked on together, byte after byte.
    """
    lengths = np.array([len(text) for text in texts])
    columns = np.zeros((lengths.max(initial=0), len(texts)), np.uint8)
    for place, text in enumerate(texts):
        columns[: len(text), place] = np.frombuffer(text, np.uint8)
    crc = np.full(len(texts), 0xFFFFFFFF, np.uint32)
    for place, column in enumerate(columns):
        crc = np.where(place < lengths, _TABLE[(crc ^ column) & 0xFF] ^ (crc >> 8), crc)
    crc = ~crc
    return ((crc >> 15) | (crc << 17)) + np.uint32(0xA282EAD8)


def message_fields(message: bytes) -> Iterator[tuple[int, int | float | bytes]]:
    """The fields of a message in order: their numbers, and integers, doubles or bytes.

    Raises:
      ValueError: if it is no message, or has a field of another kind.
    """
    place = 0
    while place < len(message):
        tag, place = _varint(message, place)
        kind, number = tag & 7, tag >> 3
        if kind == 0:
            value, place = _varint(message, place)
            yield number, value
            continue
        length = 8
        if kind == 2:
            length, place = _varint(message, place)
        elif kind != 1:
            raise ValueError(f"a field is of kind {kind}")
        value = message[place : place + length]
        if len(value) < length:
            raise ValueError("a field is cut off")
        place += length
        yield number, struct.unpack("<d", value)[0] if kind == 1 else value


def _varint(message: bytes, place: int) -> tuple[int, int]:
    """The integer that begins at a place, and the place behind it."""
    value = shift = 0
    while True:
        if place >= len(message) or shift > 63:
            raise ValueError("a number is cut off")
        byte = message[place]
        value |= (byte & 127) << shift
        place, shift = place + 1, shift + 7
        if byte < 128:
            return value, place

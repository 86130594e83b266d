"""NAS-Bench-101's files, and how its modules are told apart."""

import json
from pathlib import Path

import numpy as np
import pytest

from jaxnas.tabular import NASBench101, NASBench101Module, TabularError, load_nasbench101
from jaxnas.tabular.tfrecords import masked_crc32c, message_fields, read_records
from support import nasbench101_file
from support.nasbench101_file import (
    FIRST_HASH,
    FIRST_MATRIX,
    FIRST_OPERATIONS,
    evaluation,
    metrics,
    record,
    tfrecord,
)

LINE = ((0, 1, 0), (0, 0, 1), (0, 0, 0))
MODULES = (
    (FIRST_HASH, FIRST_MATRIX, FIRST_OPERATIONS, 8_555_530),
    ("b" * 32, LINE, ("input", "maxpool3x3", "output"), 300),
    ("a" * 32, ((0, 1), (0, 0)), ("input", "output"), 2),
)


def values(place: int, epochs: int, repeat: int) -> tuple[float, float, float, float]:
    """Invented seconds, and accuracies on train, valid and test."""
    share = (place + repeat / 4) / 8
    return epochs + repeat, share + 0.5, share + 0.25, share + 0.125


def run(place: int, epochs: int, repeat: int) -> bytes:
    name, matrix, operations, parameters = MODULES[place]
    seconds, train, valid, test = values(place, epochs, repeat)
    start = evaluation(0, 0, 0.1, 0.1, 0.1)
    half = evaluation(epochs / 2, seconds / 2, train / 2, valid / 2, test / 2)
    evaluations = [start, half, evaluation(epochs, seconds, train, valid, test)]
    return record(name, epochs, matrix, operations, metrics(parameters, evaluations))


def runs() -> list[bytes]:
    """All modules and trainings, as mixed as they may be."""
    return [
        run(place, epochs, repeat)
        for repeat in range(3)
        for place in range(len(MODULES))
        for epochs in (108, 4)
    ]


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> NASBench101:
    path = tmp_path_factory.mktemp("101") / "nasbench_full.tfrecord"
    path.write_bytes(tfrecord(runs()))
    return load_nasbench101(path, size=3)


def test_every_number_is_at_its_module(table: NASBench101):
    assert table.places == {name: place for place, (name, *_) in enumerate(MODULES)}
    np.testing.assert_array_equal(table.parameters, [each[3] for each in MODULES])
    for place in range(3):
        for epochs in (4, 108):
            for repeat in range(3):
                seconds, *shares = values(place, epochs, repeat)
                assert table.train_seconds(epochs)[place, repeat] == seconds
                for split, share in zip(("train", "valid", "test"), shares, strict=True):
                    assert table.accuracy(split, epochs)[place, repeat] == 100 * share
        matrix, operations = table.module(place)
        np.testing.assert_array_equal(matrix, MODULES[place][1])
        assert operations == MODULES[place][2]


def test_what_it_does_not_tell_is_refused(table: NASBench101):
    with pytest.raises(TabularError, match="epochs must be 4 or 108, not 12"):
        table.accuracy("valid", 12)
    with pytest.raises(TabularError, match="split must be train, valid or test, not 'all'"):
        table.accuracy("all", 108)


def test_the_hash_is_the_published_one(table: NASBench101):
    module = NASBench101Module(np.array(FIRST_MATRIX), FIRST_OPERATIONS)
    assert module.hash() == FIRST_HASH
    # Vertices 3 and 4, both 3x3 convolutions with other inputs, change places.
    order = [0, 1, 2, 4, 3, 5, 6]
    turned = np.array(FIRST_MATRIX)[np.ix_(order, order)]
    assert table.place(turned, FIRST_OPERATIONS) == 0
    # An end that leads nowhere, and a beginning that nothing leads to.
    wider = np.zeros((9, 9), int)
    kept = [0, 1, 2, 3, 4, 5, 8]
    wider[np.ix_(kept, kept)] = FIRST_MATRIX
    wider[1, 6] = wider[7, 8] = 1
    operations = [*FIRST_OPERATIONS[:-1], "maxpool3x3", "maxpool3x3", "output"]
    assert table.place(wider, operations) == 0


@pytest.mark.parametrize(
    ("matrix", "operations", "message"),
    [
        (LINE, ("input", "conv3x3-bn-relu", "output"), "the table has no such module"),
        (np.zeros((3, 3)), ("input", "maxpool3x3", "output"), "no path leads from the module's"),
        (np.array(LINE).T, ("input", "maxpool3x3", "output"), "not upper triangular of 0 and 1"),
        (2 * np.array(LINE), ("input", "maxpool3x3", "output"), "not upper triangular of 0 and 1"),
        (LINE, ("input", "output"), r"a matrix of shape \(3, 3\) has 2 operations"),
        (LINE, ("input", "maxpool5x5", "output"), "'maxpool5x5' is not one of conv3x3-bn-relu"),
        (LINE, ("output", "maxpool3x3", "input"), "do not begin with input and end with output"),
    ],
)
def test_no_module_is_a_sentence(table: NASBench101, matrix, operations, message: str):
    with pytest.raises(TabularError, match=message):
        table.place(matrix, operations)


def changed(content: bytes, place: int) -> bytes:
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


WHOLE = tfrecord(runs())
LENGTH = len(runs()[0])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (changed(WHOLE, 0), "cannot be read .it ends within a record.: get nasbench_only108"),
        (changed(WHOLE, 6), "cannot be read .it holds no records."),
        (changed(WHOLE, 9), "a checksum is wrong"),
        (changed(WHOLE, 100), "a checksum is wrong"),
        (changed(WHOLE, 12 + LENGTH), "a checksum is wrong"),
        (WHOLE[:-1], "it ends within a record"),
        (WHOLE[: 12 + LENGTH + 4 + 5], "it holds no records"),
        (b"", "has 0 of NAS-Bench-101's 3 modules: get nasbench_only108"),
        (tfrecord(runs()[:2]), "has 1 of NAS-Bench-101's 3 modules"),
        (tfrecord(runs()[:-1]), "has not three trainings of 4 epochs of each module"),
        (tfrecord(runs() + runs()[:1]), "has not three trainings of 108 epochs of each module"),
    ],
)
def test_a_damaged_file_is_told(content: bytes, message: str, tmp_path: Path):
    path = tmp_path / "nasbench_only108.tfrecord"
    path.write_bytes(content)
    with pytest.raises(TabularError, match=message):
        load_nasbench101(path, size=3)


FINAL = evaluation(108, 1, 1, 0.9, 0.8)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (b"[]", "not enough values"),
        (b"\xff", "utf-8"),
        (b"[" * 10_000, "recursion"),
        (json.dumps([1, 108, "0100", "input,output", ""]).encode(), "1 is no hash"),
        (
            json.dumps(["a", "108", "0100", "input,output", ""]).encode(),
            "'108' no number of epochs",
        ),
        (record("a", 108, LINE, ("input", "output"), metrics(1, [FINAL] * 3)), "has 2 operations"),
        (record("a", 108, LINE, ("input", "x", "output"), metrics(1, [FINAL] * 3)), "'x' is not"),
        (
            record("a", 108, LINE, ("input", "maxpool3x3", "output"), metrics(1, [FINAL] * 2)),
            "out of range",
        ),
        (
            record(
                "a",
                108,
                LINE,
                ("input", "maxpool3x3", "output"),
                metrics(1, [evaluation(108, 1, 1, 1.5, 1)] * 3),
            ),
            "are no accuracies and seconds",
        ),
        (record("a", 108, LINE, ("input", "output"), b"\x0a\x7f"), "a field is cut off"),
        (record("a", 108, LINE, ("input", "output"), b"\x0b"), "a field is of kind 3"),
        (record("a", 108, LINE, ("input", "output"), b"\x80"), "a number is cut off"),
        (json.dumps(["a", 108, "0100", "input,output", "*"]).encode(), "base64|padd"),
    ],
)
def test_a_record_of_something_else_is_told(bad: bytes, message: str, tmp_path: Path):
    path = tmp_path / "nasbench_only108.tfrecord"
    path.write_bytes(tfrecord([runs()[0], bad]))
    with pytest.raises(TabularError, match=rf"record 2 of .* is none of NAS-Bench-101 .*{message}"):
        load_nasbench101(path, size=1)


def test_checksums_are_castagnolis():
    texts = [b"", b"123456789", bytes(range(256)), b"\0" * 32]
    assert nasbench101_file.crc32c(b"123456789") == 0xE3069283  # RFC 3720's
    assert nasbench101_file.crc32c(b"\0" * 32) == 0x8A9136AA
    expected = [int.from_bytes(nasbench101_file.masked(text), "little") for text in texts]
    np.testing.assert_array_equal(masked_crc32c(texts), expected)


def test_numbers_of_many_bytes_are_read():
    message = bytes([1 << 3]) + nasbench101_file.varint(2**40 + 5)
    assert list(message_fields(message)) == [(1, 2**40 + 5)]


@pytest.mark.slow
def test_tensorflows_own_files_are_read(tmp_path: Path):
    tensorflow = pytest.importorskip("tensorflow")
    path = tmp_path / "x.tfrecord"
    records = [bytes([number % 256]) * number for number in range(0, 10_000, 7)]
    with tensorflow.io.TFRecordWriter(str(path)) as writer:
        for each in records:
            writer.write(each)
    assert list(read_records(path, "")) == records
    assert path.read_bytes()[:5000] == tfrecord(records)[:5000]

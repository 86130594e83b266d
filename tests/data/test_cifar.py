import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from jaxnas.data import Augmentation, DataError, Dataset, load

from . import official

pytestmark = pytest.mark.oldest

FORMATS = {
    "cifar10": {
        "cifar-10-batches-py": official.cifar10_python(),
        "cifar-10-batches-bin": official.cifar10_binary(),
    },
    "cifar100": {
        "cifar-100-python": official.cifar100_python(),
        "cifar-100-binary": official.cifar100_binary(),
    },
}
ARCHIVES = {
    "cifar-10-batches-py": "cifar-10-python.tar.gz",
    "cifar-10-batches-bin": "cifar-10-binary.tar.gz",
    "cifar-100-python": "cifar-100-python.tar.gz",
    "cifar-100-binary": "cifar-100-binary.tar.gz",
}


def assert_as_written(dataset: Dataset) -> None:
    if dataset.name == "cifar10":
        parts, names = official.cifar10_records(), official.CIFAR10_NAMES
        train, test = [parts[f"data_batch_{i}"] for i in range(1, 6)], parts["test_batch"]
    else:
        parts, names = official.cifar100_records(), official.CIFAR100_NAMES
        train, test = [parts["train"]], parts["test"]
    planes = np.concatenate([planes for planes, _ in train])
    np.testing.assert_array_equal(dataset.train_images, official.images(planes))
    np.testing.assert_array_equal(dataset.train_labels, np.concatenate([y for _, y in train]))
    np.testing.assert_array_equal(dataset.test_images, official.images(test[0]))
    np.testing.assert_array_equal(dataset.test_labels, test[1])
    assert list(dataset.class_names) == names
    assert dataset.num_classes == len(names)
    assert dataset.augmentation == Augmentation(4, True, 0)


@pytest.mark.parametrize(("name", "folder"), [(n, f) for n in FORMATS for f in FORMATS[n]])
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("direct", [False, True])
def test_every_format_gives_the_same(
    tmp_path: Path, name: str, folder: str, packed: bool, direct: bool
):
    files = FORMATS[name][folder]
    if packed:
        path = official.write_archive(tmp_path / ARCHIVES[folder], folder, files)
    else:
        path = official.write_folder(tmp_path / folder, files)
    before = sorted(tmp_path.rglob("*"))
    assert_as_written(load(name, path if direct else tmp_path))
    assert sorted(tmp_path.rglob("*")) == before, "nothing is unpacked"


def test_batches_repacked_by_python_3_are_read(tmp_path: Path):
    files = official.cifar10_python(official.python3_batch)
    official.write_folder(tmp_path / "cifar-10-batches-py", files)
    assert_as_written(load("cifar10", tmp_path))


def test_data_dir_comes_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    official.write_folder(tmp_path / "cifar-100-binary", official.cifar100_binary())
    monkeypatch.setenv("JAXNAS_DATA_DIR", str(tmp_path))
    assert_as_written(load("cifar100"))


@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_not_found_says_where_and_what_to_do(tmp_path: Path, name: str):
    number = name.removeprefix("cifar")
    with pytest.raises(DataError) as caught:
        load(name, tmp_path / "nowhere")
    message = str(caught.value)
    for part in (
        str(tmp_path / "nowhere"),
        f"https://www.cs.toronto.edu/~kriz/cifar-{number}-python.tar.gz",
        f"cifar-{number}-binary.tar.gz",
        "data_dir=",
        "JAXNAS_DATA_DIR",
        "download=True",
    ):
        assert part in message
    assert "\n" not in message


class Malice:
    """A pickle of this makes a folder of the name that it is given."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def load_with_first_batch(tmp_path: Path, content: bytes) -> Dataset:
    files = official.cifar10_python() | {"data_batch_1": content}
    official.write_folder(tmp_path / "cifar-10-batches-py", files)
    return load("cifar10", tmp_path)


def test_a_pickle_that_runs_code_is_refused_and_does_not_run(tmp_path: Path):
    mark = tmp_path / "mark"
    content = pickle.dumps({"data": Malice(mark)}, protocol=2)
    pickle.loads(content)
    assert mark.exists(), "it would run"
    mark.rmdir()
    with pytest.raises(DataError, match=r"\(data_batch_1\) asks for .*mkdir.*was not run"):
        load_with_first_batch(tmp_path, content)
    assert not mark.exists()


@pytest.mark.parametrize(
    "name", ["builtins eval", "os system", "numpy load", "numpy.core.multiarray fromfile"]
)
def test_a_global_that_no_batch_needs_is_named(tmp_path: Path, name: str):
    module, attribute = name.split()
    content = f"c{module}\n{attribute}\n.".encode()
    with pytest.raises(DataError, match=f"asks for {module}.{attribute}, which numbers and"):
        load_with_first_batch(tmp_path, content)


PLANES, LABELS = official.records(4, 10, 0)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is not a CIFAR batch"),
        (official.python2_batch(PLANES, "labels", LABELS)[:5000], "is not a CIFAR batch"),
        (pickle.dumps([1], 2), "holds a list, not a dict: download it again"),
        (pickle.dumps({}, 2), "does not hold uint8 data"),
        (official.python2_batch(PLANES, "labels", LABELS[:2]), "does not hold uint8 data"),
        (official.python2_batch(PLANES, "labels", LABELS + 10), "does not hold uint8 data"),
        (official.python2_batch(PLANES[:, :9], "labels", LABELS), "does not hold uint8 data"),
        (official.python3_batch(PLANES.astype(np.int32), "labels", LABELS), "i4, not uint8"),
        (pickle.dumps({"data": np.array([{}])}, 2), "O8, not uint8"),
    ],
)
def test_a_damaged_batch_is_one_sentence(tmp_path: Path, content: bytes, message: str):
    with pytest.raises(DataError, match=message) as caught:
        load_with_first_batch(tmp_path, content)
    assert "data_batch_1" in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path):
    files = official.cifar10_binary()
    del files["data_batch_3.bin"]
    official.write_archive(tmp_path / "cifar-10-binary.tar.gz", "cifar-10-batches-bin", files)
    with pytest.raises(DataError, match=r"lacks data_batch_3\.bin: download it again"):
        load("cifar10", tmp_path)


@pytest.mark.parametrize("keep", [0, 100, -500])
def test_a_cut_archive_is_named(tmp_path: Path, keep: int):
    path = tmp_path / "cifar-10-binary.tar.gz"
    official.write_archive(path, "cifar-10-batches-bin", official.cifar10_binary())
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(DataError, match=r"cifar-10-binary\.tar\.gz .*download it again"):
        load("cifar10", tmp_path)


def test_a_cut_binary_file_is_named(tmp_path: Path):
    files = official.cifar100_binary()
    files["train.bin"] = files["train.bin"][:-1]
    official.write_folder(tmp_path / "cifar-100-binary", files)
    with pytest.raises(DataError, match=r"\(train\.bin\) has 307399 bytes, not records of 3074"):
        load("cifar100", tmp_path)


@pytest.mark.parametrize(
    ("folder", "file", "content"),
    [
        ("cifar-10-batches-bin", "batches.meta.txt", b"cat\ndog\n"),
        ("cifar-10-batches-py", "batches.meta", pickle.dumps({}, 2)),
    ],
)
def test_class_names_must_be_complete(tmp_path: Path, folder: str, file: str, content: bytes):
    official.write_folder(tmp_path / folder, FORMATS["cifar10"][folder] | {file: content})
    with pytest.raises(DataError, match="does not name 10 classes"):
        load("cifar10", tmp_path)

"""TFDS prepares its own CIFAR-10 from a small archive in the official layout; no network."""

import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest

from jaxnas.data import Augmentation, DataError, Dataset, load

from . import official


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Dataset]:
    """A data folder in which TFDS has prepared cifar10, and what `load` made of it."""
    pytest.importorskip("tensorflow_datasets", reason="needs jaxnas[tfds]")
    from tensorflow_datasets import download

    folder = tmp_path_factory.mktemp("data")
    path = official.write_archive(
        folder / "cifar-10-binary.tar.gz", "cifar-10-batches-bin", official.cifar10_binary()
    )

    def unpack(_: object, url: str) -> str:
        # The small archive cannot have the checksum that TFDS holds for the official one.
        assert url.endswith(path.name)
        with tarfile.open(path) as archive:
            archive.extractall(folder / "unpacked", filter="data")
        return str(folder / "unpacked")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(download.DownloadManager, "download_and_extract", unpack)
        return folder, load("tfds:cifar10", folder, download=True)


def test_tfds_gives_the_pixels_of_the_official_files(prepared: tuple[Path, Dataset]):
    folder, dataset = prepared
    expected = load("cifar10", folder)
    assert dataset.name == "tfds:cifar10"
    assert dataset.class_names == expected.class_names
    assert dataset.augmentation == Augmentation(4, True, 0)
    for part in ("train", "test"):
        found = sorted(pairs(dataset, part))
        assert found == sorted(pairs(expected, part))


def pairs(dataset: Dataset, part: str) -> list[tuple[bytes, int]]:
    images, labels = getattr(dataset, f"{part}_images"), getattr(dataset, f"{part}_labels")
    return [(image.tobytes(), int(label)) for image, label in zip(images, labels, strict=True)]


def test_tfds_reads_again_in_the_same_order_and_in_silence(
    prepared: tuple[Path, Dataset], capfd: pytest.CaptureFixture[str]
):
    folder, first = prepared
    again = load("tfds:cifar10", folder)
    assert capfd.readouterr() == ("", "")
    np.testing.assert_array_equal(first.train_images, again.train_images)
    np.testing.assert_array_equal(first.train_labels, again.train_labels)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("mnist", r"tfds:mnist is not prepared in .*tensorflow_datasets: say --download"),
        ("no_such_data", r"no data set that can be used as 'no_such_data' \(.*choose one listed"),
        ("imdb_reviews", r"has the features \['label', 'text'\]: choose .* for classification"),
        ("cats_vs_dogs", r"images of shape \(None, None, 3\) and dtype uint8: .*one fixed size"),
        ("cifar10/no_such_config", "no data set that can be used as 'cifar10/no_such_config'"),
    ],
)
def test_tfds_errors_are_one_sentence(tmp_path: Path, name: str, message: str):
    pytest.importorskip("tensorflow_datasets", reason="needs jaxnas[tfds]")
    with pytest.raises(DataError, match=message) as caught:
        load(f"tfds:{name}", tmp_path)
    assert "\n" not in str(caught.value)


def test_tfds_that_cannot_be_prepared_is_one_sentence(tmp_path: Path, monkeypatch):
    pytest.importorskip("tensorflow_datasets", reason="needs jaxnas[tfds]")
    from tensorflow_datasets import download

    def fail(*_: object) -> None:
        raise OSError("no network\nand a long story")

    monkeypatch.setattr(download.DownloadManager, "download_and_extract", fail)
    with pytest.raises(DataError, match=r"could not prepare tfds:cifar10 \(.*check the network"):
        load("tfds:cifar10", tmp_path, download=True)


def test_tfds_missing_names_the_extra(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)
    with pytest.raises(DataError, match=r'pip install "jaxnas\[tfds\]"'):
        load("tfds:mnist", tmp_path)

"""TFDS prepares its own CIFAR-10 from a small archive in the official layout; no network."""

import sys
import tarfile
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from jaxnas.data import Augmentation, DataError, Dataset, load
from support.picture_files import picture

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
        ("mnist", r"tfds:mnist is not prepared in .*tensorflow_datasets: say download=True"),
        ("no_such_data", r"no data set that can be used as 'no_such_data' \(.*choose one listed"),
        ("imdb_reviews", r"has the features \['label', 'text'\]: choose .* for classification"),
        ("cats_vs_dogs", r"cats_vs_dogs has images of many sizes: say image_size=N"),
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


CONFIGS = {"divided": None, "whole": 0.2}  # and the share that is drawn


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder in which TFDS has prepared pictures of many sizes, with a test part or none."""
    tfds = pytest.importorskip("tensorflow_datasets", reason="needs jaxnas[tfds]")

    class MixedPhotos(tfds.core.GeneratorBasedBuilder):
        VERSION = tfds.core.Version("1.0.0")
        BUILDER_CONFIGS: ClassVar = [tfds.core.BuilderConfig(name=name) for name in CONFIGS]

        def _info(self):
            labels = tfds.features.ClassLabel(names=["cat", "dog"])
            features = {"image": tfds.features.Image(encoding_format="png"), "label": labels}
            return self.dataset_info_from_configs(features=tfds.features.FeaturesDict(features))

        def _split_generators(self, _):
            parts = {"train": self._generate_examples(0)}
            if self.builder_config.name == "divided":
                parts["test"] = self._generate_examples(10)
            return parts

        def _generate_examples(self, first):
            for number in range(first, first + 10):
                yield number, {"image": np.asarray(photo(number)), "label": number % 2}

    folder = tmp_path_factory.mktemp("data")
    for config, share in CONFIGS.items():
        name = f"tfds:mixed_photos/{config}"
        load(name, folder, download=True, image_size=8, test_share=share)
    return folder


def photo(number: int):
    return picture(number, 24).resize((12 + number, 30 - number))


@pytest.mark.slow
def test_photographs_of_many_sizes_become_what_those_of_a_folder_become(
    photos: Path, tmp_path: Path
):
    for number in range(20):
        part, label = ("train", "test")[number // 10], ("cat", "dog")[number % 2]
        (tmp_path / part / label).mkdir(parents=True, exist_ok=True)
        photo(number).save(tmp_path / part / label / f"{number}.png")
    expected = load(tmp_path, image_size=8, crop_share=0.5)
    found = load("tfds:mixed_photos/divided", photos, image_size=8, crop_share=0.5)
    assert found.input_shape == (8, 8, 3)
    assert found.augmentation == Augmentation(1, True, 0)
    for part in ("train", "test"):
        assert sorted(pairs(found, part)) == sorted(pairs(expected, part))


@pytest.mark.slow
def test_a_test_part_is_drawn_where_there_is_none(photos: Path):
    name = "tfds:mixed_photos/whole"
    with pytest.raises(DataError, match=r"has the parts \['train'\]: .* or say test_share=0.2"):
        load(name, photos, image_size=8)
    drawn = load(name, photos, image_size=8, test_share=0.4)
    assert np.bincount(drawn.test_labels).tolist() == [2, 2]
    assert len({image for part in ("train", "test") for image, _ in pairs(drawn, part)}) == 10


@pytest.mark.slow
def test_photographs_of_many_sizes_need_one(photos: Path):
    with pytest.raises(DataError, match="has images of many sizes: say image_size=N"):
        load("tfds:mixed_photos/divided", photos)
    with pytest.raises(DataError, match="has a test part of its own: leave out test_share="):
        load("tfds:mixed_photos/divided", photos, image_size=8, test_share=0.2)

"""The published data sets themselves, where JAXNAS_DATA_DIR holds them."""

from pathlib import Path

import numpy as np
import pytest

from jaxnas.data import Dataset, load


@pytest.fixture(scope="module")
def cifar10(real_data_dir: Path) -> Dataset:
    return load("cifar10", real_data_dir)


def test_cifar10_is_as_published(cifar10: Dataset):
    assert cifar10.train_images.shape == (50_000, 32, 32, 3)
    assert cifar10.test_images.shape == (10_000, 32, 32, 3)
    assert np.bincount(cifar10.train_labels).tolist() == [5000] * 10
    assert np.bincount(cifar10.test_labels).tolist() == [1000] * 10
    assert cifar10.class_names[0] == "airplane"
    np.testing.assert_allclose(cifar10.channel_mean(), [0.4914, 0.4822, 0.4465], atol=1e-4)
    np.testing.assert_allclose(cifar10.channel_std(), [0.2470, 0.2435, 0.2616], atol=1e-4)


@pytest.mark.slow
def test_cifar10_is_the_same_in_both_formats(cifar10: Dataset, real_data_dir: Path):
    path = real_data_dir / "cifar-10-binary.tar.gz"
    if not path.is_file():
        pytest.skip(f"needs {path.name} in JAXNAS_DATA_DIR")
    binary = load("cifar10", path)
    for part in ("train_images", "train_labels", "test_images", "test_labels"):
        np.testing.assert_array_equal(getattr(cifar10, part), getattr(binary, part))
    assert cifar10.class_names == binary.class_names


@pytest.mark.slow
def test_tiny_imagenet_has_200_classes_of_64_pixels(real_data_dir: Path):
    if not (real_data_dir / "tiny-imagenet-200").is_dir():
        pytest.skip("needs tiny-imagenet-200 in JAXNAS_DATA_DIR")
    if sum(1 for _ in real_data_dir.glob("tiny-imagenet-200/train/*/images/*")) > 10_000:
        pytest.skip("reads a part of Tiny ImageNet only: the whole takes too long")
    dataset = load("tiny_imagenet", real_data_dir)
    assert dataset.input_shape == (64, 64, 3)
    assert dataset.num_classes == len(dataset.class_names) == 200
    for labels in (dataset.train_labels, dataset.test_labels):
        assert len(set(np.bincount(labels, minlength=200))) == 1, "classes are balanced"
    assert "goldfish, Carassius auratus" in dataset.class_names
    # The order alternates classes, so a part of it holds all of them.
    assert len(set(dataset.limit(200).train_labels)) == 200

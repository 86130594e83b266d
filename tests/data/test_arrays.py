import os
from pathlib import Path

import numpy as np
import pytest

from jaxnas.data import Augmentation, DataError, load

X = np.random.default_rng(0).integers(0, 256, (25, 8, 8), dtype=np.uint8)
Y = np.arange(25) % 3


def test_npz_with_two_parts(tmp_path: Path):
    np.savez(tmp_path / "signs.npz", x_train=X[:20], y_train=Y[:20], x_test=X[20:], y_test=Y[20:])
    dataset = load(tmp_path / "signs.npz")
    assert dataset.name == "signs"
    assert dataset.input_shape == (8, 8, 1)
    assert dataset.num_classes == 3
    np.testing.assert_array_equal(dataset.train_images[..., 0], X[:20])
    np.testing.assert_array_equal(dataset.test_labels, Y[20:])


def test_npz_with_one_part_tests_on_the_last_tenth(tmp_path: Path):
    np.savez_compressed(tmp_path / "signs.npz", x=X, y=Y)
    dataset = load(str(tmp_path / "signs.npz"))
    np.testing.assert_array_equal(dataset.train_images[..., 0], X[:23])
    np.testing.assert_array_equal(dataset.test_images[..., 0], X[23:])
    np.testing.assert_array_equal(dataset.test_labels, Y[23:])


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": X}, r"holds \['x'\]: save x_train, y_train, x_test and y_test, or x and y"),
        ({"x": np.array([{}, 1]), "y": Y}, "cannot be read .*numpy.savez"),
        ({"x": np.uint8(3), "y": Y}, "holds 1 images in x but 25 labels in y"),
        ({"x": X[:1], "y": Y[:1]}, "holds 1 image in x: save at least 2, as one is for the test"),
        ({"x": X[:0], "y": Y[:0]}, "holds 0 images in x: save at least 2"),
        ({"x": X, "y": Y.astype("m8[s]")}, r"signs's training labels are timedelta64\[s\] \[23\]"),
        ({"x": X / 255, "y": Y}, "signs's training images are float64: convert them to uint8"),
        ({"x": X, "y": Y[:-3]}, "holds 25 images in x but 22 labels in y"),
    ],
)
def test_npz_that_cannot_be_used(tmp_path: Path, arrays, message: str):
    np.savez(tmp_path / "signs.npz", **arrays)
    with pytest.raises(DataError, match=message):
        load(tmp_path / "signs.npz")


@pytest.mark.parametrize("content", [b"", b"text", b"PK\x03\x04 cut"])
def test_npz_that_is_none(tmp_path: Path, content: bytes):
    (tmp_path / "signs.npz").write_bytes(content)
    with pytest.raises(DataError, match=r"signs\.npz cannot be read"):
        load(tmp_path / "signs.npz")


def test_digits():
    dataset = load("digits")
    assert dataset.train_images.shape == (1437, 8, 8, 1)
    assert dataset.test_images.shape == (360, 8, 8, 1)
    assert dataset.train_images.max() == 240
    assert (dataset.train_images % 15 == 0).all()
    assert np.bincount(dataset.test_labels).min() > 25
    assert dataset.augmentation == Augmentation(pad=1, flip=False)


@pytest.mark.parametrize("spec", ["mnist", "none.npz", "nowhere/at/all", ""])
def test_an_unknown_name_lists_the_known(spec: str, tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if spec:
        with pytest.raises(DataError, match=f"'{spec}' is no data set .*choose cifar10, cifar100"):
            load(spec)
    else:
        with pytest.raises(DataError):
            load(spec)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("x.npy", r"x\.npy is a file, but no \.npz \(save arrays by numpy\.savez\)"),
        ("x.zip", r"x\.zip is a file, but no \.npz \(unpack the archive\)"),
        ("x.png", r"x\.png is a file, but no \.npz \(give the folder of all images\)"),
        ("link.npz", r"link\.npz is a link to gone, where there is nothing"),
        ("pipe.npz", r"pipe\.npz is neither a file nor a folder"),
    ],
)
def test_what_exists_is_not_said_to_be_missing(tmp_path, name, message):
    if name == "pipe.npz":
        os.mkfifo(tmp_path / name)
    elif name == "link.npz":
        (tmp_path / name).symlink_to("gone")
    else:
        (tmp_path / name).write_bytes(b"x")
    with pytest.raises(DataError, match=message):
        load(tmp_path / name)


def test_the_suffix_may_be_in_capitals(tmp_path):
    images, labels = np.zeros((4, 8, 8), np.uint8), np.array([0, 1, 0, 1])
    np.savez(tmp_path / "x.npz", x_train=images, y_train=labels, x_test=images, y_test=labels)
    (tmp_path / "x.npz").rename(tmp_path / "X.NPZ")
    assert load(tmp_path / "X.NPZ").input_shape == (8, 8, 1)

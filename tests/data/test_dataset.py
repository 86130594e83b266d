import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

from jaxnas.data import Augmentation, DataError, Dataset, from_arrays

pytestmark = pytest.mark.oldest


def arrays(n: int = 20, shape: tuple[int, ...] = (16, 16, 3)) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (n + 4, *shape), dtype=np.uint8)
    labels = np.arange(n + 4) % 4
    return [images[:n], labels[:n], images[n:], labels[n:]]


def test_from_arrays_fills_in_the_rest():
    dataset = from_arrays(*arrays())
    assert dataset.input_shape == (16, 16, 3)
    assert dataset.train_labels.dtype == dataset.test_labels.dtype == np.int32
    assert dataset.num_classes == 4
    assert dataset.class_names == ("0", "1", "2", "3")
    assert dataset.augmentation == Augmentation(pad=2, flip=True)
    assert dataset.name == "arrays"


def test_from_arrays_adds_the_channel():
    assert from_arrays(*arrays(shape=(8, 9))).input_shape == (8, 9, 1)


def test_moments_are_those_of_the_training_images():
    dataset = from_arrays(*arrays(1500, (5, 7, 3)))  # more than one chunk
    scaled = dataset.train_images / 255
    np.testing.assert_allclose(dataset.channel_mean(), scaled.mean((0, 1, 2)), rtol=1e-6)
    np.testing.assert_allclose(dataset.channel_std(), scaled.std((0, 1, 2)), rtol=1e-6)
    assert dataset.channel_mean().dtype == dataset.channel_std().dtype == np.float32


def test_a_channel_that_never_changes_has_std_one():
    x_train, y_train, x_test, y_test = arrays()
    x_train[..., 1] = 7
    assert from_arrays(x_train, y_train, x_test, y_test).channel_std()[1] == 1


def test_limit_keeps_the_first_training_images_and_all_of_the_test():
    dataset = from_arrays(*arrays())
    limited = dataset.limit(5)
    np.testing.assert_array_equal(limited.train_images, dataset.train_images[:5])
    np.testing.assert_array_equal(limited.train_labels, dataset.train_labels[:5])
    assert limited.test_images is dataset.test_images
    assert limited.num_classes == dataset.num_classes


@pytest.mark.parametrize("n", [0, -1, 21])
def test_limit_refuses_what_is_not_there(n: int):
    with pytest.raises(DataError, match=f"limited to {n} training images: it has 20"):
        from_arrays(*arrays()).limit(n)


@pytest.mark.parametrize(
    ("position", "change", "message"),
    [
        (0, lambda x: x / 255, r"training images are float64: .*np.round\(images \* 255\)"),
        (2, lambda x: x.astype(int), "test images are int64: convert them to uint8"),
        (0, lambda x: x[0, 0], r"training images are uint8 \[16, 3\]: give a non-empty uint8"),
        (0, lambda x: np.uint8(3), r"training images are uint8 \[\]: give a non-empty uint8"),
        (0, lambda x: np.ma.masked_equal(x, x[0, 0, 0, 0]), "training images are masked in places"),
        (0, lambda x: [np.ma.masked_equal(x[0], x[0, 0, 0, 0])], "training images are masked"),
        (3, lambda y: np.ma.masked_equal(y, 1), "test labels are masked in places"),
        (2, lambda x: [[1], [1, 2]], "test images make no array .*inhomogeneous.*: give all of"),
        (1, lambda y: [[0], [1, 2]], "training labels make no array"),
        (1, lambda y: y.astype("m8[s]"), r"training labels are timedelta64\[s\] \[20\]: give a"),
        (1, lambda y: y.astype("M8[s]"), r"training labels are datetime64\[s\] \[20\]: give a"),
        (1, lambda y: y.astype(object), r"training labels are Python objects \(int\): give an ar"),
        (2, lambda x: None, r"test images are Python objects \(NoneType\)"),
        (2, lambda x: x[:0], r"test images are uint8 \[0, 16, 16, 3\]"),
        (0, lambda x: x[:0], r"training images are uint8 \[0, 16, 16, 3\]"),
        (2, lambda x: x[:, :8], r"training images are \(16, 16, 3\) and its test images \(8,"),
        (1, lambda y: y[:-1], r"training labels are int32 \[19\]: give int32 \[20\]"),
        (1, lambda y: y[:, None], r"training labels are int64 \[20, 1\]: give .*one-dimensional"),
        (1, lambda y: y.astype(float), "training labels are float64"),
        (3, lambda y: y - 1, "test labels run from -1 to 2: number the classes from 0"),
        (3, lambda y: y[:0], "test labels are .*non-empty"),
        (
            1,
            lambda y: y + 1,
            r"no training image of 1 of its 5 classes, such as '0' .number 0.: number",
        ),
        (1, lambda y: y + 10**9, r"no training image of 1000000000 of its 1000000004 classes"),
        (
            3,
            lambda y: y * 2,
            "no training image of 3 of its 7 classes, such as '4' .number 4.: number",
        ),
        (0, lambda x: x.transpose(0, 3, 1, 2), r"\[20, 3, 16, 16\].*: channels first\? transpose"),
        (2, lambda x: x.transpose(1, 2, 3, 0)[..., [0] * 9], r"images last\? .*\(3, 0, 1, 2\)"),
        (0, lambda x: x[..., 0].transpose(1, 2, 0), r"images last\? .*\(2, 0, 1\)"),
    ],
)
def test_from_arrays_says_what_is_wrong(position: int, change, message: str):
    parts = arrays()
    parts[position] = change(parts[position])
    with pytest.raises(DataError, match=message):
        from_arrays(*parts)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"num_classes": 3, "class_names": ("a", "b", "c")}, "labels run from 0 to 3: number its"),
        ({"class_names": ("a",)}, "4 classes but 1 class names"),
        ({"class_names": ("a", "b", "a", "d")}, "two classes of the name 'a': rename one"),
        ({"num_classes": 1, "class_names": ("a",)}, "at least 2 classes"),
        ({"train_labels": np.zeros(20, np.int64)}, "training labels are int64"),
        ({"train_labels": np.zeros(20, np.int32)}, r"of 3 of its 4 classes, such as '1'"),
        ({"class_names": ("a", "b", "caf\udce9", "d")}, r"'caf\\udce9' is no UTF-8"),
        ({"name": "caf\udce9"}, r"'caf\\udce9' is no UTF-8"),
        ({"train_images": None}, r"training images are Python objects \(NoneType\)"),
        ({"test_labels": [0, 1, 2, 3]}, r"test labels are int64 \[4\]: give int32 \[4\]"),
        (
            {"train_labels": np.ma.masked_equal(np.arange(20, dtype=np.int32) % 4, 1)},
            "training labels are masked in places",
        ),
        ({"class_names": "abcd"}, "name and class names must be text: give a tuple of it"),
        ({"class_names": (0, 1, 2, 3)}, "name and class names must be text"),
    ],
)
def test_dataset_is_checked_on_construction(fields, message: str):
    dataset: Dataset = from_arrays(*arrays())
    with pytest.raises(DataError, match=message):
        dataclasses.replace(dataset, **fields)


def test_arrays_of_other_kinds_become_plain_ones():
    dataset = from_arrays(*arrays())
    unmasked = dataclasses.replace(
        dataset,
        train_images=np.ma.masked_array(dataset.train_images),
        test_images=jnp.asarray(dataset.test_images),
    )
    assert type(unmasked.train_images) is type(unmasked.test_images) is np.ndarray
    assert unmasked.fingerprint == dataset.fingerprint


def test_a_limit_without_a_class_is_refused():
    with pytest.raises(DataError, match=r"no training image of 1 of its 4 classes, such as '3'"):
        from_arrays(*arrays()).limit(3)


def test_images_of_two_rows_columns_or_many_channels_are_what_they_are():
    for shape in ((2, 128, 1), (128, 2, 1), (1, 1, 4), (8, 8, 13)):
        assert from_arrays(*arrays(shape=shape)).input_shape == shape


def test_the_fingerprint_is_of_images_labels_and_class_names():
    dataset = from_arrays(*arrays())
    same = from_arrays(*arrays(), name="another name")
    assert len(dataset.fingerprint) == 64
    assert dataset.fingerprint == same.fingerprint
    image = dataset.test_images.copy()
    image[3, 5, 5, 1] ^= 1
    others = [
        dataclasses.replace(dataset, test_images=image),
        dataclasses.replace(dataset, train_labels=dataset.train_labels[::-1].copy()),
        dataclasses.replace(dataset, class_names=("0", "1", "3", "2")),
        dataclasses.replace(dataset, class_names=("0", "1", "2", "3,")),
        dataset.limit(19),
        from_arrays(*(part[::-1] for part in arrays())),
    ]
    assert len({dataset.fingerprint, *(each.fingerprint for each in others)}) == 7

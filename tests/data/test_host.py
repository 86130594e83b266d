"""Images that stay on the host: as an array would hold them, and step by step."""

import dataclasses
import re
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
from PIL import Image

from jaxnas.data import Augmentation, DataError, load, resizing
from jaxnas.data.errors import ChangedFileError
from jaxnas.data.host.stream import HostData
from support.picture_files import picture, save

KEY = jax.random.key(7)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Two classes of six pictures, each of another size."""
    for label, name in enumerate(("cat", "dog")):
        for number in range(6):
            image = picture(10 * label + number, 24).resize((12 + number, 20 - number))
            save(tmp_path / name / f"{number}.png", image)
    return tmp_path


def both(folder: Path):
    """The data set in memory, and left in its files."""
    pytest.importorskip("grain")
    how = {"image_size": 10, "test_share": 0.25}
    return load(folder, **how), load(folder, **how, on_host=True)


def test_files_are_what_an_array_of_them_is(photos: Path):
    memory, host = both(photos)
    assert host.host_workers == 0
    assert memory.host_workers is None
    assert not isinstance(host.train_images, np.ndarray)
    np.testing.assert_array_equal(host.train_images, memory.train_images)
    np.testing.assert_array_equal(host.train_images[2:4], memory.train_images[2:4])
    np.testing.assert_array_equal(host.limit(3).train_images, memory.train_images[:3])
    np.testing.assert_array_equal(host.channel_mean(), memory.channel_mean())
    np.testing.assert_array_equal(host.channel_std(), memory.channel_std())
    assert host.fingerprint == memory.fingerprint
    assert host.described == memory.described


def test_a_broken_file_is_named_before_training(photos: Path):
    _, host = both(photos)
    path = host.train_images[2:3].paths[0]
    path.write_bytes(path.read_bytes()[:-60] + bytes(60))
    with pytest.raises(DataError, match=rf"{path.name} cannot be read as an image"):
        _ = host.fingerprint


@pytest.mark.parametrize("crop_area", [None, 0.5])
@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda path: path.unlink(), r"can no longer be found \(No such file or directory\)"),
        (lambda path: path.write_bytes(path.read_bytes()[:-60]), r"has [\d,]+ bytes, and [\d,]+ w"),
        (lambda path: save(path, picture(99, 30)), r"has [\d,]+ bytes, and [\d,]+ when it was"),
    ],
    ids=["removed", "truncated", "exchanged"],
)
def test_a_file_that_changes_while_a_run_trains_is_named(photos: Path, change, told, crop_area):
    _, host = both(photos)
    labels, paths = host.train_labels, host.train_images.paths
    keys = KEY if crop_area else None
    source = HostData({"train": (host.train_images, labels)}, crop_area=crop_area)
    chunks = source.chunks({"train": np.tile(ORDER, (20, 1))}, 2, keys)
    next(chunks)
    change(paths[3])
    with pytest.raises(ChangedFileError) as caught:
        list(chunks)
    assert re.fullmatch(
        rf"{paths[3]} {told}.*: put it back as it was; a run that it ended can then be resumed\.",
        str(caught.value),
    )


def read(dataset, order, steps=2, **how):
    """All chunks: the images and labels of each step, by part."""
    data = {"train": (dataset.train_images, dataset.train_labels)}
    keys, first = how.pop("keys", None), how.pop("first", 0)
    found = []
    for chunk, rows in HostData(data, **how).chunks({"train": order}, steps, keys, first):
        images, labels = chunk["train"]
        found += [(np.asarray(images)[row], np.asarray(labels)[row]) for row in rows["train"]]
    return found


ORDER = np.array([[7, 1, 3], [0, 2, 6], [5, 4, 6], [1, 1, 0], [3, 7, 2]], np.int32)


@pytest.mark.parametrize("steps", [1, 2, 5])
def test_each_step_has_the_images_of_the_order(photos: Path, steps: int):
    memory, host = both(photos)
    for dataset in (memory, host):
        found = read(dataset, ORDER, steps)
        assert len(found) == 5
        for rows, (images, labels) in zip(ORDER, found, strict=True):
            np.testing.assert_array_equal(images, memory.train_images[rows])
            np.testing.assert_array_equal(labels, memory.train_labels[rows])


def test_reading_begins_at_any_step(photos: Path):
    _, host = both(photos)
    for how in ({}, {"crop_area": 0.2, "keys": KEY}):
        whole = read(host, ORDER, **how)
        for first in range(5):
            for one, other in zip(
                whole[first:], read(host, ORDER, first=first, **how), strict=True
            ):
                np.testing.assert_array_equal(one[0], other[0])


def test_seeds_side_by_side_have_their_own_images_and_crops(photos: Path):
    _, host = both(photos)
    keys = jax.random.split(KEY, 2)
    orders = np.stack([ORDER, ORDER[::-1]], 1)
    found = read(host, orders, crop_area=0.2, keys=keys)
    for index, order in enumerate((ORDER, ORDER[::-1])):
        alone = read(host, order, crop_area=0.2, keys=keys[index])
        for one, other in zip(found, alone, strict=True):
            np.testing.assert_array_equal(one[0][index], other[0])


def test_a_crop_depends_on_key_epoch_and_image_alone(photos: Path):
    _, host = both(photos)
    first = read(host, ORDER, crop_area=0.2, keys=KEY)
    again = read(host, ORDER[::-1], crop_area=0.2, keys=KEY)[::-1]
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(one[0], other[0])
    np.testing.assert_array_equal(first[3][0][0], first[0][0][1])  # image 1, of the same epoch
    assert not np.array_equal(
        first[0][0], read(host, ORDER, crop_area=0.2, keys=KEY, epoch=1)[0][0]
    )
    other = jax.random.key(8)
    assert not np.array_equal(first[0][0], read(host, ORDER, crop_area=0.2, keys=other)[0][0])


@pytest.mark.slow
def test_processes_read_what_threads_read(photos: Path):
    _, host = both(photos)
    for how in ({}, {"crop_area": 0.2, "keys": KEY}):
        expected = read(host, ORDER, **how)
        for workers in (1, 2):
            for one, other in zip(expected, read(host, ORDER, workers=workers, **how), strict=True):
                np.testing.assert_array_equal(one[0], other[0])
                np.testing.assert_array_equal(one[1], other[1])


def test_a_crop_of_all_is_the_whole_square():
    image = picture(3, 20)
    found = resizing.random_resized_crop(np.random.default_rng(0), image, 8, 1.0)
    np.testing.assert_array_equal(found, image.resize((8, 8), Image.Resampling.BICUBIC))
    array = np.asarray(image)
    same = resizing.random_resized_crop(np.random.default_rng(0), array, 8, 1.0)
    np.testing.assert_array_equal(found, same)


def test_crops_have_the_areas_and_the_shapes_of_inceptions():
    draw = np.random.default_rng(0)
    boxes = [resizing._random_box(draw, 100, 80, 0.08) for _ in range(2000)]
    left, top, right, bottom = np.array(boxes).T
    assert min(left.min(), top.min()) == 0
    assert (right.max(), bottom.max()) == (100, 80)
    width, height = right - left, bottom - top
    shares, ratios = width * height / 8000, width / height
    assert 0.075 < shares.min() < 0.1
    assert 0.45 < shares.mean() < 0.56  # 0.54, less the large ones that do not fit
    assert 0.7 < ratios.min() < 0.8
    assert 1.25 < ratios.max() < 1.4


def test_the_nearest_shape_of_a_strip_is_its_middle():
    box = resizing._random_box(np.random.default_rng(0), 100, 10, 0.9)
    assert box == (43, 0, 56, 10)


def test_crops_are_made_on_the_host_alone():
    digits = load("digits")
    with pytest.raises(DataError, match="random crops are made on the host: load them with on_h"):
        dataclasses.replace(digits, augmentation=Augmentation(crop_area=0.5))
    with pytest.raises(DataError, match="--crop-area must be above 0 and at most 1, not 2"):
        Augmentation(crop_area=2)


def test_the_host_needs_grain(monkeypatch):
    monkeypatch.setitem(sys.modules, "grain", None)
    with pytest.raises(DataError, match=r'needs grain .*: pip install "jaxnas\[grain\]"'):
        load("digits", on_host=True)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"workers": 2}, "workers= read for on_host=True"),
        ({"on_host": True, "workers": -1}, "workers= must be from 0 to 256, not -1"),
    ],
)
def test_readers_that_cannot_be(how: dict, message: str):
    with pytest.raises(DataError, match=message):
        load("digits", **how)

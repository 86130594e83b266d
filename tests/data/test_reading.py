"""Images of many sizes, a test part that is drawn, broken files, and weights' normalisation."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from jaxnas.commands.inputs import load_data
from jaxnas.data import IMAGENET, Augmentation, DataError, Normalisation, load, resizing
from jaxnas.runs.flags.data import DataFlags
from support.picture_files import picture, save


def photos(root: Path, count: int = 5) -> Path:
    """Two classes of pictures, each of another size."""
    for label, name in enumerate(("cat", "dog")):
        for number in range(count):
            image = picture(10 * label + number, 24).resize((12 + number, 20 - number))
            save(root / name / f"{number}.png", image)
    return root


def test_a_reduction_weighs_every_pixel_as_keyss_cubic_does():
    """Of a lone white pixel of eight, reduced to four, as counted by hand.

    The widened kernel's centres are at 1, 3, 5 and 7, so pixel 2 (centre 2.5) is 0.75 of an output
    pixel from the first one: 0.2265625, of weights that sum to 1.8671875 at the border; 0.25 from
    the second: 0.8671875 of 2.0234375, since one pixel of eight within reach is outside.
    """
    row = np.zeros((8, 8), np.uint8)
    row[:, 2] = 255
    found = np.asarray(resizing.fit(Image.fromarray(row), 4))
    assert found.shape == (4, 4)
    expected = [255 * 0.2265625 / 1.8671875, 255 * 0.8671875 / 2.0234375, 0, 0]
    np.testing.assert_allclose(found[0], expected, atol=0.51)


def test_the_middle_of_the_longer_side_is_cut_out():
    stripes = np.repeat(np.arange(10, 70, 10, dtype=np.uint8)[None], 2, 0)  # 6 wide, 2 high
    np.testing.assert_array_equal(resizing.fit(Image.fromarray(stripes), 2), stripes[:, 2:4])
    tall = Image.fromarray(np.ascontiguousarray(stripes.T))
    np.testing.assert_array_equal(resizing.fit(tall, 2), stripes.T[2:4])


def test_of_a_strip_the_middle_alone_is_resized(monkeypatch):
    rows = np.random.default_rng(0).integers(0, 256, (2, 141, 3), np.uint8)
    resize, sizes = Image.Image.resize, []
    for pixels, expected in ((rows, (564, 8)), (rows.transpose(1, 0, 2), (8, 564))):
        whole = Image.fromarray(np.ascontiguousarray(pixels))
        resized = resize(whole, expected, resizing.FILTER)
        left, top = (round((each - 8) / 2) for each in expected)
        with monkeypatch.context() as patched:
            patched.setattr(
                Image.Image, "resize", lambda *given: sizes.append(given[1]) or resize(*given)
            )
            found = resizing.fit(whole, 8)
            resizing.fit(whole.crop((0, 0, min(64, whole.width), min(64, whole.height))), 8)
        np.testing.assert_array_equal(found, resized.crop((left, top, left + 8, top + 8)))
    # 64 pixels of 2 are no strip yet, and resized whole.
    assert sizes == [(44, 8), (256, 8), (8, 44), (8, 256)]


def test_a_size_beyond_the_memory_is_refused_before_an_image_is_resized(tmp_path, monkeypatch):
    photos(tmp_path, 2)
    monkeypatch.setattr("jaxnas.data.loading.refuse_no_grain", lambda: None)
    for how in ({}, {"on_host": True}):
        with pytest.raises(DataError, match=r"100000x100000 pixels need .* GiB are free"):
            load(tmp_path, image_size=100_000, test_share=0.5, **how)


def test_imagenets_protocol_cuts_224_of_256():
    image = picture(0, 300).resize((400, 300))
    found = resizing.fit(image, 224, 0.875)
    whole = image.resize((256 * 400 // 300, 256), Image.Resampling.BICUBIC)
    left = round((whole.width - 224) / 2)
    np.testing.assert_array_equal(found, whole.crop((left, 16, left + 224, 240)))


@pytest.mark.parametrize("share", [0.08, 0.3, 0.875, 1.0])
def test_a_usual_share_is_the_middle_of_the_resized_image(share: float):
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (31, 46, 3), np.uint8))
    shorter = round(16 / share)
    resized = image.resize((shorter * 46 // 31, shorter), Image.Resampling.BICUBIC)
    left, top = round((resized.width - 16) / 2), round((shorter - 16) / 2)
    expected = resized.crop((left, top, left + 16, top + 16))
    np.testing.assert_array_equal(resizing.fit(image, 16, share), expected)


def test_a_tiny_share_is_a_pixel_and_makes_no_large_image():
    pixels = np.full((31, 33, 3), 200, np.uint8)
    pixels[15, 16] = 100
    image = Image.fromarray(pixels)
    for share in (1e-9, 1e-300, 1 / 31):
        found = np.asarray(resizing.fit(image, 16, share))
        assert found.shape == (16, 16, 3)
        assert found[7:9, 7:9].max() < 105  # the middle of the one pixel
        assert found.min() >= 100
    # Just below and above the share from which on the whole image is resized.
    waves = np.sin(np.arange(400) / 9)[:, None] * np.cos(np.arange(400) / 9)
    image = Image.fromarray((127 + 127 * waves).astype(np.uint8))
    below, above = (np.asarray(resizing.fit(image, 8, share), int) for share in (0.08 - 1e-9, 0.08))
    assert abs(below - above).max() <= 2


def test_a_folder_of_many_sizes(tmp_path: Path):
    photos(tmp_path / "train")
    photos(tmp_path / "test", 2)
    with pytest.raises(DataError, match=r"is 13x19 pixels but .* is 12x20: .*image_size=N"):
        load(tmp_path)
    dataset = load(tmp_path, image_size=16, crop_share=0.5)
    assert dataset.input_shape == (16, 16, 3)
    assert dataset.augmentation == Augmentation(pad=2)
    first = resizing.fit(Image.open(tmp_path / "train/cat/0.png"), 16, 0.5)
    np.testing.assert_array_equal(dataset.train_images[0], first)


def test_a_turned_photograph_is_turned_before_it_is_cut(tmp_path: Path):
    photos(tmp_path / "train", 1)
    photos(tmp_path / "test", 1)
    image = Image.new("RGB", (30, 10), "red")
    image.paste("blue", (0, 0, 10, 10))  # its left end, and when turned its top
    exif = image.getexif()
    exif[274] = 6
    image.save(tmp_path / "train/cat/0.png", exif=exif)
    middle = load(tmp_path, image_size=10).train_images[0]
    assert (middle == (255, 0, 0)).all()


def test_arrays_are_resized_and_get_colours(tmp_path: Path):
    digits = load("digits", image_size=12, rgb=True)
    assert digits.input_shape == (12, 12, 3)
    assert digits.augmentation == Augmentation(pad=2, flip=False)
    plain = load("digits")
    first = Image.fromarray(plain.train_images[0, ..., 0]).resize((12, 12), resizing.FILTER)
    np.testing.assert_array_equal(digits.train_images[0], np.stack([np.asarray(first)] * 3, 2))
    assert load("digits", image_size=8).fingerprint == plain.fingerprint


def test_grey_files_get_colours(tmp_path: Path):
    for name in ("train/a", "train/b", "test/a"):
        save(tmp_path / name / "x.png", picture(0, mode="L"))
    images = load(tmp_path, rgb=True).train_images
    assert images.shape == (2, 8, 8, 3)
    assert (images[..., :1] == images).all()


@pytest.mark.parametrize("below", ["", "train"])
def test_a_drawn_test_part_has_its_share_of_each_class(tmp_path: Path, below: str):
    photos(tmp_path / below, 10)
    for number in range(10, 25):
        save(tmp_path / below / "dog" / f"{number}.png", picture(number, 16))
    how = {"image_size": 8, "test_share": 0.2}
    dataset, again = load(tmp_path, **how), load(tmp_path, **how)
    assert np.bincount(dataset.test_labels).tolist() == [2, 5]
    assert np.bincount(dataset.train_labels).tolist() == [8, 20]
    both = {image.tobytes() for image in dataset.train_images}
    assert len(both | {image.tobytes() for image in dataset.test_images}) == 35
    assert dataset.fingerprint == again.fingerprint
    assert load(tmp_path, **how, test_seed=1).fingerprint != dataset.fingerprint


def test_an_image_at_least_and_all_but_one_at_most_are_drawn(tmp_path: Path):
    photos(tmp_path, 2)
    for share in (0.01, 0.99):
        dataset = load(tmp_path, image_size=8, test_share=share)
        assert sorted(dataset.test_labels) == sorted(dataset.train_labels) == [0, 1]


def test_the_test_part_of_an_npz_is_drawn(tmp_path: Path):
    x, y = np.arange(40, dtype=np.uint8).reshape(10, 2, 2), np.arange(10) // 5
    np.savez(tmp_path / "x.npz", x=x, y=y)
    dataset = load(tmp_path / "x.npz", test_share=0.4)
    assert np.bincount(dataset.test_labels).tolist() == [2, 2]
    for images, labels in (
        (dataset.train_images, dataset.train_labels),
        (dataset.test_images, dataset.test_labels),
    ):
        np.testing.assert_array_equal(images[:, 0, 0, 0] // 20, labels)


def test_one_image_of_a_class_is_not_divided(tmp_path: Path):
    photos(tmp_path)
    save(tmp_path / "owl/0.png", picture(0))
    with pytest.raises(DataError, match="class 'owl' has 1 image: test_share= takes one of at"):
        load(tmp_path, image_size=8, test_share=0.2)


@pytest.mark.parametrize("name", ["digits", "folder", "x.npz"])
def test_data_with_a_test_part_have_none_drawn(tmp_path: Path, monkeypatch, name: str):
    monkeypatch.chdir(tmp_path)
    photos(tmp_path / "folder/train")
    photos(tmp_path / "folder/test")
    images, labels = np.zeros((4, 2, 2), np.uint8), np.array([0, 1, 0, 1])
    np.savez("x.npz", x_train=images, y_train=labels, x_test=images, y_test=labels)
    with pytest.raises(DataError, match=r"has a test part of its own: leave out test_share="):
        load(name, test_share=0.2)


@pytest.mark.parametrize("below", ["", "train"])
def test_a_folder_without_a_test_part_is_told_of_the_share(tmp_path: Path, below: str):
    photos(tmp_path / below)
    with pytest.raises(DataError, match=r"has no train folder .* or say test_share="):
        load(tmp_path)


def test_broken_files_stop_the_command_or_are_left_out_and_named(tmp_path: Path):
    photos(tmp_path)
    whole = load(tmp_path, image_size=8, test_share=0.2)
    (tmp_path / "cat/empty.png").write_bytes(b"")
    cut = tmp_path / "dog/cut.png"
    cut.write_bytes((tmp_path / "dog/0.png").read_bytes()[:-60])
    with pytest.raises(DataError, match=r"(empty|cut)\.png cannot be read as an image"):
        load(tmp_path, image_size=8, test_share=0.2)
    dataset = load(tmp_path, image_size=8, test_share=0.2, skip_broken=True)
    assert dataset.fingerprint == whole.fingerprint
    (note,) = dataset.notes
    assert note.startswith(
        f"2 broken files left out: {tmp_path}/cat/empty.png (it is empty), {cut} ("
    )
    assert note in dataset.described


def test_a_class_of_broken_files_alone_is_told(tmp_path: Path):
    photos(tmp_path)
    (tmp_path / "owl").mkdir()
    (tmp_path / "owl/0.png").write_bytes(b"x")
    with pytest.raises(DataError, match="'owl' has no training image that can be read"):
        load(tmp_path, image_size=8, test_share=0.2, skip_broken=True)


def test_pictures_without_class_folders_are_told_to_get_some(tmp_path: Path):
    photos(tmp_path)
    with pytest.raises(DataError, match=r"/cat has no class folders: put one sub-folder per class"):
        load(tmp_path / "cat", test_share=0.2)


def test_a_class_without_test_images_is_told(tmp_path: Path):
    for name in ("train/a", "train/b", "test/a"):
        save(tmp_path / name / "x.png", picture(0))
    assert load(tmp_path).notes == ("Class 'b' has no test images, so that no score tells of it.",)


def test_what_windows_and_macs_leave_behind(tmp_path: Path):
    photos(tmp_path)
    for name in ("cat/.DS_Store", ".DS_Store", "cat/Thumbs.db", "cat/._0.png"):
        (tmp_path / name).write_bytes(b"x")
    dataset = load(tmp_path, image_size=8, test_share=0.2)
    assert set(dataset.notes) == {
        f"1 file left out (.db is not read), such as {tmp_path}/cat/Thumbs.db.",
        f"1 file left out (hidden), such as {tmp_path}/cat/._0.png.",
    }


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"image_size": 0}, "image_size= must be a whole number of pixels above 0, not 0"),
        ({"image_size": 8.5}, "image_size= must be a whole number of pixels above 0, not 8.5"),
        ({"crop_share": 0.875}, "crop_share= is a share of image_size="),
        ({"image_size": 8, "crop_share": 1.5}, "crop_share= must be above 0 and at most 1"),
        ({"test_share": 1}, "test_share= must be between 0 and 1, not 1"),
        ({"test_seed": -1}, "test_seed= must be a whole number from 0"),
    ],
)
def test_readings_that_cannot_be(how: dict, message: str):
    with pytest.raises(DataError, match=message):
        load("digits", **how)


def test_weights_bring_their_own_normalisation():
    plain, given = load("digits", rgb=True), load("digits", rgb=True, normalisation=IMAGENET)
    np.testing.assert_array_equal(given.channel_mean(), np.float32([0.485, 0.456, 0.406]))
    np.testing.assert_array_equal(given.channel_std(), np.float32([0.229, 0.224, 0.225]))
    assert given.channel_std().dtype == np.float32
    assert not np.allclose(plain.channel_mean(), given.channel_mean())
    assert dataclasses.replace(given, normalisation=None).channel_mean() == pytest.approx(
        plain.channel_mean()
    )
    with pytest.raises(DataError, match="have 1 channel and its normalisation 3 means and 3"):
        load("digits", normalisation=IMAGENET)
    with pytest.raises(DataError, match="have 3 channels and its normalisation 3 means and 1 dev"):
        load("digits", rgb=True, normalisation=Normalisation((0.5, 0.5, 0.5), (0.5,)))
    with pytest.raises(DataError, match=r"normalisation cannot be: std \[58.4\] is not within"):
        load("digits", normalisation=Normalisation((0.5,), (58.4,)))


def test_flags_read_as_the_function_does(tmp_path: Path, capsys):
    photos(tmp_path)
    flags = DataFlags(str(tmp_path), image_size=8, test_share=0.2, flip=False, train_limit=4)
    dataset = load_data(flags)
    assert dataset.augmentation == Augmentation(pad=1, flip=False)
    assert len(dataset.train_images) == 4
    assert "of 8x8 pixels" in capsys.readouterr().out

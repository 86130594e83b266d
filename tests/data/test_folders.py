from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from jaxnas.data import Augmentation, DataError, load
from support.picture_files import picture, save, tiny_imagenet


def class_folders(root: Path, *, test: str = "test", mode: str = "RGB") -> dict[str, np.ndarray]:
    counts = {"train/zebra": 2, "train/ant": 3, f"{test}/zebra": 1, f"{test}/ant": 1}
    return {
        f"{folder}/{i}": save(root / folder / f"{i}.png", picture(10 * seed + i, mode=mode))
        for seed, (folder, count) in enumerate(counts.items())
        for i in range(count)
    }


@pytest.mark.parametrize("test", ["test", "val"])
def test_class_folders(tmp_path: Path, test: str):
    written = class_folders(tmp_path / "animals", test=test)
    dataset = load(tmp_path / "animals")
    assert dataset.name == "animals"
    assert dataset.class_names == ("ant", "zebra")
    assert dataset.augmentation == Augmentation(pad=1, flip=True)
    assert dataset.train_labels.tolist() == [0, 1, 0, 1, 0], "classes alternate"
    order = ["ant/0", "zebra/0", "ant/1", "zebra/1", "ant/2"]
    expected = np.stack([written[f"train/{name}"] for name in order])
    np.testing.assert_array_equal(dataset.train_images, expected)
    np.testing.assert_array_equal(dataset.test_images[1], written[f"{test}/zebra/0"])


def test_grey_folders_have_one_channel_until_a_colour_image_comes(tmp_path: Path):
    class_folders(tmp_path, mode="L")
    assert load(tmp_path).input_shape == (8, 8, 1)
    save(tmp_path / "train/ant/colour.png", picture(0))
    dataset = load(str(tmp_path))
    assert dataset.input_shape == (8, 8, 3)
    assert (dataset.test_images[..., :1] == dataset.test_images).all()


@pytest.mark.parametrize("suffix", ["png", "jpg", "JPEG", "webp", "bmp"])
def test_image_formats(tmp_path: Path, suffix: str):
    written = [
        save(tmp_path / part / name / f"x.{suffix}", picture(i))
        for i, (part, name) in enumerate([("train", "a"), ("train", "b"), ("test", "a")])
    ]
    dataset = load(tmp_path)
    np.testing.assert_array_equal(dataset.train_images, np.stack(written[:2]))
    assert dataset.test_labels.tolist() == [0], "a class may be absent from the test part"


def test_palettes_and_transparency_become_rgb(tmp_path: Path):
    class_folders(tmp_path)
    palette = picture(3).quantize(4)
    palette.save(tmp_path / "train/ant/palette.png", transparency=b"\x00\x80\xff\xff")
    save(tmp_path / "train/ant/rgba.png", picture(4, mode="RGBA"))
    dataset = load(tmp_path)
    assert dataset.train_images.shape == (7, 8, 8, 3)
    np.testing.assert_array_equal(dataset.train_images[5], np.asarray(palette.convert("RGB")))


def test_other_files_are_passed_over(tmp_path: Path):
    class_folders(tmp_path)
    (tmp_path / "train/ant/notes.txt").write_text("x")
    (tmp_path / "train/ant/.hidden.png").write_text("x")
    (tmp_path / "train/.cache").mkdir()
    assert len(load(tmp_path).train_images) == 5


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda r: save(r / "train/ant/9.png", picture(0, 9)), "9.png is 9x9 pixels but .* is 8x8"),
        (lambda r: (r / "train/ant/x.png").write_bytes(b"x"), r"x\.png cannot be read as an image"),
        (lambda r: (r / "test").rename(r / "else"), "has no train folder with a test or val"),
        (lambda r: (r / "test/ant").rename(r / "test/bee"), "has a class 'bee' that .* lacks"),
        (lambda r: (r / "train/bee").mkdir(), "bee holds no PNG, JPEG, WebP or BMP image"),
        (
            lambda r: Image.new("I;16", (8, 8)).save(r / "train/ant/deep.png"),
            r"deep\.png has pixels of mode I;16: save it with 8 bits",
        ),
    ],
)
def test_a_folder_that_cannot_be_used(tmp_path: Path, change, message: str):
    class_folders(tmp_path)
    change(tmp_path)
    with pytest.raises(DataError, match=message):
        load(tmp_path)


def test_a_cut_image_is_named(tmp_path: Path):
    class_folders(tmp_path)
    path = tmp_path / "train/ant/0.png"
    path.write_bytes(path.read_bytes()[:-60])
    with pytest.raises(DataError, match=r"0\.png cannot be read as an image: replace or remove"):
        load(tmp_path)


@pytest.mark.parametrize("direct", [False, True])
def test_tiny_imagenet(tmp_path: Path, direct: bool):
    root = tmp_path / "tiny-imagenet-200"
    written = tiny_imagenet(root)
    dataset = load("tiny_imagenet", root if direct else tmp_path)
    assert dataset.input_shape == (64, 64, 3)
    assert dataset.class_names == ("tench, Tinca tinca", "goldfish")
    assert dataset.train_labels.tolist() == [0, 1, 0, 1, 0, 1]
    assert dataset.test_labels.tolist() == [1, 0]
    assert dataset.augmentation == Augmentation(pad=8, flip=True)
    np.testing.assert_array_equal(dataset.train_images[1], written["train/n02/images/n02_0.JPEG"])
    grey = written["train/n01/images/n01_1.JPEG"]
    np.testing.assert_array_equal(dataset.train_images[2], np.stack([grey] * 3, axis=-1))
    np.testing.assert_array_equal(dataset.test_images[0], written["val_0"])


def test_tiny_imagenet_not_found(tmp_path: Path):
    with pytest.raises(DataError, match=r"was not found in .*tiny-imagenet-200\.zip.*--data-dir"):
        load("tiny_imagenet", tmp_path, download=True)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("val_2.JPEG\tn03\t0\n", "gives val_2.JPEG the class 'n03', which is not in train"),
        ("val_2.JPEG\n", "gives val_2.JPEG the class ''"),
        ("val_2.JPEG\tn01\t0\n", r"val_2\.JPEG cannot be read as an image"),
    ],
)
def test_tiny_imagenet_annotations_must_fit(tmp_path: Path, line: str, message: str):
    root = tmp_path / "tiny-imagenet-200"
    tiny_imagenet(root)
    with (root / "val/val_annotations.txt").open("a") as annotations:
        annotations.write(line)
    with pytest.raises(DataError, match=message):
        load("tiny_imagenet", tmp_path)

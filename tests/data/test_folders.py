import os
import struct
import tempfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from jaxnas.data import Augmentation, DataError, load
from jaxnas.data.folders.image_files import read_head, read_pixels
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


@pytest.mark.parametrize(
    "suffix", ["png", "jpg", "JPEG", "jfif", "webp", "bmp", "tif", "TIFF", "ppm"]
)
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


@pytest.mark.parametrize("suffix", ["tif", "jpg"])
def test_inks_become_light(tmp_path: Path, suffix: str):
    """CMYK to RGB is (1 - ink)(1 - black), without a colour profile."""
    inks = np.array([[255, 0, 0, 0], [0, 0, 0, 255], [0, 0, 0, 51], [0, 128, 255, 0]], np.uint8)
    light = np.array([[0, 255, 255], [0, 0, 0], [204, 204, 204], [255, 127, 0]])
    image = Image.fromarray(np.repeat(np.tile(inks[:, None], (1, 8, 1)), 8, 0), mode="CMYK")
    image.save(tmp_path / f"x.{suffix}", quality=100)
    found = read_pixels(tmp_path / f"x.{suffix}", 3)[::8, 0].astype(int)
    assert np.abs(found - light).max() <= (2 if suffix == "jpg" else 0)


def test_other_files_are_left_out_and_told(tmp_path: Path):
    class_folders(tmp_path)
    (tmp_path / "train/ant/notes.txt").write_text("x")
    (tmp_path / "train/ant/notes\n2.txt").write_text("x")
    (tmp_path / "train/ant/.hidden.png").write_text("x")
    (tmp_path / "train/.cache").mkdir()
    (tmp_path / "train/.cache/b.jpg").write_text("x")
    (tmp_path / "train/x.heic").write_text("x")
    (tmp_path / "loose.png").write_text("x")
    (tmp_path / "extra").mkdir()
    os.mkfifo(tmp_path / "train/ant/pipe.png")
    save(tmp_path / "train/flat.png", picture(0))
    dataset = load(tmp_path)
    assert len(dataset.train_images) == 5
    assert set(dataset.notes) == {
        f"2 files left out (hidden), such as {tmp_path}/train/.cache/b.jpg.",
        f"3 files left out (in no class folder), such as {tmp_path}/train/flat.png.",
        f"1 file left out (no regular file), such as {tmp_path}/train/ant/pipe.png.",
        f"2 files left out (.txt is not read), such as {tmp_path}/train/ant/notes\\n2.txt.",
        f"{tmp_path}/extra was not read.",
    }
    assert dataset.described.splitlines() == [
        f"{tmp_path.name}: 5 training and 2 test images of 8x8 pixels in 3 channels, 2 classes "
        "(ant, zebra).",
        *dataset.notes,
    ]


def test_many_reasons_are_told_in_few_sentences(tmp_path: Path):
    class_folders(tmp_path)
    for number in range(30):
        (tmp_path / f"train/ant/x.{number}").write_text("x")
    assert len(load(tmp_path).notes) == 9
    assert load(tmp_path).notes[-1] == "22 more files left out."


def test_deeper_folders_are_read_once_and_told(tmp_path: Path):
    class_folders(tmp_path)
    save(tmp_path / "train/zebra/more/most/x.png", picture(0))
    (tmp_path / "train/zebra/more/again").symlink_to(tmp_path / "train/zebra")
    dataset = load(tmp_path)
    assert dataset.train_labels.tolist() == [0, 1, 0, 1, 0, 1]
    deeper = tmp_path / "train/zebra/more/most/x.png"
    assert dataset.notes == (f"1 file read from deeper folders, such as {deeper}.",)


def test_classes_are_in_natural_order(tmp_path: Path):
    for name in ("k10", "k2", "k1", "k01", "a"):
        for part in ("train", "test"):
            save(tmp_path / part / name / "x.png", picture(0))
    assert load(tmp_path).class_names == ("a", "k01", "k1", "k2", "k10")


def test_the_first_image_of_an_animation_is_read(tmp_path: Path):
    class_folders(tmp_path)
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    path = tmp_path / "train/ant/x.gif"
    frames[0].save(path, save_all=True, append_images=frames[1:])
    dataset = load(tmp_path)
    assert (dataset.train_images[5] == (255, 0, 0)).all()
    assert dataset.notes == ("1 of the files hold several images, of which the first was read.",)


@pytest.mark.parametrize("form", [np.uint8, np.uint16])
def test_a_grey_tiff_on_its_side_keeps_its_pixels_apart(tmp_path: Path, form):
    """Pillow 13 cuts the rows of a raw one at the wrong place where it knows the file's name."""
    stored = np.arange(24, dtype=np.uint8).reshape(4, 6) * 10
    path = tmp_path / "x.tif"
    scale = 257 if form == np.uint16 else 1
    Image.fromarray(stored.astype(form) * form(scale)).save(path, tiffinfo={274: 6})
    np.testing.assert_array_equal(read_pixels(path, 1)[..., 0], np.rot90(stored, -1))


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "tif"])
def test_images_are_turned_as_a_viewer_turns_them(tmp_path: Path, suffix: str):
    stored, shown = np.zeros((16, 8, 3), np.uint8), np.zeros((8, 16, 3), np.uint8)
    stored[:8], shown[:, 8:] = 255, 255  # its top is the right
    for part in ("train", "test"):
        for name in "ab":
            save(tmp_path / part / name / "y.png", Image.fromarray(shown))
    image = Image.fromarray(stored)
    exif = image.getexif()
    exif[274] = 6
    quality = {"quality": 100} if suffix in ("jpg", "webp") else {}
    image.save(tmp_path / f"train/a/x.{suffix}", exif=exif, **quality)
    turned = load(tmp_path).train_images[0].astype(int)
    assert np.abs(turned - shown).max() < 9


def png(bits: int, colour: int, row: bytes, chunk: tuple[bytes, bytes] | None = None) -> bytes:
    """A PNG of 8x8 pixels, of equal rows, with a chunk more."""

    def made(kind: bytes, content: bytes) -> bytes:
        check = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check)

    head = made(b"IHDR", struct.pack(">IIBBBBB", 8, 8, bits, colour, 0, 0, 0))
    pixels = made(b"IDAT", zlib.compress((b"\0" + row) * 8))
    return (
        b"\x89PNG\r\n\x1a\n" + head + (made(*chunk) if chunk else b"") + pixels + made(b"IEND", b"")
    )


def tiff(bits: int, white: int, form: int) -> bytes:
    """A grey TIFF of one pixel, 0x1234; white is 0 where white is, form 1 without a sign."""
    tags = (256, 1), (257, 1), (258, bits), (259, 1), (262, white), (273, 8), (278, 1), (279, 2)
    entries = [struct.pack("<HHIHH", tag, 3, 1, value, 0) for tag, value in (*tags, (339, form))]
    return b"".join(
        [struct.pack("<2sHIHHH", b"II", 42, 12, 0x1234, 0, len(entries)), *entries, bytes(4)]
    )


DEEP = {
    "white_is_zero.tif": tiff(16, 0, 1),
    "signed.tif": tiff(16, 1, 2),
    "twelve.tif": tiff(12, 1, 1),
    "grey_alpha.png": png(16, 4, b"\x0f\xff" * 16),
    "rgb.png": png(16, 2, b"\x0f\xff" * 24),
    "rgba.png": png(16, 6, b"\x0f\xff" * 32),
    "rgb.ppm": b"P6 8 8 4095\n" + b"\x0f\xff" * 192,
}


@pytest.mark.parametrize("name", DEEP)
def test_more_than_8_bits_are_refused_by_one_rule(tmp_path: Path, name: str):
    class_folders(tmp_path)
    (tmp_path / "train/ant" / name).write_bytes(DEEP[name])
    with pytest.raises(DataError, match=f"{name} has more than 8 bits for a colour"):
        load(tmp_path)


VALUES = np.array([0, 1, 128, 129, 257, 385, 386, 65535], np.uint16)
OF_8_BITS = [0, 0, 0, 1, 1, 1, 2, 255]  # half of 257 is no whole number, so that no value is a tie


@pytest.mark.parametrize("name", ["x.png", "x.pgm", "x.tif", "big_endian.tif", "packed.tif"])
def test_grey_of_16_bits_is_scaled_to_8_and_told(tmp_path: Path, name: str):
    class_folders(tmp_path, mode="L")
    path = tmp_path / "train/ant" / name
    big = np.tile(VALUES.astype(">u2"), (8, 1))
    written = {"x.png": png(16, 0, big[0].tobytes()), "x.pgm": b"P5 8 8 65535\n" + big.tobytes()}
    if name in written:
        path.write_bytes(written[name])
    else:
        image = Image.fromarray(big if name == "big_endian.tif" else big.astype(np.uint16))
        image.save(path, compression="tiff_lzw" if name == "packed.tif" else None)
    dataset = load(tmp_path)
    assert dataset.train_images.shape == (6, 8, 8, 1)
    np.testing.assert_array_equal(dataset.train_images[5, ..., 0], [OF_8_BITS] * 8)
    assert dataset.notes == ("1 of the files are grey of 16 bits, scaled to 8 (v / 257).",)


def test_the_same_tiff_black_at_zero_and_without_a_sign_is_read(tmp_path: Path):
    path = tmp_path / "x.tif"
    path.write_bytes(tiff(16, 1, 1))
    assert read_head(path).deep
    assert read_pixels(path, 1).tolist() == [[[18]]]  # 0x1234 / 257 = 18.13


LARGE = zlib.compress(b"a" * 2**21)


@pytest.mark.parametrize("chunk", [(b"iCCP", b"p\0\0" + LARGE), (b"zTXt", b"p\0\0" + LARGE)])
def test_a_png_with_much_beside_its_pixels(tmp_path: Path, chunk):
    class_folders(tmp_path)
    (tmp_path / "train/ant/x.png").write_bytes(png(8, 2, bytes(24), chunk))
    with pytest.raises(DataError, match=r"x\.png cannot be read as an image \(Decompressed data"):
        load(tmp_path)


def test_a_damaged_palette(tmp_path: Path):
    class_folders(tmp_path)
    path = tmp_path / "train/ant/x.bmp"
    picture(0).quantize(16).save(path)
    content = bytearray(path.read_bytes())
    content[46:50] = struct.pack("<I", 70000)
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"x\.bmp cannot be read as an image \(Unsupported BMP Pal"):
        load(tmp_path)


def test_a_changed_pixel_of_a_png_is_found(tmp_path: Path):
    """Pillow alone does not always look at the sums."""
    class_folders(tmp_path)
    content = bytearray(png(8, 2, bytes(24)))
    start = content.index(b"IEND") - 8
    content[start] ^= 1
    (tmp_path / "train/ant/x.png").write_bytes(content)
    with pytest.raises(DataError, match=r"x\.png cannot be read as an image"):
        load(tmp_path)


def test_memory_that_does_not_suffice_is_told_before_it_is_taken(tmp_path: Path, monkeypatch):
    monkeypatch.setattr("jaxnas.data.dataset.free_memory", lambda: 2**30)
    Image.new("1", (8000, 8000)).convert("P").save(tmp_path / "large.png")
    for name in ("train/a", "train/b", "test/a"):
        (tmp_path / name).mkdir(parents=True)
        for number in range(2):
            (tmp_path / name / f"{number}.png").symlink_to(tmp_path / "large.png")
    with pytest.raises(
        DataError, match=r"6 images of 8000x8000 pixels need 1.1 GiB .* and 1.0 GiB"
    ):
        load(tmp_path)


@pytest.mark.parametrize("name", ["train", "train/ant", "train/ant/0.png"])
def test_a_missing_permission_is_told(name: str):
    with tempfile.TemporaryDirectory() as made:  # pytest's own folders are private
        folder = Path(made)
        class_folders(folder)
        folder.chmod(0o755)
        (folder / name).chmod(0)
        if os.getuid() == 0:  # who may read all
            os.seteuid(65534)
        try:
            with pytest.raises(DataError, match=rf"{name} cannot be read: .*ermission"):
                load(folder)
        finally:
            if os.getuid() == 0:
                os.seteuid(0)
            (folder / name).chmod(0o755)


def flat_test_beside_val(root: Path):
    (root / "test").rename(root / "val")
    save(root / "test/0.png", picture(0))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda r: save(r / "train/ant/9.png", picture(0, 9)), "9.png is 9x9 pixels but .* is 8x8"),
        (
            lambda r: (r / "train/ant/x.png").write_bytes(b"x"),
            r"content is none of PNG, JPEG, WebP",
        ),
        (lambda r: (r / "train/ant/x.png").write_bytes(b""), r"x\.png cannot .* \(it is empty\)"),
        (lambda r: (r / "train/ant/x.png").symlink_to("/n/x"), "is a link to /n/x, where there is"),
        (lambda r: (r / "train/bee").symlink_to("/n/bee"), "bee is a link to /n/bee, where there"),
        (lambda r: (r / "train/b\udce9e").mkdir(), r"b\\udce9e has characters that no report"),
        (lambda r: flat_test_beside_val(r), "test has no class folders.* judged by .*val, move it"),
        (lambda r: tiny_imagenet(r), "is Tiny ImageNet as published.*data_dir="),
        (lambda r: (r / "test").rename(r / "else"), "has no train folder with .* but else, train:"),
        (lambda r: (r / "test/ant").rename(r / "test/bee"), "has a class 'bee' that .* lacks"),
        (lambda r: (r / "train/bee").mkdir(), "bee holds no image of PNG, JPEG"),
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
    with pytest.raises(DataError, match=r"0\.png cannot be read as an image .*: save it anew"):
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
    with pytest.raises(DataError, match=r"was not found in .*tiny-imagenet-200\.zip.*data_dir="):
        load("tiny_imagenet", tmp_path, download=True)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("val_2.JPEG\tn03\t0\n", "gives val_2.JPEG the class 'n03', which is not in train"),
        ("val_2.JPEG\n", "gives val_2.JPEG the class ''"),
        ("val_2.JPEG\tn01\t0\n", r"val_2\.JPEG does not exist: add it"),
    ],
)
def test_tiny_imagenet_annotations_must_fit(tmp_path: Path, line: str, message: str):
    root = tmp_path / "tiny-imagenet-200"
    tiny_imagenet(root)
    with (root / "val/val_annotations.txt").open("a") as annotations:
        annotations.write(line)
    with pytest.raises(DataError, match=message):
        load("tiny_imagenet", tmp_path)

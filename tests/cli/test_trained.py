"""`jaxnas evaluate` and `jaxnas predict`, on networks whose weights are made up."""

import csv
import io
import json
import os

import jax
import numpy as np
import pytest
from PIL import Image

from jaxnas import data, nn
from jaxnas.data.resizing import fit
from jaxnas.nn import save_safetensors
from jaxnas.nn.weights.safetensors_file import ImageForm, load_image_form
from jaxnas.runs.load import learned_besides
from support import tiny
from support.finished_runs import CLASS_NAMES, SHAPE, write_method


def write_folder(path, classes, count=3, side=8):
    """A data set of image files: grey noise, `count` images of each class in either part."""
    draws = np.random.default_rng(0)
    for part in ("train", "test"):
        for name in classes:
            folder = path / part / name
            folder.mkdir(parents=True)
            for index in range(count):
                pixels = draws.integers(0, 256, (side, side), np.uint8)
                Image.fromarray(pixels).save(folder / f"{index}.png")
    return path


def logits_of(variables, images):
    """Logits by the base network, of images normalised as `write_method` says."""
    inputs = data.normalise(images, np.array([0.25]), np.array([0.5]))
    return np.asarray(nn.build(tiny.BASE, 4).apply(variables, inputs, train=False))


def test_a_network_is_judged_by_the_names_of_classes(run, tmp_path):
    left = write_method(tmp_path / "run", "cell", (0,))[0]
    write_folder(tmp_path / "pets", CLASS_NAMES[1:])  # "2", the network's first, is not there
    dataset = data.load(tmp_path / "pets")
    assert dataset.class_names == ("10", "bär", "cat")
    logits = logits_of(left, dataset.test_images)
    numbers = dataset.test_labels + 1
    found = json.loads(
        run(
            "evaluate",
            tmp_path / "run",
            "--dataset",
            tmp_path / "pets",
            "--json",
            "--out",
            tmp_path,
        )
    )
    right = logits.argmax(1) == numbers
    assert found["top1_accuracy"] == pytest.approx(100 * right.mean(), abs=1e-3)
    assert found["top5_accuracy"] is None  # of four classes
    picked = np.exp(logits - np.log(np.exp(logits).sum(1, keepdims=True)))[range(9), numbers]
    assert found["loss"] == pytest.approx(-np.log(picked).mean(), rel=1e-4)
    confusion = np.zeros((4, 4), int)
    for true, taken in zip(numbers, logits.argmax(1), strict=True):
        confusion[true, taken] += 1
    assert found["confusion"] == confusion.tolist()
    names = [row["name"] for row in found["classes"]]
    assert names == list(CLASS_NAMES)
    assert found["classes"][0]["accuracy"] is None
    assert json.loads((tmp_path / "evaluation.json").read_text()) == found
    assert (tmp_path / "classes.csv").read_text().startswith("class,images,accuracy %,")
    assert "bär" in (tmp_path / "confusion.svg").read_text()
    assert (tmp_path / "confusion.png").stat().st_size > 0


def test_the_table_and_the_sentence_say_how_good_it_is(run, tmp_path):
    write_method(tmp_path / "run", "cell", (0,))
    write_folder(tmp_path / "pets", CLASS_NAMES)
    text = run("evaluate", tmp_path / "run", "--dataset", tmp_path / "pets", "--batch-size", 5)
    assert "mostly taken for" in text
    assert "on 12 test images of pets: top-1 accuracy" in text


def test_weights_alone_know_their_images_where_they_were_saved_with_them(run, refused, tmp_path):
    variables = nn.init(nn.build(tiny.BASE, 4), jax.random.key(3), SHAPE)
    folder, file = write_folder(tmp_path / "pets", CLASS_NAMES), tmp_path / "net.safetensors"
    words = ("evaluate", file, "--dataset", folder, "--json")
    form = ImageForm(SHAPE, (0.25,), (0.5,))
    save_safetensors(variables, file, tiny.BASE, CLASS_NAMES, form)
    assert load_image_form(file) == form
    known = json.loads(run(*words))
    save_safetensors(variables, file, tiny.BASE, CLASS_NAMES)
    assert load_image_form(file) is None
    assert json.loads(run(*words, "--mean", 0.25, "--std", 0.5)) == known
    assert json.loads(run(*words, "--mean", 0.1, "--std", 0.1))["loss"] != known["loss"]
    assert "does not say how images are normalised" in refused(*words)
    three, two = [0.5] * 3, [0.5] * 2
    assert "[0.5, 0.5, 0.5] is no number for each of 1 channels" in refused(
        *words, "--mean", *three, "--std", *three
    )
    assert "1 of grey or 3 of colour images, not 2" in refused(
        *words, "--mean", *two, "--std", *two
    )
    assert "give both --mean and --std" in refused(*words, "--mean", 0.5)
    assert "leave out --seed 3" in refused(*words, "--seed", 3)


def test_weights_without_names_are_judged_by_numbers(run, refused, tmp_path):
    variables = nn.init(nn.build(tiny.BASE, 4), jax.random.key(3), SHAPE)
    save_safetensors(variables, tmp_path / "a.safetensors", tiny.BASE)
    words = ("--mean", 0.25, "--std", 0.5, "--json")
    folder = write_folder(tmp_path / "pets", CLASS_NAMES)
    found = json.loads(run("evaluate", tmp_path / "a.safetensors", "--dataset", folder, *words))
    assert [row["name"] for row in found["classes"]] == list(CLASS_NAMES)
    folder = write_folder(tmp_path / "fewer", CLASS_NAMES[:3])
    assert "4 classes without names and fewer has 3" in refused(
        "evaluate", tmp_path / "a.safetensors", "--dataset", folder, *words
    )


def test_what_does_not_fit_the_network_is_told(refused, tmp_path):
    write_method(tmp_path / "run", "cell", (0,))
    large = write_folder(tmp_path / "large", CLASS_NAMES, side=9)
    other = write_folder(tmp_path / "other", ("cat", "dog"))
    assert "has a class 'dog' that the network does not know; it knows 2, 10, bär, cat" in refused(
        "evaluate", tmp_path / "run", "--dataset", other
    )
    sized = ("--dataset", large, "--image-size", 9)
    assert "takes images of 8x8 pixels in 1 channel, and those of large are 9x9 in 1" in refused(
        "evaluate", tmp_path / "run", *sized
    )
    image = large / "test" / "cat" / "0.png"
    assert "there is no image to predict" in refused("predict", tmp_path / "run")
    (tmp_path / "empty").mkdir()
    assert "empty holds no image" in refused("predict", tmp_path / "run", tmp_path / "empty")
    (tmp_path / "no.png").write_bytes(b"no")
    told = refused("predict", tmp_path / "run", image, tmp_path / "no.png")
    assert "no.png cannot be read as an image" in told
    assert told.endswith("replace it, remove it, or leave out all such files by --skip-broken.")
    (tmp_path / "empty" / "a.png").symlink_to(tmp_path / "nowhere")
    assert "a link to" in refused("predict", tmp_path / "run", tmp_path / "empty")
    os.mkfifo(tmp_path / "pipe.png")
    assert "pipe.png cannot be read: it is a named pipe, not a file." in refused(
        "predict", tmp_path / "run", tmp_path / "pipe.png"
    )
    assert "must be a .csv or a .json" in refused(
        "predict", tmp_path / "run", image, "--out", tmp_path / "a.txt"
    )


def test_images_of_another_size_are_fitted_as_data_are(run, tmp_path):
    write_method(tmp_path / "run", "cell", (0,))
    large = write_folder(tmp_path / "large", CLASS_NAMES, side=11)
    file = large / "test" / "cat" / "0.png"
    fitted = tmp_path / "fitted.png"
    with Image.open(file) as image:
        fit(image, 8).save(fitted)
    rows = list(csv.DictReader(io.StringIO(run("predict", tmp_path / "run", file, fitted))))
    first, second = rows[: len(rows) // 2], rows[len(rows) // 2 :]
    assert [{**row, "image": ""} for row in first] == [{**row, "image": ""} for row in second]
    judged = json.loads(run("evaluate", tmp_path / "run", "--dataset", large, "--json"))
    assert judged["images"] == 12


def test_the_test_part_is_the_one_that_the_run_drew(run, tmp_path):
    write_method(tmp_path / "run", "cell", (0,))
    folder = write_folder(tmp_path / "pets", CLASS_NAMES, count=8) / "train"
    words = ("evaluate", tmp_path / "run", "--dataset", folder, "--json")
    drawn = {"dataset": str(folder), "test_share": 0.25, "test_seed": 3}
    (tmp_path / "run" / "config.json").write_text(json.dumps({"data": drawn}))
    found = json.loads(run(*words))
    assert found["images"] == 8
    assert found == json.loads(run(*words, "--test-share", 0.25, "--test-seed", 3))
    assert json.loads(run(*words, "--test-share", 0.5))["images"] == 16


def test_images_are_cropped_as_the_run_s_were(run, refused, tmp_path):
    write_method(tmp_path / "run", "cell", (0,))
    folder = write_folder(tmp_path / "pets", CLASS_NAMES, side=11)
    file = folder / "test" / "cat" / "0.png"
    with Image.open(file) as image:
        fit(image, 8, 0.5).save(tmp_path / "cropped.png")

    def shares(source):
        rows = csv.DictReader(io.StringIO(run("predict", tmp_path / "run", source)))
        return {row["class"]: row["probability"] for row in rows}

    def judged(*flags):
        words = ("evaluate", tmp_path / "run", "--dataset", folder, "--json", *flags)
        return json.loads(run(*words))["loss"]

    middle, whole = shares(tmp_path / "cropped.png"), shares(file)
    by_hand = judged("--image-size", 8, "--crop-share", 0.5)
    assert whole != middle
    assert judged() != by_hand
    (tmp_path / "run" / "config.json").write_text(json.dumps({"data": {"crop_share": 0.5}}))
    assert shares(tmp_path / "cropped.png") != middle
    assert shares(file) == middle
    assert judged() == by_hand


def test_images_are_named_in_the_order_of_their_probabilities(run, tmp_path):
    left = write_method(tmp_path / "run", "cell", (0,))[0]
    folder = write_folder(tmp_path / "pets", CLASS_NAMES) / "test" / "bär"
    (folder / ".hidden.png").write_bytes(b"no")
    file = tmp_path / "pets" / "train" / "2" / "0.png"
    words = ("predict", tmp_path / "run", folder, file, "--batch-size", 3)
    rows = list(csv.DictReader(io.StringIO(run(*words))))
    paths = [*(folder / f"{index}.png" for index in range(3)), file]
    pixels = np.stack([np.asarray(Image.open(path))[..., None] for path in paths])
    shares = np.asarray(jax.nn.softmax(logits_of(left, pixels)))
    assert [row["image"] for row in rows] == [str(path) for path in paths for _ in range(4)]
    for at, share in enumerate(shares):
        own, order = rows[4 * at : 4 * at + 4], np.argsort(-share)
        assert [row["rank"] for row in own] == ["1", "2", "3", "4"]
        assert [row["class"] for row in own] == [CLASS_NAMES[index] for index in order]
        found = [float(row["probability"]) for row in own]
        np.testing.assert_allclose(found, share[order], atol=2e-6)
    told = json.loads(run(*words, "--json", "--top", 1))
    assert [each["image"] for each in told] == [str(path) for path in paths]
    assert [each["classes"][0]["class"] for each in told] == [
        CLASS_NAMES[index] for index in shares.argmax(1)
    ]
    (folder / "cut.png").write_bytes((folder / "0.png").read_bytes()[:60])
    assert json.loads(run(*words, "--json", "--top", 1, "--skip-broken")) == told
    (folder / "cut.png").unlink()
    run(*words, "--top", 1, "--out", tmp_path / "a.json")
    assert json.loads((tmp_path / "a.json").read_text()) == told
    run(*words, "--out", tmp_path / "a.csv")
    assert list(csv.DictReader(io.StringIO((tmp_path / "a.csv").read_text()))) == rows


@pytest.mark.parametrize("command", ["evaluate", "predict"])
def test_outputs_that_are_no_numbers_are_refused(refused, tmp_path, command):
    variables = nn.init(nn.build(tiny.BASE, 4), jax.random.key(3), SHAPE)
    variables["params"]["classifier"]["kernel"] = np.full((8, 4), 3e38, np.float32)
    save_safetensors(variables, tmp_path / "net.safetensors", tiny.BASE)
    write_folder(tmp_path / "pets", CLASS_NAMES)
    asked = ["--dataset"] if command == "evaluate" else []
    words = [command, tmp_path / "net.safetensors", *asked, tmp_path / "pets"]
    assert "std [1e-38] is not within 1e-09..1" in refused(*words, "--mean", 0, "--std", 1e-38)
    words += ["--mean", 0, "--std", 1e-9]
    assert refused(*words).startswith("the network's outputs are not finite: its weights, or the m")


def test_a_test_part_that_the_run_did_not_draw_is_told(tmp_path):
    photos = str(tmp_path / "photos")
    drawn = {"dataset": photos, "test_share": 0.2, "test_seed": 0}
    run = tmp_path / "run"
    (run / "original_seed0").mkdir(parents=True)
    (run / "config.json").write_text(json.dumps({"data": drawn}))
    for source in (run, run / "original_seed0"):
        assert learned_besides(source, photos, 0.2, 0) is None
        assert learned_besides(source, str(tmp_path / "others"), 0.25, 0) is None
        for other in ((0.25, 0), (0.2, 1), (None, 0)):
            told = learned_besides(source, photos, *other)
            assert told is not None
            assert told.endswith("by --test-share 0.2 --test-seed 0; say the same.")
    assert learned_besides(tmp_path / "net.safetensors", photos, 0.25, 0) is None

"""ImageNet's folders, and the protocol by which networks are tested on them."""

import json
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from jaxnas import nn
from jaxnas.data import DataError, Reading, load
from jaxnas.data.folders import imagenet_validation
from jaxnas.nn import save_safetensors
from jaxnas.nn.weights.safetensors_file import image_form
from support import scripts, tiny
from support.picture_files import picture, save

IDS = ("n01440764", "n02102040")


@pytest.fixture
def imagenet(tmp_path: Path) -> Path:
    for label, wnid in enumerate(IDS):
        for number in range(3):
            image = picture(10 * label + number, 40).resize((40 + number, 50))
            save(tmp_path / "imagenet/train" / wnid / f"{number}.JPEG", image)
            save(tmp_path / "imagenet/val" / wnid / f"{number}.JPEG", image)
    return tmp_path


@pytest.mark.parametrize("below", ["", "imagenet"])
def test_the_folders_of_wordnet_ids_are_read(imagenet: Path, below: str):
    dataset = load("imagenet", imagenet / below, image_size=16, crop_share=0.5)
    assert dataset.class_names == IDS
    assert dataset.train_labels.tolist() == dataset.test_labels.tolist() == [0, 1] * 3
    images, labels = imagenet_validation(imagenet / below, Reading(image_size=16, crop_share=0.5))
    assert labels.tolist() == [0, 0, 0, 1, 1, 1]
    np.testing.assert_array_equal(np.asarray(images)[[0, 3]], dataset.test_images[:2])


def test_what_is_no_imagenet(imagenet: Path):
    with pytest.raises(DataError, match=r"imagenet was not found in .*data_dir="):
        load("imagenet", imagenet / "imagenet/train")
    with pytest.raises(DataError, match="give --image-size"):
        imagenet_validation(imagenet, Reading())
    for part in ("train", "val"):
        save(imagenet / "imagenet" / part / "cats" / "x.JPEG", picture(0, 40))
    with pytest.raises(DataError, match="val holds 'cats', where ImageNet has a folder for each W"):
        load("imagenet", imagenet, image_size=16)


def test_the_script_counts_the_first_and_the_first_five(imagenet: Path, monkeypatch, capsys):
    pytest.importorskip("grain")
    network = nn.build(tiny.BASE, 2)
    variables = nn.init(network, jax.random.key(0), (16, 16, 3))
    save_safetensors(variables, imagenet / "w.safetensors", tiny.BASE, IDS)
    flags = ["--weights", imagenet / "w.safetensors", "--data-dir", imagenet, "--out"]
    flags += [imagenet / "found.json", "--image-size", "16", "--batch-size", "4"]
    scripts.run(monkeypatch, "imagenet_eval", *flags)
    found = json.loads((imagenet / "found.json").read_text())
    right = 0
    for label, wnid in enumerate(IDS):
        for path in sorted((imagenet / "imagenet/val" / wnid).iterdir()):
            image = Image.open(path)
            scaled = image.resize((18, 18 * image.height // image.width), 3)
            top = round((scaled.height - 16) / 2)
            pixels = np.asarray(scaled.crop((1, top, 17, top + 16)), np.float32)
            inputs = (pixels / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
            logits = network.apply(variables, jnp.asarray(inputs[None], jnp.float32), train=False)
            right += int(logits[0].argmax() == label)
    assert found == {"top_1": pytest.approx(right / 6), "top_5": 1.0, "images": 6}
    assert "top-5 100.00%" in capsys.readouterr().out


def test_the_script_leaves_no_broken_image_out_and_names_no_flag_for_it(imagenet, monkeypatch):
    pytest.importorskip("grain")
    save_safetensors(
        nn.init(nn.build(tiny.BASE, 2), jax.random.key(0), (16, 16, 3)),
        imagenet / "w.safetensors",
        tiny.BASE,
    )
    path = imagenet / "imagenet/val" / IDS[1] / "1.JPEG"
    path.write_bytes(path.read_bytes()[:300])
    flags = ["--weights", imagenet / "w.safetensors", "--data-dir", imagenet, "--image-size", "16"]
    with pytest.raises(SystemExit) as caught:
        scripts.run(monkeypatch, "imagenet_eval", *flags)
    told = str(caught.value)
    assert told.startswith(f"error: {path} cannot be read as an image (")
    assert told.endswith("put back the data set's own file; the protocol leaves none out.")


def test_a_file_that_knows_its_images_is_judged_by_them(tmp_path, monkeypatch):
    variables = nn.init(nn.build(tiny.BASE, 2), jax.random.key(0), (16, 16, 3))
    form = image_form((16, 16, 3), [0.1, 0.2, 0.3], [0.4, 0.5, 0.6])
    save_safetensors(variables, tmp_path / "w.safetensors", tiny.BASE, IDS, form)
    found = scripts_defined(monkeypatch)["_network"](tmp_path / "w.safetensors", None, (16, 16, 3))
    assert (found.mean, found.std) == (form.mean, form.std)


def test_the_label_may_be_among_the_first_five(monkeypatch):
    defined = scripts_defined(monkeypatch)
    logits = jnp.array([[9.0, 8, 7, 6, 5, 4, 3]] * 4).at[3].set(jnp.nan)
    found = jax.jit(defined["top_scores"])(logits, jnp.array([0, 4, 5, 0]))
    assert found["top_1"].tolist() == [1, 0, 0, 0]
    assert found["top_5"].tolist() == [1, 1, 0, 0]
    assert found["finite"].tolist() == [1, 1, 1, 0]


def scripts_defined(monkeypatch):
    """What the script defines, without running it."""
    import runpy

    monkeypatch.setattr(sys, "argv", ["imagenet_eval.py"])
    return runpy.run_path(str(scripts.EXPERIMENTS / "imagenet_eval.py"), run_name="imported")

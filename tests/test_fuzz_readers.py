"""Damaged files: each reader reads what is whole, or says in a sentence that it is not."""

import io
import os
import pickle
import random
import shutil
import signal

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from jaxnas.data import load
from jaxnas.data.folders.image_files import read_head, read_pixels
from jaxnas.data.pickles import read_batch
from jaxnas.errors import UserError
from jaxnas.nn.weights.export import load_exported
from jaxnas.nn.weights.from_keras import import_keras
from jaxnas.nn.weights.safetensors_file import read_safetensors
from jaxnas.reports import read_results
from jaxnas.runs.genotype_files import load_genotype, read_genotype
from jaxnas.spaces import Genotype, zoo
from jaxnas.spaces.zoo.darts_text import read_cells, write_cells
from jaxnas.storage import Checkpoints, RunDirectory, RunError, files
from jaxnas.storage.digest import digest
from jaxnas.storage.metrics import Metrics
from jaxnas.tabular import load_hw_nas_bench, load_nasbench101
from jaxnas.tabular.csv_file import read_csv
from jaxnas.tabular.pickled import read_pickle
from support import nasbench101_file
from support.official_table import HEADER, accuracy, arch, candidates, index

h5py = pytest.importorskip("h5py")

CASES = 10_000
SIDE = 12
IMAGES = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF", "PPM")
CHECKED = ("PNG", "npz", "tfrecord")
"""Formats with sums, by which a changed value is found."""


def image_file(form):
    noise = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
    content = io.BytesIO()
    image = Image.fromarray(noise)
    image = image.quantize(16) if form in ("BMP", "GIF") else image
    image.save(content, form, **({"compression": "tiff_lzw"} if form == "TIFF" else {}))
    return content.getvalue()


def npz_file():
    content = io.BytesIO()
    images = np.random.default_rng(0).integers(0, 256, (6, 8, 8), dtype=np.uint8)
    labels = np.arange(6) % 2
    np.savez_compressed(content, x_train=images, y_train=labels, x_test=images, y_test=labels)
    return content.getvalue()


def h5_file():
    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        file.create_dataset("conv2d/kernel", data=np.ones((3, 3, 3, 8), np.float32))
    return content.getvalue()


def safetensors_file():
    from safetensors.numpy import save

    return save({"a": np.ones((3, 2), np.float32), "b": np.ones(4, np.float32)}, {"genotype": "x"})


def tfrecord_file():
    """NAS-Bench-101's, of one module that was trained three times."""
    evaluation = nasbench101_file.evaluation(108, 9.5, 1, 0.5, 0.25)
    metrics = nasbench101_file.metrics(300, [evaluation] * 3)
    record = nasbench101_file.record("a", 108, ((0, 1), (0, 0)), ("input", "output"), metrics)
    return nasbench101_file.tfrecord([record] * 3)


def read_image(path):
    head = read_head(path)
    pixels = read_pixels(path, 1 if head.grey else 3)
    assert pixels.dtype == np.uint8
    assert sorted(pixels.shape[:2]) == sorted(head[:2])
    return pixels


def read_npz(path):
    dataset = load(path)
    return np.concatenate([dataset.train_images.ravel(), dataset.test_labels])


def read_json(path):
    genotype = read_genotype(path, "it")
    assert Genotype.from_json(genotype.to_json()) == genotype


def read_text(path):
    cells = read_cells(files.read_text(path))
    assert read_cells(write_cells(*cells)) == cells


DARTS = zoo.named("darts_v2")
READERS = {
    **{form: (image_file(form), read_image) for form in IMAGES},
    "npz": (npz_file(), read_npz),
    "genotype": (zoo.named("plain20").to_json().encode(), read_json),
    "darts": (
        write_cells(*(DARTS.cell(each) for each in ("normal", "reduction"))).encode(),
        read_text,
    ),
    "batch": (
        pickle.dumps({"data": np.ones((2, 12), np.uint8), "labels": [0, 1]}, protocol=2),
        lambda path: read_batch(path.read_bytes(), "it"),
    ),
    "config": (
        b'{"seeds": [0, 1], "width": 1, "methods": ["cell"]}',
        lambda path: files.from_json(files.read_text(path), path),
    ),
    "safetensors": (safetensors_file(), read_safetensors),
    "h5": (h5_file(), import_keras),
    "tfrecord": (tfrecord_file(), lambda path: load_nasbench101(path, size=1).runs[108]),
}


def mutated(content, chance):
    """Bytes changed, cut, doubled or replaced by zeros."""
    changed = bytearray(content)
    for _ in range(chance.choice((1, 1, 2, 5))):
        at = chance.randrange(max(1, len(changed)))
        match chance.randrange(6):
            case 0:
                del changed[at:]
            case 1:
                changed[at : at + chance.randrange(9)] = b""
            case 2:
                changed[at:at] = changed[at : at + chance.randrange(1, 9)]
            case 3:
                changed[at : at + 4] = bytes(chance.choice((0, 255)) for _ in range(4))
            case _:
                changed[at : at + 1] = bytes([chance.randrange(256)])
    return bytes(changed)


def fuzz(tmp_path, form, count):
    content, read = READERS[form]
    path = tmp_path / f"x.{form}"
    path.write_bytes(content)
    try:
        whole = read(path)
    except UserError:
        assert form == "h5"  # whose layers are no network's
        whole = None
    for number in range(count):
        path.write_bytes(mutated(content, random.Random(f"{form}{number}")))
        try:
            found = read(path)
        except UserError as error:
            sentence = str(error)
        else:
            sentence = None
        assert sentence is None or sentence, number
        if sentence is None and form in CHECKED:
            np.testing.assert_array_equal(found, whole, err_msg=str(number))


@pytest.mark.quick_cases(3)
@pytest.mark.parametrize("form", READERS)
def test_a_few_damaged_files(tmp_path, form):
    fuzz(tmp_path, form, 20)


@pytest.fixture
def impatient():
    """Ends a test that waits for a pipe."""

    def end(*_):
        raise AssertionError("it waits for ever")

    signal.signal(signal.SIGALRM, end)
    signal.alarm(20)
    yield
    signal.alarm(0)


OTHERS = {
    "csv": read_csv,
    "pbz2": read_pickle,
    "pickle": load_hw_nas_bench,
    "stablehlo": load_exported,
    "keras": import_keras,
    "results.json": lambda path: read_results(path.parent),
    "config.json": lambda path: RunDirectory(path.parent, {}, resume=True).check(),
    "metrics.jsonl": lambda path: Metrics(path.parent),
    "txt": lambda path: load_genotype(str(path)),
}


@pytest.mark.parametrize("form", [form for form in (*READERS, *OTHERS) if form != "batch"])
def test_a_pipe_is_told_and_not_waited_for(tmp_path, impatient, form):
    path = tmp_path / (form if "." in form else f"x.{form}")
    os.mkfifo(path)
    read = OTHERS.get(form) or READERS[form][1]
    with pytest.raises(UserError, match=r"named pipe|neither a file nor a folder") as caught:
        read(path)
    assert str(path) in str(caught.value) or str(caught.value).startswith("it cannot be read")


@pytest.mark.slow
@pytest.mark.parametrize("form", READERS)
def test_many_damaged_files(tmp_path, form):
    fuzz(tmp_path, form, -(-CASES // len(READERS)))


@pytest.mark.slow
def test_damaged_checkpoints_are_passed_over_or_whole(tmp_path):
    tree = {"w": jnp.arange(600, dtype=jnp.float32), "key": jax.random.key(3), "n": jnp.int32(7)}
    whole = tmp_path / "whole"
    Checkpoints(whole, lambda _: None).save(1, tree, {"phase": "a"}, 1.0)
    parts = sorted(each.relative_to(whole) for each in whole.rglob("*") if each.is_file())
    passed_over = 0
    for number in range(400):
        chance = random.Random(number)
        folder = tmp_path / "damaged"
        shutil.copytree(whole, folder)
        part = folder / chance.choice(parts)
        part.write_bytes(mutated(part.read_bytes(), chance))
        said = []
        try:
            epoch, found, meta = Checkpoints(folder, said.append).restore(lambda _: tree)
        except RunError:
            (sentence,) = said
            assert "\n" not in sentence, number
            passed_over += 1
        else:
            assert (epoch, meta, digest(found)) == (1, {"phase": "a"}, digest(tree)), number
        shutil.rmtree(folder)
    assert passed_over > 100


@pytest.mark.slow
def test_damaged_tables_are_refused_or_tables(tmp_path):
    rows = [
        ",".join([str(index(code)), arch(candidate), *(str(accuracy(code, n)) for n in range(12))])
        + ",1,2,3,,,"
        for code, candidate in enumerate(candidates())
    ]
    content = "\n".join([HEADER, *rows]).encode()
    path = tmp_path / "table.csv"
    for number in range(40):
        path.write_bytes(mutated(content, random.Random(number)))
        try:
            table = read_csv(path)
        except UserError as error:
            sentence = str(error)
        else:
            sentence = str(path)
            assert len(table.accuracy("cifar10", "test", 200)) == 15_625, number
        assert str(path) in sentence, number

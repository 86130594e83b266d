"""The smallest whole experiment: a network of two blocks, eighty images of 8x8 pixels."""

import csv
import dataclasses
import io
import json

import jax
import numpy as np

from jaxnas import data
from jaxnas.runs.adaptation_run import method_run
from jaxnas.runs.config import Training
from jaxnas.runs.flags.adaptation import AdaptationFlags
from jaxnas.spaces import Block, Cell, Edge, Genotype, Node
from jaxnas.storage import RunDirectory

NORMAL = Cell(
    name="normal",
    inputs=1,
    nodes=(Node(relu=True), Node(relu=True)),
    edges=(Edge("conv_3x3", 0, 1), Edge("skip_connect", 0, 2), Edge("conv_1x1", 1, 2)),
    output=(2,),
)
REDUCTION = Cell(
    name="reduction",
    inputs=1,
    nodes=(Node(relu=True),),
    edges=(Edge("conv_3x3", 0, 1), Edge("null", 0, 1)),
    output=(1,),
)
BASE = Genotype(
    name="tiny",
    family="residual",
    stem=4,
    cells=(NORMAL, REDUCTION),
    blocks=(Block("normal", 4), Block("reduction", 8, 2)),
)

FLAGS = {
    "epochs": 4,
    "batch_size": 16,
    "learning_rate": 0.05,
    "adapt_epochs": 2,
    "warmup_epochs": 1,
    "arch_learning_rate": 0.3,
}
"""Four epochs of five steps: one of warm-up, one in which θ moves, two of the fixed network."""


def settings(**changes):
    """`FLAGS` and changes to them, as fields of an experiment."""
    changes = FLAGS | changes
    parts = {"training": taken(Training, changes), "adaptation": taken(AdaptationFlags, changes)}
    assert not changes
    return parts


def taken(kind, changes, **fields):
    """Flags of a kind: `fields`, and those of `changes` that are its own, which it takes out."""
    names = [field.name for field in dataclasses.fields(kind) if field.name in changes]
    return kind(**(fields | {name: changes.pop(name) for name in names}))


def with_run(experiment, **changes):
    """The experiment with other flags of its run."""
    return dataclasses.replace(experiment, run=dataclasses.replace(experiment.run, **changes))


def images(count, seed):
    """uint8 [count, 8, 8, 1] and labels 0..3 of which the brightness tells something."""
    labels = np.arange(count) % 4
    noise = np.random.default_rng(seed).integers(0, 120, (count, 8, 8, 1))
    return (noise + 40 * labels[:, None, None, None]).astype(np.uint8), labels


def dataset(count=80):
    """`count` images to learn and 40 to be tested on."""
    return data.from_arrays(*images(count, 0), *images(40, 1), name="tiny")


def write(folder):
    """Writes the base and the data set into a folder, for the command line."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "base.json").write_text(BASE.to_json())
    x_train, y_train = images(80, 0)
    x_test, y_test = images(40, 1)
    np.savez(folder / "tiny.npz", x_train=x_train, y_train=y_train, x_test=x_test, y_test=y_test)
    return folder


def command(folder, **flags):
    """The command line, after the program, that runs `FLAGS` with changes in `write`'s folder."""
    flags = {"base": folder / "base.json", "dataset": folder / "tiny.npz"} | FLAGS | flags
    words = []
    for name, value in flags.items():
        words.append("--" + name.replace("_", "-"))
        if value is not True:
            words += map(str, value if isinstance(value, tuple) else (value,))
    return words


def run(method="cell", seeds=(0,), eval_every=1, supervision=None, **changes):
    """A method on the tiny data."""
    parts = settings(**changes)
    return method_run(
        method,
        BASE,
        dataset(),
        parts["training"],
        seeds,
        eval_every,
        supervision=supervision,
        adaptation=parts["adaptation"],
    )


def open_run(path):
    """The folder in which a method runs."""
    return RunDirectory(path, {}, resume=True)


def same_trees(left, right):
    """Whether two pytrees are bitwise the same."""
    if jax.tree.structure(left) != jax.tree.structure(right):
        return False
    pairs = zip(jax.tree.leaves(left), jax.tree.leaves(right), strict=True)
    return all(
        (a.dtype, a.shape, np.asarray(a).tobytes()) == (b.dtype, b.shape, np.asarray(b).tobytes())
        for a, b in pairs
    )


def left_behind(folder):
    """All that a method's folder says of the run, but for times: by file name."""
    found = {}
    for path in sorted(folder.glob("genotype*.json")):
        found[path.name] = path.read_text()
    if (folder / "outcome.json").exists():
        found["outcome.json"] = json.loads((folder / "outcome.json").read_text())
        for outcome in found["outcome.json"]:
            assert outcome["result"].pop("seconds") > 0
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    table = list(csv.DictReader(io.StringIO((folder / "metrics.csv").read_text())))
    for row in [*rows, *table]:
        assert float(row.pop("seconds")) > 0
    found |= {"metrics.jsonl": rows, "metrics.csv": table}
    for path in (folder / "checkpoints").glob("*/meta/metadata"):
        content = json.loads(path.read_text())
        assert content["meta"].pop("seconds") > 0
        del content["meta_digest"]  # of the seconds too
        found[f"checkpoint {path.parent.parent.name}"] = content
    return found

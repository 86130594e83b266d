"""A whole experiment: what it leaves behind, who may go on with it, and what it tells."""

import contextlib
import csv
import dataclasses
import importlib.metadata
import io
import json
import re
import shutil
import types
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

from jaxnas import nn
from jaxnas.commands import experiment
from jaxnas.commands.experiment import load_base, run_experiment
from jaxnas.reports import read_results
from jaxnas.runs.config import ConfigError, Experiment, RunFlags, Training
from jaxnas.runs.flags.adaptation import AdaptationFlags
from jaxnas.runs.flags.data import DataFlags
from jaxnas.runs.loop import TrainingError
from jaxnas.runs.training_run import TrainingRun
from jaxnas.spaces import Block, Genotype, GenotypeError, zoo
from jaxnas.spaces.zoo.darts_text import write_cells
from jaxnas.storage import RunDirectory, RunError
from jaxnas.storage.metrics import Metrics
from support import tiny
from support.event_files import read_scalars

METHODS = ("original", "cell", "full")


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """The folder of the base and the data set."""
    return tiny.write(tmp_path_factory.mktemp("inputs"))


def flags(inputs, run_dir, settings=None, **changes):
    """The flags of a tiny experiment."""
    parts = {
        "data": tiny.taken(DataFlags, changes, dataset=str(inputs / "tiny.npz")),
        "run": tiny.taken(RunFlags, changes, run_dir=run_dir),
        "base": str(inputs / "base.json"),
    } | (settings or tiny.settings())
    return Experiment(**parts | changes)


def told(*arguments):
    """What a run of these flags prints, every line in one piece."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out), pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", "500")
        run_experiment(*arguments, "test")
    return out.getvalue()


@pytest.fixture(scope="module")
def swept(inputs, tmp_path_factory):
    """The run directory of all methods for two seeds, and what it printed."""
    run_dir = tmp_path_factory.mktemp("swept") / "run"
    return run_dir, told(flags(inputs, run_dir, methods=METHODS, seeds=(0, 1)))


def test_results_have_a_row_for_each_method_and_seed(swept):
    rows = json.loads((swept[0] / "results.json").read_text())
    assert [(row["seed"], row["method"]) for row in rows] == [
        (seed, method) for seed in (0, 1) for method in METHODS
    ]
    digests = {(row["method"], row["seed"]): row["digest"] for row in rows}
    # The base has each of its cells once, so that cell and full are the same search.
    assert len({digests[method, seed] for method in ("original", "cell") for seed in (0, 1)}) == 4
    for row in rows:
        assert (row["base"], row["dataset"], row["epochs"], row["vmap_width"]) == (
            ("tiny", "tiny", 4, 1)
        )
        assert 0 <= row["test_accuracy"] <= 100
        # 40 test images: a multiple of 2.5 percent, told without float32's rounding.
        assert row["test_accuracy"] % 2.5 == 0
        assert row["test_loss"] > 0
        assert row["seconds"] > 0
        assert re.fullmatch("[0-9a-f]{64}", row["digest"])
        genotype = Genotype.from_json(json.dumps(row["genotype"]))
        assert (genotype == tiny.BASE) or row["method"] != "original"
        size = nn.cost(nn.build(genotype, 4), (8, 8, 1))
        assert (row["params"], row["macs"]) == (size.params, size.macs)
        folder = swept[0] / f"{row['method']}_seed{row['seed']}"
        assert Genotype.from_json((folder / "genotype.json").read_text()) == genotype
    with (swept[0] / "results.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    nested = ("genotype", "scores")
    for line, row in zip(table, rows, strict=True):
        assert float(line.pop("accelerator_seconds")) == pytest.approx(row["seconds"], abs=1e-3)
        values = {name: value for name, value in row.items() if name not in nested}
        assert line == {name: "" if value is None else str(value) for name, value in values.items()}


def test_the_report_shows_every_picture_and_none_that_is_not_there(swept):
    text = (swept[0] / "report.md").read_text()
    shown = re.findall(r"!\[[^]]*\]\(([^)]+)\)", text)
    assert sorted(shown) == sorted(path.name for path in swept[0].glob("*.svg"))
    assert len(shown) == 1 + 2 * 4  # curves; θ and network of two methods and two seeds
    assert all((swept[0] / name).stat().st_size > 0 for name in shown)
    assert "mean of 2" in text
    for row in read_results(swept[0]):
        assert row.digest[:12] in text
        assert f"{row.test_accuracy:.2f}" in text
    for word in ("learning_rate: `0.05`", "environment"):
        assert word.lower() in text.lower()


def test_what_is_printed_has_every_row_and_where_the_report_is(swept):
    run_dir, text = swept
    for row in read_results(run_dir):
        assert row.digest[:8] in text
    assert f"Report: {run_dir / 'report.md'}" in text


def test_the_configuration_has_all_flags_and_where_it_ran(swept):
    config = json.loads((swept[0] / "config.json").read_text())
    for name, part in tiny.settings(estimator="mixed").items():  # which the default stands for
        assert config[name] == dataclasses.asdict(part)
    assert (config["seeds"], config["methods"]) == ([0, 1], list(METHODS))
    assert config["base"] == "tiny"
    where = config["environment"]
    assert where["versions"]["jax"] == importlib.metadata.version("jax")
    assert where["device"]["platform"] == jax.default_backend()
    assert set(where) >= {"git", "cpu_count", "command"}


def test_metrics_stand_beside_the_methods_they_are_of(swept):
    for row in read_results(swept[0]):
        found = tiny.left_behind(swept[0] / f"{row.method}_seed{row.seed}")
        assert [each["epoch"] for each in found["metrics.jsonl"]] == [1, 2, 3, 4]
        assert found["metrics.jsonl"][-1]["test_accuracy"] == row.test_accuracy
        assert found["metrics.jsonl"][-1]["test_loss"] == row.test_loss
        assert {each["seed"] for each in found["metrics.jsonl"]} == {row.seed}
        for line, text in zip(found["metrics.jsonl"], found["metrics.csv"], strict=True):
            assert {name: str(value) for name, value in line.items()} == {
                name: value for name, value in text.items() if value
            }


def test_metrics_are_written_for_tensorboard_too(swept, inputs, tmp_path):
    pytest.importorskip("tensorboardX", reason="needs jaxnas[dev]")
    told(flags(inputs, tmp_path / "run", methods=("original",), tensorboard=True))
    (row,) = read_results(tmp_path / "run")
    assert row.digest == read_results(swept[0])[0].digest
    rows = Metrics(tmp_path / "run" / "original_seed0").rows()
    folder = tmp_path / "run" / "tensorboard" / "original_seed0" / "seed0"
    scalars = {
        (name, row["epoch"]): pytest.approx(row[name])
        for row in rows
        for name in ("train_loss", "test_accuracy", "test_loss", "seconds")
    }
    assert read_scalars(folder) == scalars


def test_a_seed_of_a_sweep_is_that_seed_alone(swept, inputs, tmp_path):
    told(flags(inputs, tmp_path / "run", methods=("cell",), seed=1))
    name = "cell_seed1"
    assert tiny.left_behind(tmp_path / "run" / name) == tiny.left_behind(swept[0] / name)
    (alone,) = read_results(tmp_path / "run")
    (of_sweep,) = [row for row in read_results(swept[0]) if (row.method, row.seed) == ("cell", 1)]
    assert dataclasses.replace(alone, seconds=0) == dataclasses.replace(of_sweep, seconds=0)


def test_a_finished_run_is_read_and_not_run_again(swept, inputs, tmp_path, monkeypatch):
    run_dir = Path(shutil.copytree(swept[0], tmp_path / "run"))
    (run_dir / "results.json").unlink()
    monkeypatch.setattr(TrainingRun, "run", lambda *arguments, **options: 1 / 0)
    told(flags(inputs, run_dir, methods=METHODS, seeds=(0, 1), resume=True))
    for name in ("results.json", "results.csv", "curves.svg", "theta_cell_seed0.svg"):
        assert (run_dir / name).read_bytes() == (swept[0] / name).read_bytes()


@pytest.mark.slow
def test_a_damaged_checkpoint_is_told_and_changes_nothing(swept, inputs, tmp_path):
    run_dir = Path(shutil.copytree(swept[0], tmp_path / "run"))
    (run_dir / "full_seed1" / "outcome.json").unlink()
    checkpoint = run_dir / "full_seed1" / "checkpoints" / "4"
    shutil.rmtree(checkpoint / "state")
    text = told(flags(inputs, run_dir, methods=METHODS, seeds=(0, 1), resume=True))
    assert f"checkpoint {checkpoint} is passed over" in text
    assert tiny.left_behind(run_dir / "full_seed1") == tiny.left_behind(swept[0] / "full_seed1")
    shutil.rmtree(run_dir / "full_seed1" / "checkpoints" / "4")
    shutil.rmtree(run_dir / "full_seed1" / "checkpoints" / "3" / "meta")
    for other in (run_dir / "full_seed1" / "checkpoints").iterdir():
        shutil.rmtree(other / "state")
    (run_dir / "full_seed1" / "outcome.json").unlink()
    with pytest.raises(RunError, match=r"none of the checkpoints in .* can be used; use --over"):
        told(flags(inputs, run_dir, methods=METHODS, seeds=(0, 1), resume=True))


@pytest.mark.slow
def test_seeds_run_side_by_side_on_an_accelerator(inputs, tmp_path, monkeypatch):
    """Where JAX says that there is one; the programs are those of a CPU."""
    monkeypatch.setattr(
        experiment, "jax", types.SimpleNamespace(default_backend=lambda: "gpu", errors=jax.errors)
    )
    wanted = flags(inputs, tmp_path / "run", methods=("cell",), seeds=(0, 1))
    told(wanted)
    rows = read_results(tmp_path / "run")
    assert [(row.seed, row.vmap_width) for row in rows] == [(0, 2), (1, 2)]
    folder = tmp_path / "run" / "cell_seed0-1"
    for row in rows:
        genotype = Genotype.from_json((folder / f"genotype_seed{row.seed}.json").read_text())
        assert genotype == row.genotype
    assert [(row["epoch"], row["seed"]) for row in tiny.left_behind(folder)["metrics.jsonl"]] == [
        (epoch, seed) for epoch in (1, 2, 3, 4) for seed in (0, 1)
    ]
    report = (tmp_path / "run" / "report.md").read_text()
    assert "network_cell_seed1.svg" in report
    monkeypatch.undo()
    # One after the other is another run.
    with pytest.raises(RunError, match="width was 2 and is 1"):
        told(tiny.with_run(wanted, resume=True))


def test_an_earlier_run_is_refused_unless_told_and_differences_are_named(swept, inputs, tmp_path):
    run_dir = Path(shutil.copytree(swept[0], tmp_path / "run"))
    same = {"methods": METHODS, "seeds": (0, 1)}
    with pytest.raises(RunError, match="holds an earlier run; use --resume"):
        told(flags(inputs, run_dir, **same))
    others = (
        (same | {"seeds": (0, 2)}, {}, "seeds was .*, 1] and is .*, 2]"),
        (same | {"methods": ("cell",)}, {}, "methods was .* and is .*"),
        (same | {"train_limit": 79}, {}, r"data\.train_limit was null and is 79"),
        (same | {"eval_every": 2}, {}, "eval_every was 1 and is 2"),
        (same, {"learning_rate": 0.06}, r"training\.learning_rate was 0\.05 and is 0\.06"),
        (
            same,
            {"epochs": 6},
            r"training\.epochs was 4 and is 6 \(--schedule cosine .* more\)",
        ),
        (same, {"epochs": 3}, r"training\.epochs was 4 and is 3"),
        (same, {"estimator": "raw"}, r"adaptation\.estimator was .mixed. and is .raw."),
    )
    for changes, settings, message in others:
        wanted = flags(inputs, run_dir, tiny.settings(**settings), **changes, resume=True)
        with pytest.raises(RunError, match=f"another .*: {message}; resume"):
            told(wanted)
    # A base of the same name that is another network.
    folder = tiny.write(tmp_path / "other")
    wider = dataclasses.replace(tiny.BASE, blocks=(Block("normal", 4), Block("reduction", 9, 2)))
    (folder / "base.json").write_text(wider.to_json())
    with pytest.raises(RunError, match=r"another configuration: base_sha256 was .* and is"):
        told(flags(inputs, run_dir, base=str(folder / "base.json"), **same, resume=True))
    assert (run_dir / "results.json").read_bytes() == (swept[0] / "results.json").read_bytes()


def test_overwrite_starts_anew(swept, inputs, tmp_path):
    run_dir = Path(shutil.copytree(swept[0], tmp_path / "run"))
    again = flags(inputs, run_dir, methods=("original",), overwrite=True)
    told(again)
    assert [row.method for row in read_results(run_dir)] == ["original"]
    assert not (run_dir / "cell_seed0").exists()
    with pytest.raises(RunError, match="--resume and --overwrite exclude each other"):
        told(tiny.with_run(again, resume=True))


def test_a_run_directory_in_use_is_refused(inputs, tmp_path):
    wanted = flags(inputs, tmp_path / "run")
    with RunDirectory(tmp_path / "run", {}):
        for options in ({"resume": True}, {"overwrite": True}):
            with pytest.raises(RunError, match="is in use by another run"):
                told(tiny.with_run(wanted, **options))


def test_out_of_memory_is_told_in_a_sentence(inputs, tmp_path, monkeypatch):
    monkeypatch.setattr(TrainingRun, "run", lambda *_, **__: jnp.zeros((2**31, 2**11)))
    with pytest.raises(TrainingError, match="original_seed0: out of memory; try a smaller --batch"):
        told(flags(inputs, tmp_path / "run"))


def test_names_with_brackets_print_as_they_are(inputs, tmp_path):
    """Brackets are markup to the printer; those of a closing tag that was never opened break it."""
    run_dir = tmp_path / "a[" / "red]b"
    folder = tiny.write(tmp_path / "[bold]")
    (folder / "tiny.npz").rename(folder / "[").with_suffix("")
    (folder / "[").rename(folder / "[italic].npz")
    text = told(flags(inputs, run_dir, methods=("original",), dataset=str(folder / "[italic].npz")))
    assert f"Report: {run_dir}/report.md" in text
    assert "tiny on [italic]" in text


@pytest.mark.parametrize("name", zoo.ZOO)
def test_bases_are_found_in_the_zoo_and_in_files(name, tmp_path):
    base = load_base(name)
    assert base == zoo.named(name)
    path = tmp_path / "genotype.json"
    path.write_text(base.to_json())
    assert load_base(str(path)) == base


def test_a_cell_network_of_another_size_says_so_in_its_name(tmp_path):
    sized = load_base("darts_v2", 4, 3)
    expected = zoo.named("darts_v2", channels=4, cells=3)
    assert sized == dataclasses.replace(expected, name="darts_v2-c4-l3")
    assert load_base("nasnet_a", channels=8).name == "nasnet_a-c8"
    found = tmp_path / "found.txt"
    found.write_text(write_cells(*zoo.named("darts_v2").cells))
    assert load_base(str(found), 4, 3).cells == expected.cells
    (tmp_path / "tiny.json").write_text(tiny.BASE.to_json())
    for name in ("resnet20", str(tmp_path / "tiny.json")):
        with pytest.raises(ConfigError, match="leave out --channels and --cells"):
            load_base(name, channels=4)


def replaced(**changes):
    """The text of the tiny base with some fields changed."""
    return json.dumps(json.loads(tiny.BASE.to_json()) | changes)


def cells(**changes):
    """The cells of the tiny base, the first with some fields changed."""
    first, second = json.loads(tiny.BASE.to_json())["cells"]
    return [first | changes, second]


BROKEN = {
    "empty": ("", "is not JSON"),
    "no JSON": ("{'stem': 4}", "is not JSON"),
    "a list": ("[]", "expected an object, found list"),
    "a number": ("7", "expected an object, found int"),
    "deep": ("[" * 100_000, "is not JSON"),
    "nothing in it": ("{}", "field 'name' is missing"),
    "a field too many": (replaced(extra=1), "unknown field 'extra'"),
    "text for a number": (replaced(stem="4"), "expected int, found str"),
    "a boolean for a number": (replaced(stem=True), "expected int, found bool"),
    "a fraction of a channel": (replaced(stem=1.5), "expected int, found float"),
    "no channels": (replaced(stem=0), "stem must be positive"),
    "no blocks": (replaced(blocks=[]), "no blocks"),
    "no such family": (replaced(family="rnn"), "family must be one of"),
    "no such cell": (
        replaced(blocks=[{"cell": "x", "channels": 4, "stride": 1}]),
        "there is no cell 'x'",
    ),
    "stride 3": (
        replaced(blocks=[{"cell": "normal", "channels": 4, "stride": 3}]),
        "stride 1 or 2",
    ),
    "no such operation": (
        replaced(cells=cells(edges=[{"op": "magic", "source": 0, "target": 1}])),
        "unknown operation 'magic'",
    ),
    "a loop": (
        replaced(cells=cells(edges=[{"op": "conv_3x3", "source": 1, "target": 1}])),
        "source must come before its target",
    ),
    "cell without blocks": (
        replaced(blocks=[{"cell": "normal", "channels": 4, "stride": 1}]),
        "no block places cell 'reduction'",
    ),
    "a name that leads elsewhere": (replaced(name="../../elsewhere"), "is no name"),
    "a name that is no text": (replaced(name="\ud800"), "is no name"),
    "a name of two lines": (replaced(name="a\nb"), "is no name"),
    "no name": (replaced(name=""), "is no name"),
    "an endless name": (replaced(name="a" * 300), "is no name"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_file_that_holds_no_genotype_is_told_in_a_sentence(name, tmp_path):
    text, message = BROKEN[name]
    path = tmp_path / "genotype.json"
    path.write_text(text)
    with pytest.raises((ConfigError, GenotypeError)) as caught:
        load_base(str(path))
    assert message in str(caught.value)
    assert str(caught.value).startswith(f"--base {path}: ")
    assert "\n" not in str(caught.value)


def test_a_base_that_cannot_be_read_is_told_in_a_sentence(tmp_path):
    folder = tmp_path / "folder.json"
    folder.mkdir()
    latin = tmp_path / "latin.json"
    latin.write_bytes(b'{"name": "\xe9"}')
    for path in (folder, latin, tmp_path / "missing.json"):
        with pytest.raises(ConfigError, match=rf"^--base {path} cannot be read: [^\n]+$"):
            load_base(str(path))
    for name in ("resnet21", str(tmp_path), "base.bin", "Resnet20"):
        with pytest.raises(ConfigError, match=rf"^--base {name} is neither a network of the zoo"):
            load_base(name)
    with pytest.raises(ConfigError, match=r"^--base : the name of the network is empty"):
        load_base("")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epochs": 0}, "--epochs must be above 0, not 0"),
        ({"epochs": -3}, "--epochs must be above 0, not -3"),
        ({"batch_size": 0}, "--batch-size must be above 0"),
        ({"learning_rate": 0.0}, "--learning-rate must be above 0"),
        ({"learning_rate": float("nan")}, "--learning-rate must be finite, not nan"),
        ({"learning_rate": float("inf")}, "--learning-rate must be finite, not inf"),
        ({"weight_decay": -1e-9}, "--weight-decay must not be negative"),
        ({"weight_decay": float("nan")}, "--weight-decay must be finite"),
        ({"cost_weight": -1.0}, "--cost-weight must not be negative"),
        ({"cost_weight": float("inf")}, "--cost-weight must be finite"),
        ({"cutout": -1}, "--cutout must not be negative"),
        ({"auxiliary_weight": -0.4}, "--auxiliary-weight must not be negative"),
        ({"drop_path": 1.0}, "--drop-path must be from 0 to below 1"),
        ({"dropout": -0.1}, "--dropout must be from 0 to below 1"),
        ({"momentum": 1.0}, "--momentum must be from 0 to below 1"),
        ({"label_smoothing": -0.1}, "--label-smoothing must be from 0 to below 1"),
        ({"grad_clip": 0.0}, "--grad-clip must be above 0"),
        ({"grad_clip": float("nan")}, "--grad-clip must be finite"),
        ({"holdout": 0.0}, "--holdout must be between 0 and 1"),
        ({"holdout": 1.0}, "--holdout must be between 0 and 1"),
        ({"arch_learning_rate": -0.1}, "--arch-learning-rate must be above 0"),
        ({"arch_every": 0}, "--arch-every must be above 0"),
        ({"epochs": 3, "adapt_epochs": 4}, r"--adapt-epochs must be from 0 to --epochs \(3\)"),
        ({"adapt_epochs": -1}, "--adapt-epochs must be from 0"),
        (
            {"epochs": 3, "adapt_epochs": 1, "warmup_epochs": 2},
            r"--warmup-epochs must be from 0 to --adapt-epochs \(1\)",
        ),
        ({"epochs": 3, "warmup_epochs": 2}, r"--warmup-epochs .* --adapt-epochs \(1\)"),
        ({"warmup_epochs": -1}, "--warmup-epochs must be from 0"),
    ],
    ids=str,
)
def test_settings_that_cannot_be_are_refused_by_their_flag(changes, message):
    with pytest.raises(ConfigError, match=message):
        Experiment(
            training=tiny.taken(Training, changes), adaptation=tiny.taken(AdaptationFlags, changes)
        )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"methods": ()}, "--methods must name each method once"),
        ({"methods": ("cell", "cell")}, "--methods must name each method once"),
        ({"seeds": (1, 2, 1)}, "--seeds names a seed twice"),
        ({"seeds": (0, -1)}, "a seed is a whole number from 0"),
        ({"seed": -1}, "a seed is a whole number from 0"),
        ({"seed": 2**32}, r"a seed is a whole number from 0 to 2\*\*32 - 1"),
        ({"eval_every": 0}, "--eval-every must be at least 1, not 0"),
        ({"seed": 3, "seeds": (0, 1)}, "give either --seed or --seeds, not both"),
    ],
    ids=str,
)
def test_flags_that_cannot_be_are_refused_by_their_name(changes, message):
    with pytest.raises(ConfigError, match=message):
        Experiment(**changes)


@pytest.mark.parametrize("epochs", range(1, 12))
def test_the_default_schedule_of_any_length_adapts_and_fits(epochs):
    default = AdaptationFlags()
    joint, waiting = default.joint_epochs(epochs), default.waiting_epochs(epochs)
    assert 1 <= joint <= epochs
    assert 0 <= waiting < joint
    assert waiting or joint == 1

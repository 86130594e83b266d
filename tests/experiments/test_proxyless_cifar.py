"""The command line: its help, its flags, and one line for everything that can be wrong."""

import os
import re
import subprocess
import sys

import numpy as np
import pytest

from jaxnas.reports import read_results
from support import scripts, tiny

SCRIPT = scripts.EXPERIMENTS / "proxyless_cifar.py"


@pytest.fixture
def inputs(tmp_path):
    """The folder of the base, the data set and much that is neither."""
    folder = tiny.write(tmp_path / "inputs")
    (folder / "broken.json").write_text("{")
    (folder / "latin.json").write_bytes(b"\xff\xfe")
    (folder / "folder.json").mkdir()
    (folder / "file").write_text("a file")
    (folder / "empty").mkdir()
    (folder / "empty.npz").write_bytes(b"")
    (folder / "text.npz").write_text("not an archive")
    none = np.zeros((0, 8, 8, 1), np.uint8), np.zeros(0, np.int64)
    np.savez(folder / "none.npz", x_train=none[0], y_train=none[1], x_test=none[0], y_test=none[1])
    np.savez(folder / "one_class.npz", x=np.zeros((20, 8, 8), np.uint8), y=np.zeros(20, int))
    np.savez(folder / "floats.npz", x=np.zeros((20, 8, 8)), y=np.arange(20))
    np.savez(folder / "flat.npz", x=np.zeros((20, 64), np.uint8), y=np.arange(20))
    np.savez(folder / "other.npz", z=np.zeros(3))
    return folder


def run(monkeypatch, arguments):
    """Runs the script in this process."""
    scripts.run(monkeypatch, "proxyless_cifar", *arguments)


def command(folder, default_run_dir, **flags):
    """A command line; a flag of None is left out, `inputs/` stands for the folder."""
    flags = {
        name: str(folder / value.removeprefix("inputs/"))
        if isinstance(value, str) and value.startswith("inputs/")
        else value
        for name, value in ({"run_dir": default_run_dir} | flags).items()
    }
    return tiny.command(folder, **flags)


BAD = [
    ({"base": ""}, "the name of the network is empty; see `jaxnas zoo`"),
    ({"dataset": ""}, "the name of the data set is empty: choose cifar10, "),
    ({"base": "resnet21"}, "--base resnet21 is neither a network of the zoo"),
    ({"base": "inputs/missing.json"}, "cannot be read"),
    ({"base": "inputs/broken.json"}, "is not JSON"),
    ({"base": "inputs/latin.json"}, "cannot be read"),
    ({"base": "inputs/folder.json"}, "cannot be read"),
    ({"base": "inputs/empty"}, "is neither a network of the zoo"),
    ({"base": "inputs/tiny.npz"}, "is neither a network of the zoo"),
    ({"dataset": "cifar11"}, "no data set and no path that exists"),
    ({"dataset": "inputs/missing.npz"}, "no data set and no path that exists"),
    ({"dataset": "cifar10", "data_dir": "inputs/empty"}, "cifar"),
    ({"dataset": "inputs/empty"}, "inputs/empty"),
    ({"dataset": "inputs/empty.npz"}, "cannot be read"),
    ({"dataset": "inputs/text.npz"}, "cannot be read"),
    ({"dataset": "inputs/none.npz"}, "non-empty"),
    ({"dataset": "inputs/one_class.npz"}, "at least 2 classes"),
    ({"dataset": "inputs/floats.npz"}, "uint8"),
    ({"dataset": "inputs/flat.npz"}, "give a non-empty uint8 array"),
    ({"dataset": "inputs/other.npz"}, "x_train"),
    ({"train_limit": 81}, "cannot be limited to 81 training images: it has 80"),
    ({"train_limit": 0}, "cannot be limited to 0 training images"),
    ({"train_limit": 15}, "--batch-size 16 is more than the 15 training images"),
    ({"batch_size": 81}, "--batch-size 81 is more than the 80 training images"),
    ({"batch_size": 80, "arch_data": "holdout"}, "--batch-size 80 is more than the 72"),
    ({"batch_size": 0}, "--batch-size must be above 0, not 0"),
    ({"epochs": 0}, "--epochs must be above 0"),
    ({"adapt_epochs": 5}, "--adapt-epochs must be from 0 to --epochs (4), not 5"),
    ({"adapt_epochs": 1, "warmup_epochs": 2}, "--warmup-epochs must be from 0 to --adapt-epochs"),
    ({"learning_rate": "nan"}, "--learning-rate must be finite, not nan"),
    ({"learning_rate": "-0.1"}, "--learning-rate must be above 0, not -0.1"),
    ({"weight_decay": "inf"}, "--weight-decay must be finite, not inf"),
    ({"cutout": 10**6}, "--cutout 1000000 is more than the side of the images, 8"),
    ({"seeds": (3, 3)}, "--seeds names a seed twice: (3, 3)"),
    ({"seed": -1}, "a seed is a whole number from 0 to 2**32 - 1"),
    ({"seeds": (0, 2**32)}, "a seed is a whole number from 0 to 2**32 - 1"),
    ({"eval_every": 0}, "--eval-every must be at least 1, not 0"),
    ({"methods": ("cell", "cell")}, "--methods must name each method once"),
    ({"methods": ()}, "--methods must name each method once"),
    ({"resume": True, "overwrite": True}, "--resume and --overwrite exclude each other"),
    ({"run_dir": "inputs/file"}, "inputs/file is a file; use another --run-dir"),
    ({"run_dir": "inputs/file/below"}, "inputs/file/below"),
    ({"run_dir": "inputs"}, "is not empty and not the folder of a run"),
    ({"run_dir": "/proc/nowhere"}, "/proc/nowhere cannot be written"),
    ({"run_dir": "/" + "a" * 300}, "use another --run-dir"),
]


@pytest.mark.parametrize(("flags", "message"), BAD, ids=lambda each: str(each)[:60])
def test_what_is_wrong_is_told_in_one_line_and_nothing_is_written(
    inputs, tmp_path, monkeypatch, flags, message
):
    if flags.get("run_dir") == "inputs":
        flags = {"run_dir": inputs}
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(SystemExit) as caught:
        run(monkeypatch, command(inputs, tmp_path / "run", **flags))
    text = str(caught.value)
    assert text.startswith("error: ")
    assert message in text
    assert "\n" not in text
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    "flags",
    [
        ["--epochs", "three"],
        ["--epochs"],
        ["--batch-size", "1.5"],
        ["--no-such-flag"],
        ["--methods", "darts"],
        ["--estimator", "magic"],
        ["--seeds", "0", "x"],
        ["--precision", "float16"],
        ["a-word"],
    ],
    ids=" ".join,
)
def test_what_is_no_flag_is_told_by_its_name(inputs, tmp_path, monkeypatch, capsys, flags):
    with pytest.raises(SystemExit) as caught:
        run(monkeypatch, [*command(inputs, tmp_path / "run"), *flags])
    assert caught.value.code == 2
    text = "".join(capsys.readouterr())
    assert any(word.strip("-") in text for word in flags)
    assert "Traceback" not in text
    assert not (tmp_path / "run").exists()


def test_help_names_every_flag(monkeypatch, capsys):
    with pytest.raises(SystemExit) as caught:
        run(monkeypatch, ["--help"])
    assert caught.value.code == 0
    text = capsys.readouterr().out
    for name in ("epochs", "run-dir", "seeds", "base", "arch-learning-rate", "resume", "cutout"):
        assert re.search(rf"--{name}\b", text)
    assert "--training." not in text


def test_no_seeds_are_the_seed(inputs, tmp_path, monkeypatch, capsys):
    flags = {"methods": ("original",), "seeds": (), "seed": 3}
    run(monkeypatch, command(inputs, tmp_path / "run", **flags))
    (row,) = read_results(tmp_path / "run")
    assert row.seed == 3
    assert row.digest[:8] in capsys.readouterr().out


DIVERGES = {"methods": ("original",), "learning_rate": 1e30, "epochs": 6}


def test_a_run_that_diverges_ends_with_a_line_that_names_the_step(inputs, tmp_path, monkeypatch):
    with pytest.raises(SystemExit) as caught:
        run(monkeypatch, command(inputs, tmp_path / "run", **DIVERGES))
    assert caught.value.code == 1
    text = str(caught.value)
    assert re.match("error: original, seed 0: the loss is not finite at step .*", text)
    assert "\n" not in text
    assert not (tmp_path / "run" / "results.json").exists()


@pytest.mark.slow
def test_a_process_that_diverges_prints_that_line_alone(inputs, tmp_path):
    """Where nothing may be a warning either."""
    done = subprocess.run(
        [sys.executable, "-W", "error", SCRIPT, *command(inputs, tmp_path / "run", **DIVERGES)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("error: original, seed 0: the loss is not finite at step ")
    assert "Traceback" not in done.stdout
    assert not (tmp_path / "run" / "results.json").exists()


def test_an_interrupt_says_how_to_go_on(inputs, tmp_path, monkeypatch, capsys):
    from jaxnas.runs.training_run import TrainingRun

    def interrupt(*arguments, **options):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(TrainingRun, "run", interrupt)
        patch.setattr(os, "_exit", sys.exit)
        with pytest.raises(SystemExit) as caught:
            run(monkeypatch, command(inputs, tmp_path / "run", methods=("original",)))
    assert caught.value.code == 130
    assert "interrupted; the same command with --resume goes on" in capsys.readouterr().err
    run(monkeypatch, command(inputs, tmp_path / "run", methods=("original",), resume=True))
    assert len(read_results(tmp_path / "run")) == 1

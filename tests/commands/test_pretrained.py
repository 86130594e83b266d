"""Training from given weights as a user runs it: what is told, kept, resumed and refused."""

import csv
import json

import pytest

from jaxnas import nn
from jaxnas.commands import experiment
from jaxnas.reports import read_results
from support import networks, scripts, tiny

SHAPE = (8, 8, 1)


class Killed(BaseException):
    """Ends a run as nothing in it expects."""


def killed(*_):
    raise Killed


def save(path, seed=0, classes=7):
    """A file of weights of the tiny base for other classes."""
    network = nn.build(tiny.BASE, classes)
    variables = networks.random_variables(network, seed=seed, shape=SHAPE)
    nn.save_safetensors(variables, path, tiny.BASE)
    return path


def begin(monkeypatch, folder, *more, **flags):
    """Starts a run that ends before its first step."""
    with monkeypatch.context() as patch:
        patch.setattr(experiment, "do_all", killed)
        arguments = tiny.command(folder, run_dir=folder / "run", methods="original", **flags)
        scripts.run(monkeypatch, "proxyless_cifar", *arguments, *more)


def test_a_run_goes_on_from_its_own_weights_alone(tmp_path, monkeypatch, capsys):
    tiny.write(tmp_path)
    weights = save(tmp_path / "net.safetensors")
    with pytest.raises(Killed):
        begin(monkeypatch, tmp_path, weights=weights, head_epochs=1)
    told = capsys.readouterr().out
    assert "The head is new: the weights have 7 classes, the data 4." in told
    assert "The head is new" in (tmp_path / "run" / "data.txt").read_text()
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert len(config["weights_sha256"]) == 64
    assert config["pretrained"] == {"head_epochs": 1, "body_learning_rate_share": 1.0}
    moved = weights.rename(tmp_path / "moved.safetensors")
    with pytest.raises(Killed):
        begin(monkeypatch, tmp_path, "--resume", weights=moved, head_epochs=1)
    save(moved, seed=1)
    for flags, how in (({"weights": moved, "head_epochs": 1}, "from other"), ({}, "from")):
        with pytest.raises(SystemExit) as caught:
            begin(monkeypatch, tmp_path, "--resume", **flags)
        assert f"run holds a run that began {how} --weights; resume it" in str(caught.value)


def test_a_run_that_began_without_weights_does_not_go_on_from_some(tmp_path, monkeypatch):
    tiny.write(tmp_path)
    with pytest.raises(Killed):
        begin(monkeypatch, tmp_path)
    assert "weights_sha256" not in json.loads((tmp_path / "run" / "config.json").read_text())
    with pytest.raises(SystemExit) as caught:
        begin(monkeypatch, tmp_path, "--resume", weights=save(tmp_path / "net.safetensors"))
    assert "holds a run that began without --weights" in str(caught.value)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"weights": "none.safetensors"}, "there is no file none.safetensors"),
        ({"weights": "tiny.npz"}, "tiny.npz is no safetensors file or is damaged"),
        ({"weights": "."}, ". is not the folder of a run with a finished method"),
        (
            {"weights": "net.safetensors", "base": "resnet20"},
            "weights of tiny; --base resnet20 is another",
        ),
        ({"weights": "net.safetensors", "methods": "norm"}, "until --target-cost is met"),
        ({"methods": "norm", "target_cost": 0.7}, "norm is a control of training from --weights"),
        ({"head_epochs": 1}, "--head-epochs is for training from --weights"),
        ({"weights": "net.safetensors", "head_epochs": 4}, "--head-epochs must be below --epochs"),
        ({"weights": "net.safetensors", "methods": "norm", "target_cost": 0.1}, "is out of reach"),
    ],
)
def test_what_cannot_be_is_told_and_nothing_is_written(tmp_path, monkeypatch, flags, message):
    monkeypatch.chdir(tiny.write(tmp_path))
    save(tmp_path / "net.safetensors")
    arguments = tiny.command(tmp_path, **flags)
    scripts.assert_refuses(monkeypatch, "proxyless_cifar", tmp_path, arguments, message)


@pytest.mark.slow
def test_all_methods_at_a_target_start_from_the_folder_of_a_run(tmp_path, monkeypatch, capsys):
    tiny.write(tmp_path)
    folder = tmp_path / "source"
    own = {"epochs": 2, "adapt_epochs": 1, "warmup_epochs": 0}
    arguments = tiny.command(tmp_path, run_dir=folder, methods="original", **own)
    scripts.run(monkeypatch, "proxyless_cifar", *arguments)
    own |= {"epochs": 3, "head_epochs": 1, "body_learning_rate_share": 0.1, "weights": folder}
    methods = "original", "full", "random_full", "norm", "scratch"
    arguments = tiny.command(
        tmp_path, run_dir=tmp_path / "run", methods=methods, targets=(1.0, 0.8), **own
    )
    scripts.run(monkeypatch, "cost_front", *arguments, "--measure-latency")
    with (tmp_path / "run" / "front.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["method"], row["target"]) for row in rows] == [
        ("original", ""),
        *(("full", target) for target in ("1.0", "0.8")),
        *(("random_full", target) for target in ("1.0", "0.8")),
        ("norm", "0.8"),
        ("scratch", ""),
    ]
    assert all(float(row["latency"]) > 0 for row in rows)
    costs = {(row["method"], row["target"]): float(row["cost"]) for row in rows}
    assert all(cost <= 80 for (_, target), cost in costs.items() if target == "0.8")
    assert costs["random_full", "1.0"] >= 97
    assert "The head is taken too: its classes are the data set's." in capsys.readouterr().out
    page = (tmp_path / "run" / "target_0.8" / "report.md").read_text()
    assert f"Training starts from {folder} (tiny): " in page
    (scratch,) = (
        row for row in read_results(tmp_path / "run" / "original") if row.method == "scratch"
    )
    assert scratch.genotype == tiny.BASE
    resumed = [*arguments, "--measure-latency", "--resume"]
    scripts.run(monkeypatch, "cost_front", *resumed)
    with (tmp_path / "run" / "front.csv").open() as file:
        again = list(csv.DictReader(file))
    assert [row["accuracy"] for row in again] == [row["accuracy"] for row in rows]

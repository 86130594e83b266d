"""The command line of adaptation without labels: what it refuses, and a whole run."""

import json

import pytest

from jaxnas.reports import read_results
from support import scripts, tiny

NAME = "proxyless_ssl_cifar"


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--neighbours", "2000"], "--neighbours 2000 is more than the 1437 training images"),
        (["--label-smoothing", "0.1"], "--label-smoothing is for training with labels"),
        (
            ["--method", "simsiam", "--temperature", "0.2"],
            "--temperature is SimCLR's; leave it out",
        ),
        (["--batch-size", "1"], "--batch-size 1 leaves SimCLR no other image"),
        (["--epochs", "2", "--accumulate", "11"], "--accumulate 11 is more than the 10 steps"),
        (["--optimizer", "lars", "--grad-clip", "5"], "--optimizer lars goes with a cosine"),
        (["--devices", "3"], "--batch-size 256 does not split evenly over 3 devices"),
        (["--devices", "1024", "--batch-size", "1024"], "--devices 1024 is more than the"),
        (["--rate-warmup-epochs", "300"], "--rate-warmup-epochs must be from 0 to --epochs (200)"),
        (["--base", "nowhere"], "neither a network of the zoo nor a .json or .txt file"),
    ],
)
def test_what_is_wrong_is_told_in_one_line(monkeypatch, tmp_path, flags, message):
    flags = ["--dataset", "digits", "--base", "resnet20", *flags]
    scripts.assert_refuses(monkeypatch, NAME, tmp_path, flags, message)


@pytest.mark.slow
def test_a_run_tells_what_frozen_features_know(monkeypatch, tmp_path, capsys):
    folder = tiny.write(tmp_path / "inputs")
    arguments = tiny.command(folder, epochs=2, adapt_epochs=1, warmup_epochs=0)
    own = ["--neighbours", "20", "--probe-epochs", "3", "--accumulate", "3"]
    own += ["--seeds", "0", "1", "--methods", "original", "--eval-every", "1"]
    scripts.run(monkeypatch, NAME, *arguments, *own, "--run-dir", tmp_path / "run")
    told = capsys.readouterr().out
    assert "original, seed 0: epoch 0/2, knn accuracy" in told
    assert told.count("are too few to move the weights and count for batch norms only (orig") == 1
    results = read_results(tmp_path / "run")
    assert [row.seed for row in results] == [0, 1]
    for row in results:
        assert 0 <= row.scores["knn_accuracy"] <= 100
        assert row.scores["feature_rank"] >= 1
    report = (tmp_path / "run" / "report.md").read_text()
    assert "Nothing was trained with labels but classifiers of the frozen features" in report
    assert "| knn accuracy % |" in report.splitlines()[next_table(report)]
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["supervision"]["method"] == "simclr"
    for line in ("crop: `0.08`", "temperature: `0.5`", "rate_warmup_epochs: `0`"):
        assert f"- resolved.{line}" in report
    (tmp_path / "run" / "original_seed1" / "outcome.json").unlink()
    scripts.run(monkeypatch, NAME, *arguments, *own, "--run-dir", tmp_path / "run", "--resume")
    told = capsys.readouterr().out
    assert "original, seed 1: 10 steps; the first waits until it is compiled" in told
    assert "original, seed 0: 10 steps" not in told
    header = (tmp_path / "run" / "results.csv").read_text().splitlines()[0]
    scores = "knn_accuracy,ridge_accuracy,untrained_knn_accuracy,untrained_ridge_accuracy"
    assert header.endswith(
        f"digest,changes,search_seconds,accelerator_seconds,{scores},feature_rank,feature_std"
    )


def next_table(report):
    """The line of the first table's head."""
    return next(i for i, line in enumerate(report.splitlines()) if line.startswith("| method"))


@pytest.mark.slow
def test_adapted_and_original_are_compared_by_seeds(monkeypatch, tmp_path):
    folder = tiny.write(tmp_path / "inputs")
    own = ["--neighbours", "20", "--probe-epochs", "3"]
    own += ["--seeds", "0", "1", "--methods", "original", "full", "--method", "simsiam"]
    scripts.run(monkeypatch, NAME, *tiny.command(folder), *own, "--run-dir", tmp_path / "run")
    report = (tmp_path / "run" / "report.md").read_text()
    for name in ("linear probe", "knn accuracy", "ridge accuracy"):
        assert f"{name}, full less original: " in report
    assert "untrained knn accuracy, full" not in report
    assert "over equal seeds: the report has the differences and their intervals" in report


def test_help_says_what_the_flags_mean_here(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "400")
    with pytest.raises(SystemExit):
        scripts.run(monkeypatch, NAME, "--help")
    told = " ".join(capsys.readouterr().out.split())
    for words in (
        "without labels: kNN and ridge accuracy of the features",
        "None for a tenth of all, at most 10",
        "the learning rate is not rescaled",
        "each of the two on its own",
    ):
        assert words in told

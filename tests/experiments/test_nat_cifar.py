"""The command line of NAT: what it refuses, and a whole search."""

import json

import pytest

from support import scripts

NAME = "nat_cifar"


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--base", "resnet20"], "--base resnet20: NAT transforms cells of DARTS's family"),
        (["--base", "nowhere"], "neither a network of the zoo nor a .json or .txt file"),
        (["--base", "enas_cells", "--nat.search-cells", "0"], "must be positive, not 20 and 0"),
        (["--nat.search-learning-rate", "0"], "--nat.search-learning-rate must be above 0"),
    ],
)
def test_what_is_wrong_is_told_in_one_line(monkeypatch, tmp_path, flags, message):
    scripts.assert_refuses(monkeypatch, NAME, tmp_path, ["--dataset", "digits", *flags], message)


@pytest.mark.slow
def test_a_network_is_transformed_and_trained(monkeypatch, tmp_path):
    sizes = ["--channels", 4, "--cells", 3, "--nat.search-channels", 2, "--nat.search-cells", 3]
    steps = ["--search-epochs", 1, "--epochs", 1, "--train-limit", 192, "--batch-size", 64]
    scripts.run(
        monkeypatch, NAME, "--dataset", "digits", "--run-dir", tmp_path / "run", *sizes, *steps
    )
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    assert [row["method"] for row in results] == ["found", "random"]
    report = (tmp_path / "run" / "report.md").read_text()
    assert "of 10 transformed networks were disconnected" in report

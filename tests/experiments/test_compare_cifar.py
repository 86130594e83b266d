"""The command line of the comparison: what it refuses, and a table of one row."""

import pytest

from support import scripts, tiny

NAME = "compare_cifar"


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--seeds", 0], "--seeds must be at least 1, not 0"),
        (["--train-limit", 0], "cannot be limited to 0 training images"),
        (["--base", "nowhere"], "--base nowhere is neither a network of the zoo nor a .json"),
        (["--method", "nat", "nat"], "--method must name at least one, each once"),
        (["--dataset", "nowhere"], "no data set and no path that exists"),
        (["--resume", "--overwrite"], "--resume and --overwrite exclude each other"),
    ],
)
def test_what_is_wrong_is_told_in_one_line(monkeypatch, tmp_path, flags, message):
    scripts.assert_refuses(monkeypatch, NAME, tmp_path, ["--dataset", "digits", *flags], message)


def test_published_numbers_stand_beside_the_published_budget(monkeypatch, tmp_path):
    tiny.write(tmp_path)
    base = (tmp_path / "base.json").read_text().replace('"tiny"', '"resnet20"')
    (tmp_path / "base.json").write_text(base)
    flags = ["--base", tmp_path / "base.json", "--method", "original", "--seeds", 1]
    flags += ["--epochs", 1, "--batch-size", 16, "--dataset", tmp_path / "tiny.npz"]
    found = scripts.run(monkeypatch, NAME, "--run-dir", tmp_path / "run", *flags)
    report = (tmp_path / "run" / "report.md").read_text()
    assert "| resnet20 | original |" in report
    assert "| published |" not in report
    # As in Tables 1 and 3: every mean of Table 3 is lower than that of Table 1.
    published = found["PUBLISHED"]
    for place, text in published["tiny_imagenet"].items():
        assert float(text[:5]) < float(published["cifar10"][place][:5])

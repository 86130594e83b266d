"""A folder of photographs of all sizes, one of them broken, from the command line to the report."""

import json

import pytest

from support import scripts, tiny
from support.picture_files import picture, save


@pytest.fixture
def folder(tmp_path):
    tiny.write(tmp_path)
    for label, name in enumerate(("cat", "dog")):
        for number in range(12 + 4 * label):
            image = picture(20 * label + number, 12).resize((9 + number, 20 - number))
            save(tmp_path / "photos" / name / f"{number}.png", image)
    (tmp_path / "photos/cat/half.png").write_bytes(b"\x89PNG")
    return tmp_path


def run(monkeypatch, folder, name, *flags):
    """Trains on the folder; the row of results, the report and what was recorded."""
    own = ["--dataset", folder / "photos", "--image-size", "8", "--test-share", "0.25"]
    own += ["--base", folder / "base.json", "--methods", "original", "--epochs", "1"]
    own += ["--batch-size", "8", "--class-weights", "balanced", "--run-dir", folder / name]
    scripts.run(monkeypatch, "proxyless_cifar", *own, *flags)
    (row,) = json.loads((folder / name / "results.json").read_text())
    config = json.loads((folder / name / "config.json").read_text())
    return row, (folder / name / "report.md").read_text(), config


@pytest.mark.slow
def test_the_report_names_what_was_left_out(folder, monkeypatch):
    row, report, config = run(monkeypatch, folder, "run", "--skip-broken")
    assert "1 broken file left out: " in report
    assert "half.png" in report
    assert "21 training and 7 test images of 8x8 pixels in 3 channels" in report
    assert (config["data"]["test_share"], config["data"]["test_seed"]) == (0.25, 0)
    assert config["training"]["class_weights"] == "balanced"
    assert 0 <= row["test_accuracy"] <= 100


@pytest.mark.slow
def test_on_the_host_the_run_is_the_same_and_either_resumes_the_other(folder, monkeypatch):
    pytest.importorskip("grain")
    on_device, _, config = run(monkeypatch, folder, "device", "--skip-broken")
    on_host, _, same = run(monkeypatch, folder, "host", "--skip-broken", "--data-on", "host")
    assert on_host["digest"] == on_device["digest"]
    del config["environment"], same["environment"]
    assert config == same
    resumed, *_ = run(monkeypatch, folder, "host", "--skip-broken", "--resume")
    assert resumed["digest"] == on_device["digest"]


def test_a_broken_file_is_named_before_anything_is_written(folder, monkeypatch):
    with pytest.raises(SystemExit) as caught:
        run(monkeypatch, folder, "run")
    assert "half.png cannot be read as an image" in str(caught.value)
    assert not (folder / "run").exists()

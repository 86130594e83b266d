"""Commands on a finished run, here one whose training is made up."""

import json

import jax
import jax.export
import numpy as np
import pytest

from jaxnas import nn
from jaxnas.nn import load_exported, load_network, save_safetensors
from jaxnas.runs.load import load_run
from jaxnas.storage import RunError
from support import tiny
from support.finished_runs import CLASS_NAMES, SHAPE, write_method


@pytest.fixture
def run_dir(tmp_path):
    """The folder of a run of two methods."""
    path = tmp_path / "run"
    for method in ("original", "cell"):
        write_method(path, method, (0,))
    config = {"methods": ["original", "cell"], "seeds": [0], "width": 1, "base": "tiny"}
    environment = {"command": "jaxnas adapt --base tiny.json"}
    (path / "config.json").write_text(json.dumps(config | {"environment": environment}))
    (path / "base.json").write_text(tiny.BASE.to_json())
    return path


def test_report_is_written_anew(run, run_dir):
    assert f"Report: {run_dir / 'report.md'}" in run("report", run_dir)
    text = (run_dir / "report.md").read_text()
    assert "jaxnas adapt --base tiny.json" in text
    for name in ("curves", "theta_cell_seed0", "network_cell_seed0"):
        assert f"({name}.svg)" in text
        assert (run_dir / f"{name}.png").stat().st_size > 0
    assert "A note on cell, seed 0." in text
    assert [row["method"] for row in json.loads((run_dir / "results.json").read_text())] == [
        "original",
        "cell",
    ]
    (run_dir / "report.md").unlink()
    run("report", run_dir)
    assert (run_dir / "report.md").read_text() == text


def test_what_is_no_finished_run_is_told(run, refused, run_dir, tmp_path):
    assert "is" in refused("report", tmp_path / "nowhere")
    (tmp_path / "file").write_text("")
    assert f"is {tmp_path / 'file'} the folder of a run?" in refused("report", tmp_path / "file")
    (tmp_path / "config.json").write_text('{"seeds": 3}')
    assert "is not the folder of an experiment" in refused("report", tmp_path)
    (tmp_path / "config.json").write_text("[]")
    assert "is not the folder of an experiment" in refused("report", tmp_path)
    (tmp_path / "config.json").write_text('{"search": "enas"}')
    assert "its own command with --resume" in refused("report", tmp_path)
    run("report", run_dir)
    before = (run_dir / "results.json").read_bytes()
    outcome = run_dir / "cell_seed0" / "outcome.json"
    whole = outcome.read_text()
    texts = '"notes": [1]', '"notes": "abc"'
    assert '"notes": ["A note on cell, seed 0."]' in whole
    wrong = (whole.replace('"notes": ["A note on cell, seed 0."]', text) for text in texts)
    for damaged in (*wrong, "[]", "NaN", "[" * 100_000, whole.replace('"seed": 0', '"seed": 3')):
        outcome.write_text(damaged)
        assert f"{outcome} is damaged" in refused("report", run_dir)
    outcome.write_text(whole)
    metrics = run_dir / "cell_seed0" / "metrics.jsonl"
    rows, table = metrics.read_text(), metrics.with_suffix(".csv").read_bytes()
    metrics.write_text('{"epoch": 1, "train_loss": 2.0}\n')
    assert f"{metrics} lacks rows of a seed" in refused("report", run_dir)
    metrics.with_suffix(".csv").write_bytes(table)
    metrics.unlink()
    assert f"{metrics} lacks rows of a seed" in refused("report", run_dir)
    assert metrics.with_suffix(".csv").read_bytes() == table
    metrics.write_text(rows)
    assert (run_dir / "results.json").read_bytes() == before
    outcome.write_text('[{"result": {}}]')
    assert f"{outcome} is damaged or of another version" in refused("report", run_dir)
    outcome.unlink()
    assert f"{run_dir / 'cell_seed0'} has not finished" in refused("report", run_dir)
    (run_dir / "base.json").write_text("{}")
    write_method(run_dir, "full", (0,))
    config = json.loads((run_dir / "config.json").read_text())
    (run_dir / "config.json").write_text(json.dumps(config | {"methods": ["full"]}))
    assert "base.json is damaged" in refused("report", run_dir)


def test_a_network_is_loaded_from_its_folder_or_the_only_one(tmp_path):
    left = write_method(tmp_path, "cell", (0,))
    for path in (tmp_path, tmp_path / "cell_seed0"):
        trained = load_run(path)
        assert trained.network == nn.build(tiny.BASE, 4)
        assert tiny.same_trees(trained.variables, left[0])
        assert (trained.input_shape, trained.mean, trained.std) == (SHAPE, [0.25], [0.5])
        assert trained.result["method"] == "cell"
        assert trained.class_names == CLASS_NAMES


def test_of_seeds_trained_side_by_side_one_is_said(tmp_path):
    left = write_method(tmp_path, "full", (1, 2))
    assert tiny.same_trees(load_run(tmp_path, 2).variables, left[2])
    with pytest.raises(RunError, match="has the seeds 1, 2; say which by --seed"):
        load_run(tmp_path)
    with pytest.raises(RunError, match="has the seeds 1, 2; there is no seed 3"):
        load_run(tmp_path, 3)


def test_a_network_is_exported_as_program_and_as_weights(run, tmp_path):
    write_method(tmp_path, "cell", (0,))
    text = run("export", tmp_path, "--out", tmp_path / "a.safetensors")
    assert f"jaxnas.nn.load_network('{tmp_path / 'a.safetensors'}', (8, 8, 1))" in text
    assert "takes images [b, 8, 8, 1] in 0..1, less [0.25] and divided by [0.5]" in text
    network, variables, class_names = load_network(tmp_path / "a.safetensors", SHAPE)
    assert class_names == CLASS_NAMES
    run("export", tmp_path / "cell_seed0", "--out", tmp_path / "a.stablehlo")
    images = np.random.default_rng(0).normal(size=(3, *SHAPE)).astype(np.float32)
    assert load_exported(tmp_path / "a.stablehlo").class_names == CLASS_NAMES
    program = jax.export.deserialize(bytearray((tmp_path / "a.stablehlo").read_bytes()))
    np.testing.assert_allclose(
        program.call(images),
        network.apply(variables, images, train=False),
        rtol=1e-4,
        atol=1e-5,
    )


def test_nonsense_is_not_exported(refused, tmp_path):
    left = write_method(tmp_path, "cell", (0,))
    folder, out = tmp_path / "cell_seed0", tmp_path / "a.stablehlo"
    outcome = (folder / "outcome.json").read_text()
    for change in (
        outcome.replace("[0.5]", "[0.0]"),
        outcome.replace("[0.25]", "[0.25, 0.5]"),
        outcome.replace("[0.25]", '["abc"]'),
        json.dumps(2 * json.loads(outcome)),  # a seed twice
        "[]",
    ):
        (folder / "outcome.json").write_text(change)
        assert "outcome.json is damaged" in refused("export", folder, "--out", out)
    huge = json.loads(outcome)
    huge[0]["images"]["shape"] = [10**9, 10**9, 1]
    (folder / "outcome.json").write_text(json.dumps(huge))
    assert "are too large (Python integer" in refused("export", folder, "--out", out)
    (folder / "outcome.json").write_text(outcome)
    minus = {**left[0], "batch_stats": jax.tree.map(lambda leaf: -leaf, left[0]["batch_stats"])}
    save_safetensors(minus, folder / "weights.safetensors", tiny.BASE, CLASS_NAMES)
    assert "/var of its weights is not finite, or a variance below" in refused(
        "export", folder, "--out", out
    )
    broken = jax.tree.map(lambda leaf: leaf * np.nan, left[0])
    save_safetensors(broken, folder / "weights.safetensors", tiny.BASE, CLASS_NAMES)
    assert "of its weights is not finite" in refused("export", folder, "--out", out)
    assert not out.exists()


def test_what_cannot_be_exported_is_told(refused, run_dir, tmp_path):
    out = tmp_path / "a.stablehlo"
    assert "has several networks; give the folder of one" in refused(
        "export", run_dir, "--out", out
    )
    assert "is not the folder of a run" in refused("export", tmp_path / "no", "--out", out)
    assert "must be a .stablehlo, .onnx or .saf" in refused(
        "export", run_dir, "--out", tmp_path / "a"
    )
    folder = run_dir / "cell_seed0"
    bad = tmp_path / "no" / "a.safetensors"
    assert "cannot be written" in refused("export", folder, "--out", bad)
    (folder / "weights.safetensors").write_bytes(b"no")
    assert "is no safetensors file or is damaged" in refused("export", folder, "--out", out)
    (folder / "weights.safetensors").unlink()
    assert "there is no file" in refused("export", folder, "--out", out)
    assert not out.exists()

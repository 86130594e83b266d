"""Networks as ONNX models, against what Flax computes; by `make test-onnx`, whose environment has
jax2onnx."""

import importlib.util
import json
import sys

import jax
import numpy as np
import pytest

from jaxnas.cli import main
from jaxnas.nn import WeightsError, build
from jaxnas.nn.weights.onnx_file import export_onnx
from support import tiny
from support.finished_runs import CLASS_NAMES, write_method
from support.finished_runs import SHAPE as RUN_SHAPE
from support.networks import CLASSES, SHAPE, SMALL, images, random_variables

needs_jax2onnx = pytest.mark.skipif(
    importlib.util.find_spec("jax2onnx") is None, reason="make test-onnx runs it"
)


def session(data):
    import onnxruntime

    return onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])


@needs_jax2onnx
@pytest.mark.parametrize("name", SMALL)
def test_onnxruntime_computes_the_network_s_logits_for_any_batch(name):
    module = build(SMALL[name], CLASSES)
    variables = random_variables(module)
    run = session(export_onnx(module, variables, SHAPE))
    assert [(each.name, each.shape) for each in run.get_inputs()] == [("images", ["B", *SHAPE])]
    assert [(each.name, each.shape) for each in run.get_outputs()] == [("logits", ["B", CLASSES])]
    for batch in (1, 3):
        inputs = images(batch=batch)
        expected = np.asarray(jax.jit(lambda x: module.apply(variables, x, train=False))(inputs))
        (found,) = run.run(None, {"images": np.asarray(inputs)})
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


@needs_jax2onnx
def test_a_run_is_exported_with_the_names_of_its_classes(tmp_path, monkeypatch, capsys):
    left = write_method(tmp_path / "run", "cell", (0,))[0]
    file = tmp_path / "net.onnx"
    words = ["jaxnas", "export", str(tmp_path / "run"), "--out", str(file)]
    monkeypatch.setattr(sys, "argv", words)
    main()
    said = capsys.readouterr()
    assert f"Read it with onnxruntime.InferenceSession('{file}')" in said.out
    assert "[b, 8, 8, 1] in 0..1, less [0.25]" in said.out
    assert said.err == ""
    run = session(file.read_bytes())
    names = run.get_modelmeta().custom_metadata_map["class_names"]
    assert tuple(json.loads(names)) == CLASS_NAMES
    inputs = np.random.default_rng(0).normal(size=(2, *RUN_SHAPE)).astype(np.float32)
    expected = build(tiny.BASE, 4).apply(left, inputs, train=False)
    (found,) = run.run(None, {"images": inputs})
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_without_jax2onnx_one_sentence_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "jax2onnx", None)
    module = build(SMALL["concat"], CLASSES)
    with pytest.raises(WeightsError, match=r'pip install "\.\[onnx\]"'):
        export_onnx(module, random_variables(module), SHAPE)

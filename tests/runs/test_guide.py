"""The code of docs/self_supervised.md runs as printed."""

import re
from pathlib import Path

import jax.numpy as jnp
import numpy as np

from cli.test_finished import write_method

GUIDE = Path(__file__).parents[2] / "docs" / "self_supervised.md"


def test_the_guides_features_are_what_the_classifier_of_the_run_sees(monkeypatch, tmp_path):
    (code,) = re.findall(r"```python\n(import jax\n.*?)```", GUIDE.read_text(), re.DOTALL)
    (folder,) = re.findall(r'load_run\("(.*)"\)', code)
    monkeypatch.chdir(tmp_path)
    write_method(tmp_path / Path(folder).parent, "original", (0,))
    names: dict = {}
    exec(compile(code, "self_supervised.md", "exec"), names)
    features, trained = names["features"], names["trained"]
    assert features.shape == (360, 8)
    assert features.dtype == jnp.float32
    pixels = names["images"] / 255
    np.testing.assert_allclose(names["inputs"], (pixels - 0.25) / 0.5, atol=1e-5)
    classifier = trained.variables["params"]["classifier"]
    logits = trained.network.apply(trained.variables, names["inputs"], train=False)
    told = features @ classifier["kernel"] + classifier["bias"]
    np.testing.assert_allclose(logits, told, atol=1e-4)

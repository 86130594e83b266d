"""The code of docs/blackbox.md runs as printed."""

import re
from pathlib import Path

import numpy as np

GUIDE = Path(__file__).parents[2] / "docs" / "blackbox.md"


def test_the_guides_search_finds_a_small_network(capsys):
    (code,) = re.findall(r"```python\n(import jax\n.*?)```", GUIDE.read_text(), re.DOTALL)
    names: dict = {}
    exec(compile(code, "blackbox.md", "exec"), names)
    trials, space = names["trials"], names["space"]
    assert len(trials.rewards) == 200
    sizes = space.parameters(trials.candidates, 10)
    np.testing.assert_allclose(trials.rewards, -sizes / 1e6, rtol=1e-6)
    assert space.parameters(names["best"], 10) == sizes.min() < sizes[0]
    assert capsys.readouterr().out.startswith(space.arch_string(names["best"]))

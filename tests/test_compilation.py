"""How programs are compiled: what is chosen, what is kept, and that sums are right."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnas import compilation, training
from jaxnas.training import loop


@pytest.mark.oldest
def test_float32_sums_are_right():
    """jaxlib 0.10.2 gives 1065369600 (jax-ml/jax#39103)."""
    matrix, rows = jnp.eye(3), np.zeros((32_769, 3), np.float32)
    rows[:, 0] = np.arange(len(rows))
    sums = jax.jit(jax.vmap(lambda row: ((matrix @ row) ** 2).sum()))(rows)
    assert float(sums[-1]) == 1073741824


def _convolutions(count, within):
    """A function of `count` convolutions, in a branch where `within`."""
    kernel = jnp.ones((3, 3, 2, 2)) / 18

    def convolve(x):
        for _ in range(count):
            x = jax.lax.conv_general_dilated(
                x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
            )
        return x

    if not within:
        return convolve
    return lambda x: jax.lax.cond(x.sum() > 0, convolve, lambda x: x, x)


@pytest.mark.parametrize(
    ("count", "within", "chosen"), [(8, False, True), (7, False, False), (8, True, False)]
)
def test_networks_of_dense_convolutions_get_onednn(monkeypatch, count, within, chosen):
    options = []
    jit = jax.jit

    def watched(function, compiler_options=None, **arguments):
        program = jit(function, **arguments)
        watched_run = lambda *operands: options.append(compiler_options) or program(*operands)  # noqa: E731
        watched_run.trace = program.trace
        return watched_run

    monkeypatch.setattr(compilation, "_has_onednn", lambda: True)
    monkeypatch.setattr(jax, "jit", watched)
    function, x = _convolutions(count, within), jnp.ones((1, 4, 4, 2))
    run = compilation.jit(function)
    for _ in range(2):
        np.testing.assert_allclose(run(x), jit(function)(x), rtol=1e-6)
    assert options == [compilation._ONEDNN if chosen else None] * 2


@pytest.mark.oldest
def test_a_program_is_traced_once():
    traces = []

    def function(x):
        traces.append(x.shape)
        return _convolutions(9, False)(x)

    run = compilation.jit(function)
    run(jnp.ones((1, 4, 4, 2)))
    run(jnp.zeros((1, 4, 4, 2)))
    assert traces == [(1, 4, 4, 2)]


@pytest.mark.parametrize(("runs", "chosen"), [(1999, "jax.jit"), (2000, "compilation.jit")])
def test_only_steps_of_long_trainings_get_options(monkeypatch, runs, chosen):
    taken = []
    for module, name in ((jax, "jax.jit"), (loop, "compilation.jit")):
        watched = lambda *_, name=name, **__: taken.append(name)  # noqa: E731
        monkeypatch.setattr(module, "jit", watched)
    training.python_loop(lambda state, batch, key: (state, {}), runs)
    assert taken == [chosen]


def test_an_option_that_the_library_does_not_know_is_left_out(monkeypatch):
    monkeypatch.setattr(compilation, "_ONEDNN", {"xla_cpu_of_another_version": True})
    compilation._has_onednn.cache_clear()
    try:
        assert not compilation._has_onednn()
        assert float(compilation.jit(lambda x: x + 1)(1.0)) == 2.0
    finally:
        compilation._has_onednn.cache_clear()


PROGRAM = """
import json, warnings
warnings.simplefilter("error")
from jaxnas.compilation import in_force, jit, keep_programs
keep_programs()
import jax, jax.numpy as jnp
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
hits = []
jax.monitoring.register_event_listener(
    lambda event, **_: hits.append(event) if event.endswith("/cache_hits") else None
)
x = jax.random.normal(jax.random.key(0), (2, 8, 8, 3))
kernel = jax.random.normal(jax.random.key(1), (3, 3, 3, 3))
def step(x, count):
    for _ in range(count):
        x = jnp.tanh(jax.lax.conv_general_dilated(
            x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")))
    return x
found = [jit(lambda x, count=count: step(x, count))(x) for count in (2, 9)]
print(json.dumps([[each.tobytes().hex() for each in map(jax.device_get, found)], len(hits)]))
"""


def _start(folder: Path | None, program: str = PROGRAM, said: str = "", **environment: str) -> list:
    """What the program prints, whose cache is in `folder`, after it `said` something."""
    dropped = ("JAX_COMPILATION_CACHE_DIR", "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS")
    dropped += ("XDG_CACHE_HOME",)
    kept = {name: value for name, value in os.environ.items() if name not in dropped}
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=kept | ({"XDG_CACHE_HOME": str(folder)} if folder else {}) | environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.startswith(said)
    assert bool(done.stderr) == bool(said)
    return json.loads(done.stdout)


def test_a_second_start_takes_kept_programs_to_the_same_bits(tmp_path):
    first, misses = _start(tmp_path)
    second, hits = _start(tmp_path)
    assert first == second
    assert misses == 0
    assert hits > 0


def test_nothing_is_kept_where_jax_is_told_so(tmp_path):
    _start(tmp_path, JAX_ENABLE_COMPILATION_CACHE="false")
    assert not list(tmp_path.rglob("*"))


def test_without_a_folder_to_write_to_one_sentence_says_so_and_programs_run(tmp_path):
    (tmp_path / "jaxnas").write_text("in the way")
    _start(tmp_path, said="compiled programs are not kept: ")


def test_without_a_home_one_sentence_says_so_and_programs_run():
    homeless = """
from pathlib import Path
def home(cls):
    raise RuntimeError("no home")
Path.home = classmethod(home)
"""
    _start(None, homeless + PROGRAM, said="compiled programs are not kept: no home\n")

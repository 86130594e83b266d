"""How programs are compiled: XLA's options on a CPU, and the programs that are kept on disk."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import math
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax

_ONEDNN = {"xla_cpu_experimental_onednn_custom_call": True}

_MANY = 8  # ResNet-20's step has 57 dense convolutions, one of separable convolutions three

MANY_RUNS = 2000
"""From so many runs on, a program that takes a tenth less time is worth a compilation."""

_MOST_KEPT = 2**30  # bytes


def jit(function: Callable[..., Any], many: int = _MANY, **arguments: Any) -> Any:
    """`jax.jit` with XLA's options chosen, for a program that is run often, and by itself.

    On a CPU, networks of dense convolutions get oneDNN's, which for few channels take half the time
    of XLA's own. XLA cannot write such programs to its cache on disk (jaxlib 0.12.0.1 gives up with
    std::bad_alloc), so that they are compiled at every start: hence `MANY_RUNS`.

    Args:
      function: as for `jax.jit`.
      many: from so many dense convolutions on, outside of branches and loops, oneDNN pays.
      arguments: as for `jax.jit`.
    """
    return _Program(function, many, arguments) if _has_onednn() else jax.jit(function, **arguments)


class _Program:
    """A jitted function whose options are chosen when its first operands are known."""

    def __init__(self, function: Callable[..., Any], many: int, arguments: dict[str, Any]) -> None:
        self._plain = jax.jit(function, **arguments)
        self._quick = jax.jit(function, compiler_options=_ONEDNN, **arguments)
        self._many = many
        self._is_quick: bool | None = None

    def _chosen(self, operands: tuple[Any, ...]) -> Any:
        if self._is_quick is None:  # JAX keeps the trace for the first run
            traced = self._plain.trace(*operands)
            self._is_quick = _convolutions(traced.jaxpr.jaxpr) >= self._many
        return self._quick if self._is_quick else self._plain

    def __call__(self, *operands: Any) -> Any:
        program = self._chosen(operands)
        with _nothing_kept() if self._is_quick else contextlib.nullcontext():
            return program(*operands)

    def lower(self, *operands: Any) -> Any:
        """As `jax.jit`'s."""
        return self._chosen(operands).lower(*operands)


@contextlib.contextmanager
def _nothing_kept() -> Iterator[None]:
    """No program that is compiled meanwhile is written to the cache on disk."""
    least = jax.config.jax_persistent_cache_min_compile_time_secs
    jax.config.update("jax_persistent_cache_min_compile_time_secs", math.inf)
    try:
        yield
    finally:
        jax.config.update("jax_persistent_cache_min_compile_time_secs", least)


@functools.cache
def _has_onednn() -> bool:
    """Whether the backend in use is a CPU whose jaxlib knows the option."""
    if jax.default_backend() != "cpu":
        return False
    try:
        jax.jit(lambda: 0, compiler_options=_ONEDNN).lower().compile()
    except jax.errors.JaxRuntimeError as error:
        if "No such compile option" in str(error):
            return False
        raise
    return True


def _convolutions(jaxpr: Any) -> int:
    """Dense convolutions wider than one pixel, but for those in branches and loops."""
    count = 0
    for equation in jaxpr.eqns:
        if equation.primitive.name == "conv_general_dilated":
            count += equation.params["feature_group_count"] == 1
        elif equation.primitive.name not in ("cond", "scan", "while"):
            count += sum(map(_convolutions, _inside(equation.params.values())))
    return count


def _inside(values: Any) -> Iterator[Any]:
    """The jaxprs among an equation's parameters."""
    for value in values:
        if hasattr(value, "eqns"):
            yield value
        elif hasattr(value, "jaxpr"):
            yield value.jaxpr


def in_force() -> dict[str, Any]:
    """What decides how programs are compiled, and so their last bits; JSON-able.

    Returns:
      ``onednn_for_long_trainings``, whether networks of dense convolutions are compiled with it
      where they train for at least `MANY_RUNS` steps, and ``xla_flags``.
    """
    return {
        "onednn_for_long_trainings": _has_onednn(),
        "xla_flags": os.environ.get("XLA_FLAGS", ""),
    }


def keep_programs() -> None:
    """Keeps compiled programs in the user's cache folder, so that a second start is quick.

    At most a GiB, the longest unused leave first. JAX's own settings come before it: a folder in
    JAX_COMPILATION_CACHE_DIR, and JAX_ENABLE_COMPILATION_CACHE=false for none.
    """
    if jax.config.jax_compilation_cache_dir or not jax.config.jax_enable_compilation_cache:
        return
    try:
        home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        folder = Path(home) / "jaxnas" / f"programs-{_processor()}"
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except (OSError, RuntimeError) as error:  # the latter of a user without a home
        print(f"compiled programs are not kept: {error}", file=sys.stderr)
        return
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_compilation_cache_max_size", _MOST_KEPT)


def _processor() -> str:
    """Short name of what the processor can do: a program of another one may not run here."""
    text = ""
    with contextlib.suppress(OSError):  # not Linux
        text = Path("/proc/cpuinfo").read_text()
    able = {line for line in text.splitlines() if line.startswith(("model name", "flags"))}
    return hashlib.sha256("\n".join(sorted(able)).encode()).hexdigest()[:8]

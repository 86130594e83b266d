"""Compiling for programs that run for less time than XLA takes to optimise them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax

# A step of a toy search compiles in 1.7 s of CPU time instead of 13.
QUICK: dict[str, bool | int | str] = {"xla_backend_optimization_level": 0}


def quick_jit(function: Callable[..., Any]) -> Any:
    """`jax.jit` without the optimisations that pay off over many calls."""
    return jax.jit(function, compiler_options=QUICK)

"""Networks run part by part, each part a program of its own.

On a CPU XLA's time to compile grows with the number of kernels, some milliseconds each, and a
supernet's step has many thousands: one program compiles for minutes. Most of its parts are alike:
an operation on images of one shape is compiled once, forward and backward, wherever it stands.
What is chosen at run time is chosen by Python, so that nothing else runs or is compiled.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
from jax.core import Tracer

_STATISTICS = "batch_stats"


def is_traced(tree: Any) -> bool:
    """Whether some array of `tree` is known only when a program runs, or is differentiated by."""
    return any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves(tree))


def run_part(module: nn.Module, variables: Any, *arguments: Any) -> tuple[Any, Any]:
    """The output of a module that stands alone, and its batch statistics after it.

    Modules with equal fields have one program for equal shapes.

    Args:
      module: without a parent.
      variables: ``params`` and ``batch_stats`` of it.
      arguments: of its call; flags, the first of which is `train`, are part of what is compiled.
    """
    flags = tuple(each if isinstance(each, bool) else None for each in arguments)
    arrays = tuple(None if isinstance(each, bool) else each for each in arguments)
    return _run(module, flags, variables, arrays)


@functools.partial(jax.jit, static_argnums=(0, 1))
def _run(
    module: nn.Module, flags: tuple[bool | None, ...], variables: Any, arrays: tuple[Any, ...]
) -> tuple[Any, Any]:
    pairs = zip(flags, arrays, strict=True)
    arguments = [array if flag is None else flag for flag, array in pairs]
    if True not in flags:
        return module.apply(variables, *arguments), variables.get(_STATISTICS, {})
    out, changed = module.apply(variables, *arguments, mutable=[_STATISTICS])
    # No gradient goes through them; without this every program would also compute its tangents.
    return out, jax.lax.stop_gradient(changed.get(_STATISTICS, {}))


def in_parts(*kinds: type[nn.Module]) -> Any:
    """A context in which every module of these kinds that another one calls is a `run_part`.

    One inside of another of them belongs to its program.
    """

    def run(
        call: Callable[..., Any], arguments: tuple[Any, ...], named: dict[str, Any], context: Any
    ) -> Any:
        module = context.module
        is_part = isinstance(module, kinds) and context.method_name == "__call__" and not named
        scope = module.scope
        is_inner = scope is not None and scope.parent is not None
        if not (is_part and is_inner) or module.is_initializing():
            return call(*arguments, **named)
        out, statistics = run_part(
            module.clone(parent=None, name=None), module.variables, *arguments
        )
        if module.is_mutable_collection(_STATISTICS):
            for name, value in statistics.items():
                module.put_variable(_STATISTICS, name, value)
        return out

    return nn.intercept_methods(run)

"""One of several computations, chosen at run time, in the memory of one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax

from jaxnas.nn import inspection

Branch = Callable[[Any, Any], tuple[jax.Array, Any]]
"""(what is learned of, what is not) to an output and what follows of the rest, which no gradient
goes through, such as batch statistics."""


def run_one(
    branches: Sequence[Branch], index: jax.Array, learned: Any, other: Any
) -> tuple[jax.Array, Any]:
    """What branch `index` gives, in the memory of one branch.

    The gradient of a `lax.switch` keeps what every branch would need for its own. Here the backward
    pass is a switch too: it keeps the inputs alone and runs the branch again before it
    differentiates it, one more forward pass. Over an axis of seeds (`vmap`) a branch becomes all
    branches and a selection. While a score is traced the gradient is the switch's own.

    Args:
      branches: with equal shapes of what they return.
      index: int32 scalar.
      learned: PyTree that gradients go to, such as parameters and an input.
      other: PyTree that none goes to.
    """

    if inspection.inspected():
        return inspection.switched(index, branches, learned, other)

    @jax.custom_vjp
    def run(index: jax.Array, learned: Any, other: Any) -> tuple[jax.Array, Any]:
        return jax.lax.switch(index, branches, learned, other)

    def forward(*inputs: Any) -> tuple[Any, Any]:
        return run(*inputs), inputs

    def backward(inputs: Any, gradients: Any) -> Any:
        index, learned, other = inputs

        def gradient(branch: Branch) -> Callable[[Any, Any, jax.Array], Any]:
            def of(learned: Any, other: Any, of_out: jax.Array) -> Any:
                _, vjp = jax.vjp(lambda learned: branch(learned, other)[0], learned)
                return vjp(of_out)[0]

            return of

        steps = [gradient(branch) for branch in branches]
        return None, jax.lax.switch(index, steps, learned, other, gradients[0]), None

    run.defvjp(forward, backward)
    return run(index, learned, other)

"""What a score without training is told by a network while it is traced.

Scores look at layers, which is nothing that a network puts out. In a supernet the layers of all
candidates are traced, and only those that run are to count. So a score's tracing is a context, and
where supernets choose they tell it: what a branch noted is a result of the branch, what a gate
weights counts as often as the gate says, and channels that are zeros in the place of what was not
chosen do not count.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from typing import Any

import jax
import jax.numpy as jnp


@dataclasses.dataclass
class _Inspection:
    """What is known so far.

    Attributes:
      noted: arrays of one shape, whose sum is asked for.
      weight: how often counts what runs now.
      partial: arrays with channels that do not count, and what their channels count, float32 [c].
      scales: logarithms of what `rescaled` divided by.
      rescale: whether it divides.
    """

    noted: list[jax.Array] = dataclasses.field(default_factory=list)
    weight: Any = 1.0
    partial: list[tuple[jax.Array, jax.Array]] = dataclasses.field(default_factory=list)
    scales: list[jax.Array] = dataclasses.field(default_factory=list)
    rescale: bool = False


_current: ContextVar[_Inspection | None] = ContextVar("inspection", default=None)


def inspected() -> bool:
    """Whether a score is traced: no program that was traced before may be called then."""
    return _current.get() is not None


@contextlib.contextmanager
def inspect(*, rescale: bool = False) -> Iterator[_Inspection]:
    """Inspects what is traced in this context; `rescale` makes `rescaled` do so."""
    before = _current.get()
    inspection = _Inspection(rescale=rescale)
    if before is not None:
        inspection.weight, inspection.partial = before.weight, list(before.partial)
    token = _current.set(inspection)
    try:
        yield inspection
    finally:
        _current.reset(token)


def note(value: jax.Array) -> None:
    """Adds `value` to what is noted, times the weight of what runs now."""
    inspection = _current.get()
    assert inspection is not None
    inspection.noted.append(inspection.weight * value)


def noted(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function` with a second result, the sum of what it notes; 0.0 if that is nothing."""

    def run(*arguments: Any) -> tuple[Any, Any]:
        with inspect() as inner:
            out = function(*arguments)
        return out, sum(inner.noted, jnp.zeros(()))

    return run


def switched(index: jax.Array, branches: Sequence[Callable[..., Any]], *operands: Any) -> Any:
    """`lax.switch`, which notes what the branch that runs notes."""
    if not inspected():
        return jax.lax.switch(index, branches, *operands)
    apart = [noted(branch) for branch in branches]
    shapes = [jax.eval_shape(branch, *operands)[1].shape for branch in apart]
    shape = max(shapes, key=len)

    def alike(branch: Callable[..., Any]) -> Callable[..., Any]:
        def run(*operands: Any) -> tuple[Any, jax.Array]:
            out, count = branch(*operands)
            return out, jnp.broadcast_to(count, shape)

        return run

    out, count = jax.lax.switch(index, [alike(branch) for branch in apart], *operands)
    _note_weighted(count)
    return out


def scanned(step: Callable[[Any, Any], tuple[Any, Any]], start: Any, xs: Any) -> tuple[Any, Any]:
    """`lax.scan`, which notes what all of its steps note."""
    if not inspected():
        return jax.lax.scan(step, start, xs)

    def apart(carry: Any, x: Any) -> tuple[Any, Any]:
        (carry, out), count = noted(step)(carry, x)
        return carry, (out, count)

    carry, (outs, counts) = jax.lax.scan(apart, start, xs)
    _note_weighted(counts.sum(0))
    return carry, outs


def _note_weighted(count: jax.Array) -> None:
    """Notes what an inner inspection noted, which weighted it."""
    inspection = _current.get()
    assert inspection is not None
    inspection.noted.append(count)


@contextlib.contextmanager
def counting(gate: Any) -> Iterator[None]:
    """What is noted in this context counts `gate` times, a float32 scalar; None for once."""
    inspection = _current.get()
    if inspection is None or gate is None:
        yield
        return
    before = inspection.weight
    inspection.weight = before * gate
    try:
        yield
    finally:
        inspection.weight = before


def tell_partial(x: jax.Array, present: Callable[[], jax.Array | None]) -> None:
    """Tells which channels of `x` [..., c] count.

    Args:
      x: what layers are called with.
      present: called where a score asks for it: 1 for the channels that count, 0 for those that are
        zeros in the place of what was not chosen, [c]; None if all count.
    """
    inspection = _current.get()
    if inspection is not None and (channels := present()) is not None:
        inspection.partial.append((x, channels.astype(jnp.float32)))


def present_channels(x: jax.Array) -> jax.Array | None:
    """What `tell_partial` told of `x`, float32 [c]; None if all channels count."""
    inspection = _current.get()
    known = [] if inspection is None else inspection.partial
    return next((present for array, present in known if array is x), None)


def rescaled(states: Any) -> Any:
    """A network's states so far, all divided by their largest value where a score asks for it."""
    inspection = _current.get()
    if inspection is None or not inspection.rescale:
        return states
    largest = jnp.stack([leaf.max() for leaf in jax.tree.leaves(states)]).max()
    largest = jax.lax.stop_gradient(jnp.where(largest > 0, largest, 1.0)).astype(jnp.float32)
    inspection.scales.append(jnp.log(largest))
    return jax.tree.map(lambda state: state / largest.astype(state.dtype), states)

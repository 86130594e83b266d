"""One loop for every step function.

On a CPU a Python loop over a jitted step is as fast as a `lax.scan`, tells of every step, which
takes a tenth of a second and more, and can be stopped between two. On an accelerator, where a step
takes milliseconds, a scan saves its dispatch. So the loop is an argument.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np

from jaxnas.compilation import MANY_RUNS, jit
from jaxnas.data.host.stream import HostData
from jaxnas.training.train import Step

Data = dict[str, tuple[jax.Array, jax.Array]]
"""Images uint8 [n, h, w, c] and labels int32 [n] on the device, by part: ``train``, ``arch``."""

Order = dict[str, jax.Array]
"""int32 [steps, batch]: which images of a part each step takes."""


class Epoch(Protocol):
    """(state, data, order, key, after each step) to the state and metrics [steps] by name.

    The data are `Data`, or of a `host_loop` a `HostData`. The state given is used up.
    """

    def __call__(
        self,
        state: Any,
        data: Any,
        order: Order,
        key: jax.Array,
        progress: Callable[[], None] = ...,
    ) -> tuple[Any, dict[str, jax.Array]]: ...


LoopFn = Callable[[Step], Epoch]
"""Turns a step into an epoch: `python_loop` or `scan_loop`."""


def _gather(data: Data, indices: Order) -> Data:
    return {part: (data[part][0][index], data[part][1][index]) for part, index in indices.items()}


def _nothing() -> None:
    """What a loop calls after each step if nobody watches."""


def python_loop(step: Step, runs: int = 0) -> Epoch:
    """A Python loop over the jitted step, which will run so often in all."""

    def one(state: Any, data: Data, order: Order, index: jax.Array, key: jax.Array) -> Any:
        return step(state, _batch(data, order, index), key)

    compiled = (jit if runs >= MANY_RUNS else jax.jit)(one, donate_argnums=0)
    return _one_by_one(compiled)


def eager_loop(step: Step) -> Epoch:
    """A Python loop over the step as it is, whose parts compile on their own."""
    batch = jax.jit(_batch)
    return _one_by_one(
        lambda state, data, order, index, key: step(state, batch(data, order, index), key)
    )


def _batch(data: Data, order: Order, index: jax.Array) -> Data:
    return _gather(data, {part: rows[index] for part, rows in order.items()})


def _one_by_one(one: Callable[..., tuple[Any, dict[str, jax.Array]]]) -> Epoch:
    """An epoch of `one`, which takes state, data, order, index and key."""

    def epoch(
        state: Any,
        data: Data,
        order: Order,
        key: jax.Array,
        progress: Callable[[], None] = _nothing,
    ) -> tuple[Any, dict[str, jax.Array]]:
        rows = []
        for index in range(_steps(order)):
            state, metrics = one(state, data, order, jnp.asarray(index, jnp.int32), key)
            jax.block_until_ready(metrics)
            rows.append(metrics)
            progress()
        return state, {name: jnp.stack([row[name] for row in rows]) for name in rows[0]}

    return epoch


def scan_loop(step: Step) -> Epoch:
    """One compiled `lax.scan` over all steps."""

    def whole(state: Any, data: Data, order: Order, key: jax.Array) -> Any:
        def body(state: Any, indices: Order) -> Any:
            return step(state, _gather(data, indices), key)

        return jax.lax.scan(body, state, order)

    jitted = jax.jit(whole, donate_argnums=0)

    def epoch(
        state: Any,
        data: Data,
        order: Order,
        key: jax.Array,
        progress: Callable[[], None] = _nothing,
    ) -> tuple[Any, dict[str, jax.Array]]:
        state, metrics = jitted(state, data, order, key)
        jax.block_until_ready(metrics)
        for _ in range(_steps(order)):
            progress()
        return state, metrics

    return epoch


_STEPS_AT_ONCE = 32
"""Most steps whose images are handed to an accelerator together."""


def host_loop(loop: LoopFn) -> LoopFn:
    """A loop whose data are `HostData`: some steps after the other, each by the loop given.

    The steps handed over at once divide those of an epoch, so that one program serves for all; on a
    CPU, where a step is run by itself, it is one. The results are bitwise those of the loop over
    the same images on the device, where a step's program is compiled to the same operations.
    """

    def hosted(step: Step) -> Epoch:
        epoch = loop(step)

        def whole(
            state: Any,
            data: HostData,
            order: Order,
            key: jax.Array,
            progress: Callable[[], None] = _nothing,
        ) -> tuple[Any, dict[str, jax.Array]]:
            most = 1 if jax.default_backend() == "cpu" else min(_STEPS_AT_ONCE, _steps(order))
            at_once = next(each for each in range(most, 0, -1) if _steps(order) % each == 0)
            rows = []
            for images, indices in data.chunks(order, at_once, key):
                state, metrics = epoch(state, images, indices, key, progress)
                rows.append(metrics)
            return state, {name: jnp.concatenate([row[name] for row in rows]) for name in rows[0]}

        return whole

    return hosted


def default_loop(runs: int = 0) -> LoopFn:
    """`python_loop` on a CPU, `scan_loop` elsewhere; of a step that will run so often in all."""
    if jax.default_backend() != "cpu":
        return scan_loop
    return functools.partial(python_loop, runs=runs)


def in_parts() -> LoopFn | None:
    """The loop of a supernet's step, of which one program compiles for minutes on a CPU
    (`nn.supernets.cell_supernet`): there it runs as it is."""
    return eager_loop if jax.default_backend() == "cpu" else None


def first_bad_step(losses: np.ndarray) -> int | None:
    """Index of the first loss that is not finite, None if all are. `losses` is [steps, ...]."""
    bad = ~np.isfinite(losses).all(tuple(range(1, losses.ndim)))
    return int(bad.argmax()) if bad.any() else None


def _steps(order: Order) -> int:
    return len(next(iter(order.values())))

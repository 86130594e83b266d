"""The smallest search of shared weights: two phases, a state of three numbers, no network."""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxnas.randomness import stream
from jaxnas.search import Found, SharedWeightSearch
from jaxnas.spaces import Genotype
from support import tiny

EPOCHS, BATCH, SHARE = 4, 8, 0.7  # of 80 images 56 and 24: seven steps of training, three of search
TRAIN_STEPS, ARCH_STEPS = 7, 3


class State(NamedTuple):
    step: jax.Array
    weights: jax.Array
    alpha: jax.Array


def search(stop_at=None, broken_from=None):
    """The weights follow the brightness of ``train`` with noise, alpha that of both parts.

    It searches in every epoch but the first.
    """

    def init(key: jax.Array) -> State:
        zero = jnp.zeros(())
        # One array in two places, as is natural for a start.
        return State(jnp.zeros((), jnp.int32), zero, zero)

    def brightness(part: Any) -> jax.Array:
        images, labels = part
        return (images.astype(jnp.float32).mean() + labels.astype(jnp.float32).mean()) / 255

    def train(state: State, batch: Any, key: jax.Array) -> tuple[State, Any]:
        noise = jax.random.normal(jax.random.fold_in(stream(key, "toy"), state.step))
        error = brightness(batch["train"]) + 0.01 * noise - state.weights
        if broken_from is not None:
            error = jnp.where(state.step >= broken_from, jnp.nan, error)
        state = state._replace(step=state.step + 1, weights=state.weights + 0.3 * error)
        return state, {"loss": error**2}

    def choose(state: State, batch: Any, key: jax.Array) -> tuple[State, Any]:
        error = brightness(batch["arch"]) - brightness(batch["train"])
        state = state._replace(step=state.step + 1, alpha=state.alpha + error + state.weights)
        return state, {"loss": error**2}

    def observe(state: State) -> dict[str, float]:
        row = {"alpha": float(state.alpha)}
        if stop_at is not None:
            row["stop"] = float(state.step >= stop_at)
        return row

    def found(state: State, data: Any, key: jax.Array) -> Found:
        assert {part: len(rows) for part, (rows, _) in data.items()} == {"train": 56, "arch": 24}
        return Found(genotype(float(state.alpha)), ("A note.",))

    return SharedWeightSearch(
        init=init,
        steps={"weights": train, "architecture": choose},
        parts={"weights": ("train",), "architecture": ("arch", "train")},
        plan=lambda epoch: ("weights", "architecture") if epoch else ("weights",),
        found=found,
        observe=observe,
    )


def genotype(alpha) -> Genotype:
    """A network that tells the last bit of alpha in its name."""
    return dataclasses.replace(tiny.BASE, name=f"toy {float(alpha).hex()}")

"""A small problem whose right architecture is known, over a real adaptation space.

Three blocks stand side by side, each with data and a target of its own; blocks 0 and 2 are placed
with one cell, so that with granularity ``cell`` they share a table and with ``full`` they do not
and have different answers. A node holds a signal and a nuisance, K numbers each. A target is a
linear map of the block's signal; what nuisance reaches the output is added to it, and no weight can
undo that. What ``same`` means depends on the edge:

* ``map``: the signal times a trained matrix, without the nuisance; the target needs it, and its
  norm is bounded, as behind a batch norm, so that it cannot make up for an edge that passes less.
  The answer is same: none loses the signal, an identity lets the nuisance through.
* ``noise``: fresh noise. The answer is none: an identity would let the nuisance through.
* ``worn``: a weak and noisy copy of the input. The answer is id.
* a shortcut beside them that lets the nuisance through: the answer is none.
* a null edge in a block without nuisance whose target contains the signal itself: id.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxnas.search import Adaptation, AdaptationState, Supernet, adaptation
from jaxnas.spaces import AdaptationSpace, Block, Cell, Edge, Genotype, Node
from jaxnas.spaces.adaptation import ID, NONE, SAME
from jaxnas.spaces.genotype import SKIP
from jaxnas.tasks import Task

K = 2
BATCH = 16
STEPS = 400
WARMUP = 100
ARCH_LEARNING_RATE = 0.03
LEARNING_RATE = 0.02

_NORMAL = Cell(
    "normal",
    inputs=1,
    nodes=(Node(), Node()),
    edges=(
        Edge("conv_3x3", 0, 1),
        Edge("conv_3x3", 0, 2),
        Edge("skip_connect", 0, 2),
        Edge("conv_3x3", 1, 2),
    ),
    output=(2,),
)
_SHORT = Cell(
    "short",
    inputs=1,
    nodes=(Node(), Node()),
    edges=(Edge("conv_3x3", 0, 1), Edge("null", 0, 2), Edge("conv_3x3", 1, 2)),
    output=(2,),
)
BASE = Genotype(
    "toy",
    "residual",
    stem=K,
    cells=(_NORMAL, _SHORT),
    blocks=(Block("normal", K), Block("short", K), Block("normal", K)),
)
BLOCKS, EDGES = len(BASE.blocks), len(_NORMAL.edges)
NUISANCE = np.array([1.0, 0.0, 1.0], np.float32)
"""The nuisance's standard deviation in each block's input."""

# What same does on each edge of each block, and the right choices of each table.
_FIRST = (("map", "noise", "", "worn"), (SAME, NONE, NONE, ID))
_MIDDLE = (("worn", "", "map", ""), (ID, ID, SAME, NONE))
_LAST = (("noise", "map", "", "noise"), (NONE, SAME, NONE, NONE))
KINDS = {
    "cell": (_FIRST[0], _MIDDLE[0], _FIRST[0]),
    "full": (_FIRST[0], _MIDDLE[0], _LAST[0]),
}
RIGHT = {
    "cell": np.array([_FIRST[1], _MIDDLE[1]]),
    "full": np.array([_FIRST[1], _MIDDLE[1], _LAST[1]]),
}


class Inputs(NamedTuple):
    """A batch: `nodes` [b, blocks, 2 K], signals then nuisances; `noise` [b, blocks, edges, K]."""

    nodes: jax.Array
    noise: jax.Array


def toy_apply(granularity: str) -> Callable[..., tuple[jax.Array, Any]]:
    """The network: (variables, `Inputs`, gates, train) to outputs [b, blocks, K]."""
    kinds = np.array(KINDS[granularity])
    edges = np.zeros((BLOCKS, EDGES, 3, 3), np.float32)  # [.., source, target]
    shortcut = np.zeros((BLOCKS, EDGES), np.float32)
    for block, cell in enumerate(BASE.placed_cells()):
        for index, edge in enumerate(cell.edges):
            edges[block, index, edge.source, edge.target] = 1
            shortcut[block, index] = edge.op == SKIP
    eye = np.eye(2 * K, dtype=np.float32)
    worn = np.diag(np.repeat([0.3, 1.0], K)).astype(np.float32)
    signal = eye[:K]
    fixed = np.multiply.outer(kinds == "worn", worn) + np.multiply.outer(shortcut, eye)
    trained = (kinds == "map")[..., None, None]
    noisy = (kinds == "worn") | (kinds == "noise")

    def apply(
        variables: Any, inputs: Inputs, gates: jax.Array, train: bool, drop: None = None
    ) -> tuple[jax.Array, Any]:
        matrix = variables["params"]  # [blocks, edges, K, K]
        norm = jnp.linalg.norm(matrix, axis=(-1, -2), keepdims=True)
        matrix = matrix * np.sqrt(K) / jnp.maximum(norm, np.sqrt(K))
        same = trained * (signal.T @ matrix @ signal) + fixed
        weighted = gates[..., ID, None, None] * eye + gates[..., SAME, None, None] * same
        paths = jnp.einsum("kest,keij->stkij", edges, weighted)
        noise = jnp.einsum("kest,ke,bkei->tbki", edges, gates[..., SAME] * noisy, inputs.noise)
        noise = noise @ signal

        def follow(nodes: jax.Array, source: int, target: int) -> jax.Array:
            return jnp.einsum("bki,kij->bkj", nodes, paths[source, target])

        middle = follow(inputs.nodes, 0, 1) + noise[1]
        out = follow(inputs.nodes, 0, 2) + follow(middle, 1, 2) + noise[2]
        mean = variables["batch_stats"]["mean"]
        if train:
            mean = 0.9 * mean + 0.1 * inputs.nodes.mean((0, 1))
        return out[..., :K] + out[..., K:], {"mean": mean}

    return apply


TASK = Task(
    prepare=lambda key, inputs, targets: (inputs, targets),
    judge=lambda key, inputs, targets: (inputs, targets),
    inputs=lambda inputs: inputs,
    loss=lambda outputs, targets: jnp.square(outputs - targets).mean((0, 2)).sum(),
    score=lambda outputs, targets: {},
    outputs=K,
)


class Problem(NamedTuple):
    """What one seed is about: variables, data of `STEPS` steps and the maps of the targets."""

    variables: Any
    inputs: Inputs  # [steps, parts, b, ...]
    targets: np.ndarray  # [steps, parts, b, blocks, K]
    maps: np.ndarray  # [blocks, K, K]


def problem(seed: int, parts: int = 1, steps: int = STEPS) -> Problem:
    """Targets turn by 45 to 75 degrees; block 1's adds its signal, which no bounded map can."""
    rng = np.random.default_rng(seed)
    angle = rng.choice([-1, 1], BLOCKS) * rng.uniform(np.pi / 4, 5 * np.pi / 12, BLOCKS)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    maps = np.moveaxis(turn, -1, 0)
    maps[1] += np.eye(K)
    nodes = rng.normal(size=(steps, parts, BATCH, BLOCKS, 2, K))
    nodes[..., 1, :] *= NUISANCE[:, None]
    noise = rng.normal(size=(steps, parts, BATCH, BLOCKS, EDGES, K))
    targets = np.einsum("...ki,kij->...kj", nodes[..., 0, :], maps)
    return Problem(
        {
            "params": np.float32(0.3 * rng.normal(size=(BLOCKS, EDGES, K, K))),
            "batch_stats": {"mean": np.zeros(2 * K, np.float32)},
        },
        Inputs(np.float32(nodes.reshape(*nodes.shape[:-2], 2 * K)), np.float32(noise)),
        np.float32(targets),
        maps,
    )


def toy_adaptation(granularity: str, **options: Any) -> Adaptation:
    """The search over the toy; `options` are those of `adaptation` and override the usual ones."""
    space = AdaptationSpace(BASE, granularity)
    supernet = Supernet(
        toy_apply(granularity),
        lambda variables: variables,  # they are the key of the toy
        lambda gates: gates[space.table_of_block],
        space.derive,
    )
    return adaptation(
        supernet,
        space,
        TASK,
        optax.adam(LEARNING_RATE),
        **{"arch_learning_rate": ARCH_LEARNING_RATE, "warmup_steps": WARMUP, **options},
    )


def run(search: Adaptation, parts: int, seeds: int) -> tuple[AdaptationState, np.ndarray]:
    """The states after `STEPS` steps and the losses [seeds, steps], all seeds in one program."""
    names = ("train", "arch")[:parts]

    def one(problem: Problem, key: jax.Array) -> tuple[AdaptationState, jax.Array]:
        def step(state: AdaptationState, now: Any) -> tuple[AdaptationState, jax.Array]:
            batch = {
                name: jax.tree.map(lambda array, part=part: array[part], now)
                for part, name in enumerate(names)
            }
            state, metrics = search.step(state, batch, key)
            return state, metrics["loss"]

        data = (problem.inputs, problem.targets)
        return jax.lax.scan(step, search.init(problem.variables), data)

    problems = jax.tree.map(
        lambda *leaves: np.stack(leaves), *(problem(seed, parts) for seed in range(seeds))
    )
    states, losses = jax.jit(jax.vmap(one))(problems, jax.vmap(jax.random.key)(np.arange(seeds)))
    return jax.device_get(states), np.asarray(losses)

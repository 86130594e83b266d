"""Scores without training: every score of every supernet is that of the network built alone."""

import functools
import itertools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnas import nn
from jaxnas.nn import kernels
from jaxnas.nn.supernets.cell_supernet import CellSupernet
from jaxnas.search import gradient_norm, naswot, synflow
from jaxnas.spaces import AdaptationSpace, ChainSpace, NASBench201Space
from jaxnas.spaces.block_cells import BlockCellSpace, enas_micro_space
from jaxnas.spaces.cells import CellSpace
from jaxnas.spaces.enas_macro import EnasMacroSpace
from jaxnas.spaces.transitions import Cells
from support.networks import SMALL, by_path, images, random_variables, zero_gates

SHAPE, CLASSES = (8, 8, 3), 5
X, LABELS = images(batch=6, shape=SHAPE), jnp.arange(6) % CLASSES

SCORES = {
    "synflow": lambda network, variables, *args: synflow(network, variables, SHAPE, *args),
    "naswot": lambda network, variables, *args: naswot(network, variables, X, *args),
    "gradient_norm": lambda network, variables, *args: gradient_norm(
        network, variables, X, LABELS, *args
    ),
}


class Chosen(NamedTuple):
    """A candidate: a supernet's variables and inputs, and the network alone and its variables."""

    variables: Any
    inputs: Any
    alone: Any
    own: Any


def nasbench201():
    space = NASBench201Space(channels=4, cells=1)
    supernet = nn.NASBench201Supernet(space, CLASSES)
    variables = random_variables(supernet, jnp.zeros((6, 5)), shape=SHAPE)
    # Every operation; an edge from nowhere; no path but one.
    for candidate in ([3, 1, 2, 4, 2, 0], [0, 3, 2, 1, 4, 3], [0, 0, 0, 2, 0, 3]):
        alone = nn.build(space.decode(np.array(candidate)), CLASSES)
        own = nn.cut(variables, alone, SHAPE)
        yield supernet, Chosen(variables, jnp.eye(5)[np.array(candidate)], alone, own)


def chain(inputs):
    space = ChainSpace(
        stem=3, first=4, stages=((5, 2, 2),), head=8, kernels=(3, 5), expansions=(1, 3)
    )
    supernet = nn.ChainSupernet(space, CLASSES)
    variables = random_variables(supernet, jnp.zeros(2, jnp.int32), shape=SHAPE)
    for candidate in ([1, 2], [3, 4]):  # the last option of the second block is Zero
        choices = np.array(candidate)
        alone, own = nn.cut_chain(space, variables, choices, CLASSES)
        yield supernet, Chosen(variables, inputs(space, jnp.asarray(choices)), alone, own)


def choices_of_chain(space, choices):
    return choices.astype(jnp.int32)


def gates_of_chain(space, choices):
    return jax.nn.one_hot(choices, space.shape[1])


def pairs_of_chain(space, choices):
    # The other path is run, and weighs nothing.
    return nn.Pair(jnp.stack([choices, 0 * choices], 1), jnp.eye(2)[jnp.zeros_like(choices)])


CELLS = CellSpace(("skip_connect", "sep_conv_3x3", "conv_1x1"), 4, 3, nodes=2)


def cells(as_gates):
    supernet = CellSupernet(CELLS, CLASSES)
    variables = random_variables(supernet, jnp.zeros(CELLS.shape), shape=SHAPE)
    for seed in range(2):
        generator = np.random.default_rng(seed)
        sources = np.stack(
            [[generator.permutation(target)[:2] for target in (2, 3)] for _ in range(2)]
        )
        operations = generator.integers(0, 3, sources.shape)
        if seed == 0:
            operations[0, 0], operations[1, 1] = [0, 1], [2, 1]
        # Of the first candidate a node of either cell is not put out.
        outputs = np.ones((2, 2)) if as_gates or seed else np.array([[0, 1], [1, 0]])
        tables = [
            [
                (CELLS.operations[operations[at]], int(sources[at]), at[1] + 2)
                for at in ((table, *place) for place in np.ndindex(2, 2))
            ]
            for table in range(2)
        ]
        put_out = [[2 + node for node in range(2) if row[node]] for row in outputs]
        genotype = CELLS.genotype("alone", *tables, outputs=put_out)
        gates = np.zeros(CELLS.shape, np.float32)
        for (table, node, slot), source in np.ndenumerate(sources):
            edge = CELLS.edges.index((int(source), node + 2))
            gates[table, edge, operations[table, node, slot]] = 1
        paths = Cells(*map(jnp.asarray, (sources, operations, outputs.astype(np.float32))))
        inputs = jnp.asarray(gates) if as_gates else paths
        alone = nn.build(genotype, CLASSES)
        yield supernet, Chosen(variables, inputs, alone, cut_cells(variables, alone))


def cut_cells(variables, network):
    """What `network` has of a `CellSupernet`'s variables; norms without a scale have 1 and 0."""
    genotype = network.genotype

    def name(path):
        collection, module, *rest = path
        if module.startswith("stem_"):
            return (collection, "stem", module.removeprefix("stem_"), *rest)
        if rest[0].startswith("edge_"):
            position, op = rest[0].removeprefix("edge_").split("_", 1)
            cell = genotype.placed_cells()[int(module.removeprefix("block_"))]
            edge = cell.edges[int(position)]
            rest[0] = f"edge_{edge.source}_{edge.target}_{op}"
        return (collection, module, *rest)

    def pick(path, leaf):
        known = by_path(variables).get(name([part.key for part in path]))
        if known is None:
            return jnp.full(leaf.shape, {"scale": 1.0, "bias": 0.0}[path[-1].key])
        if known.shape != leaf.shape:  # its input has fewer channels, those of nodes put out
            module = path[1].key
            source = len(genotype.blocks) - 1
            if module != "classifier":
                _, index, _, state = module.split("_")
                source = genotype.inputs_of(int(index))[int(state)]
            width = genotype.blocks[source].channels
            put_out = (node - 2 for node in genotype.placed_cells()[source].output)
            rows = np.concatenate([np.arange(width) + width * node for node in put_out])
            known = known[..., rows, :]
        return jnp.asarray(known)

    return jax.tree_util.tree_map_with_path(pick, nn.abstract_variables(network, SHAPE))


def macro():
    space = EnasMacroSpace(layers=4, channels=4)
    supernet = nn.MacroSupernet(space, CLASSES)
    some = nn.macro_choice(space, np.zeros(len(space.decisions)))
    variables = random_variables(supernet, some, shape=SHAPE)
    for seed in range(2):
        candidate = np.random.default_rng(seed).integers(0, space.options).astype(np.int32)
        alone = nn.build(space.decode(candidate), CLASSES)
        own = nn.cut_macro(supernet, variables, candidate)
        yield supernet, Chosen(variables, nn.macro_choice(space, candidate), alone, own)


FEW = ("skip_connect", "max_pool_3x3", "conv_3x3")
NASNET = BlockCellSpace(
    "small", "nasnet", FEW, blocks=2, tables=("normal", "reduction"), channels=4, cell_count=2
)
COMBINED = BlockCellSpace(
    "small", "nasnet", FEW, blocks=2, tables=("cell",), channels=4, cell_count=2, combine=True
)
PNAS = BlockCellSpace(
    "small", "nasnet", FEW, blocks=2, tables=("cell",), channels=4, cell_count=2, output="all"
)


def children(space, shared=False):
    supernet = nn.Child(space, CLASSES, shared=shared)
    for seed in range(3):
        candidate = np.random.default_rng(seed).integers(0, space.options).astype(np.int32)
        key = jax.random.key(0)
        variables = (
            nn.shared_variables(supernet, key, SHAPE)
            if shared
            else nn.child_variables(supernet, key, SHAPE, candidate)
        )
        alone = nn.build(space.decode(candidate), CLASSES)
        own = nn.cut_child(supernet, variables, candidate)
        yield supernet, Chosen(variables, nn.child_choices(supernet, candidate), alone, own)


def adaptation(name):
    space = AdaptationSpace(SMALL[name], "full")
    supernet = nn.supernet(space, CLASSES)
    variables = random_variables(supernet, zero_gates(space), shape=SHAPE)
    candidates = (
        np.random.default_rng(seed).choice(3, len(space.options), p=[0.2, 0.3, 0.5])
        for seed in range(100)
    )
    connected = [each for each in candidates if space.decode(each).connected()]
    for candidate in connected[:3]:
        alone = nn.build(space.decode(candidate), CLASSES)
        gates = jnp.asarray(space.one_hot_gates(space.table(candidate)))
        yield supernet, Chosen(variables, gates, alone, nn.cut(variables, alone, SHAPE))


SUPERNETS = {
    "nasbench201": nasbench201,
    "chain": functools.partial(chain, choices_of_chain),
    "chain, gates": functools.partial(chain, gates_of_chain),
    "chain, pairs": functools.partial(chain, pairs_of_chain),
    "cells": functools.partial(cells, False),
    "cells, gates": functools.partial(cells, True),
    "macro": macro,
    "pnas": functools.partial(children, PNAS),
    "nasnet": functools.partial(children, NASNET),
    "combined": functools.partial(children, COMBINED),
    "adapted residual": functools.partial(adaptation, "resnets"),
    "adapted cells": functools.partial(adaptation, "tangle"),
    "shared enas": functools.partial(children, enas_micro_space(2, channels=4, cell_count=3), True),
}


QUICK = [("chain", "naswot"), ("chain, gates", "naswot")]


@pytest.fixture(autouse=True)
def _portable():
    """Programs that compile in a tenth of the time."""
    with kernels.portable():
        yield


@pytest.mark.parametrize(
    ("name", "score"),
    [
        # The others compile for too long.
        each if each in QUICK else pytest.param(*each, marks=pytest.mark.slow)
        for each in itertools.product(SUPERNETS, SCORES)
    ],
)
def test_a_supernet_scores_the_chosen_network_with_one_compilation(name, score):
    found, wanted, program = [], [], None
    for supernet, chosen in SUPERNETS[name]():
        program = program or jax.jit(functools.partial(SCORES[score], supernet))
        found.append(program(chosen.variables, chosen.inputs))
        alone = jax.jit(functools.partial(SCORES[score], chosen.alone))
        wanted.append(alone(chosen.own))
    np.testing.assert_allclose(found, wanted, rtol=1e-4)
    assert len(np.unique(np.round(wanted, 3))) > 1, "they say something"
    assert program._cache_size() == 1

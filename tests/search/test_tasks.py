"""Every search learns from labels or without, by the same steps; without, labels change nothing."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnas import search, training
from jaxnas.data import Augmentation, Views
from jaxnas.nn import CandidateCosts, Projector, Representation
from jaxnas.spaces import AdaptationSpace, ChainSpace, zoo
from jaxnas.spaces.cells import CellSpace
from jaxnas.spaces.transitions import nat_space, transformable
from jaxnas.tasks import simclr, simsiam, supervised

MEAN, STD = np.full(3, 0.5, np.float32), np.full(3, 0.25, np.float32)
VIEWS = Views(jitter=0.0, grey=0.0)
TASKS = {
    "labels": supervised(4, MEAN, STD, Augmentation(pad=1)),
    "simclr": simclr(MEAN, STD, VIEWS, projector=Projector((4,))),
    "simsiam": simsiam(MEAN, STD, VIEWS, projector=Projector((4,), predictor=4)),
}
VARIABLES = {
    "params": {"w": jax.random.normal(jax.random.key(0), (48, 4)), "p": jnp.eye(4)[::-1]},
    "batch_stats": {},
}
CELLS = CellSpace(("null", "skip_connect", "sep_conv_3x3"), channels=2, layers=3, nodes=1)
BASE = zoo.named("darts_v2", channels=4, cells=3)
CHAIN = ChainSpace(stem=2, first=2, stages=((2, 2, 1),), head=2, kernels=(3, 5))


def apply(heads: bool) -> Any:
    """A linear map of 4x4 pixels whose outputs are mixed by the architecture, whatever it is."""

    def run(variables: Any, inputs: jax.Array, paths: Any, train: bool, noise: Any = None) -> Any:
        leaves = jax.tree.leaves(paths[1] if type(paths) is tuple else paths)
        numbers = jnp.concatenate([jnp.ravel(jnp.asarray(leaf, jnp.float32)) for leaf in leaves])
        turn = jnp.sin(numbers @ jnp.arange(1.0, 1 + numbers.size))
        params = variables["params"]
        features = inputs.reshape(len(inputs), -1) @ params["w"]
        out = features + turn * features**2
        stats = variables["batch_stats"]
        return (Representation(features, out, out @ params["p"]) if heads else out), stats

    return run


def searches(task: Any, heads: bool) -> dict[str, Any]:
    """By name: the first state, a step in which the architecture learns, and what that moves."""
    network, key = apply(heads), jax.random.key(0)
    optimizer = training.sgd(0.1, 10)
    supernet = search.Supernet(
        network, lambda key: VARIABLES, lambda chosen: chosen, lambda answer: BASE
    )
    adapting = search.adaptation(
        supernet,
        AdaptationSpace(zoo.named("resnet20"), "cell"),
        task,
        optimizer,
        estimator="mixed",
        arch_learning_rate=0.1,
    )
    darts = search.darts(
        supernet,
        CELLS,
        task,
        search.DartsSettings(order="second"),
        epochs=1,
        steps_per_epoch=3,
    )
    chain_costs = CandidateCosts(np.zeros(CHAIN.shape), 1.0, "crumbs")
    chains = {
        estimator: search.proxylessnas(
            supernet,
            CHAIN,
            task,
            search.ProxylessSettings(
                estimator=estimator, warmup_share=0.0, arch_every=1, samples=3
            ),
            costs=chain_costs,
            where_ran=lambda choices, after, before: after,
            epochs=1,
            steps_per_epoch=3,
        )
        for estimator in ("full", "reinforce")
    }
    space = nat_space(BASE, "v1", channels=4, layers=3)
    transformer = search.nat(supernet, transformable(space, BASE, "v1"), task)
    return {
        "adaptation": (adapting.init(key), adapting.step, "theta"),
        "darts": (darts.init(key), darts.steps["search"], "alpha"),
        "nat": (transformer.init(key), transformer.steps["policy"], "policy"),
        **{
            f"proxylessnas {name}": (each.init(key), each.steps["joint"], "alpha")
            for name, each in chains.items()
        },
    }


def batch(labels: int) -> Any:
    images = jax.random.randint(jax.random.key(1), (2, 8, 4, 4, 3), 0, 256).astype(jnp.uint8)
    return {
        part: (images[i], (jnp.arange(8) * labels) % 4) for i, part in enumerate(("train", "arch"))
    }


SEARCHES = ("adaptation", "darts", "nat", "proxylessnas full", "proxylessnas reinforce")


# A search sees of a task its loss alone: one without labels is quick for each search, the other for
# one of them.
@pytest.mark.quick_cases(1)
@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (kind, name)
        if kind == "simclr" or name == "darts"
        else pytest.param(kind, name, marks=pytest.mark.slow)
        for kind in ("simclr", "simsiam")
        for name in SEARCHES
    ],
)
def test_every_search_learns_without_labels(kind: str, name: str):
    moved = moves(kind, name)
    assert (moved[0] == moved[1]).all(), "labels change nothing"


@pytest.mark.quick_cases(1)
@pytest.mark.parametrize("name", ["adaptation", "darts", "nat", "proxylessnas full"])
def test_every_search_learns_labels_by_the_same_steps(name: str):
    moved = moves("labels", name)
    assert (moved[0] != moved[1]).any(), "other labels, other moves"


def moves(kind: str, name: str) -> Any:
    """What the architecture parameters become in two steps, with some labels and with others."""
    start, step, moved = searches(TASKS[kind], kind != "labels")[name]
    step = jax.jit(step)
    afters = []
    for labels in (1, 3):
        state = start
        for _ in range(2):
            state, metrics = step(state, batch(labels), jax.random.key(2))
        assert all(np.isfinite(each).all() for each in jax.tree.leaves(metrics))
        before, after = (
            np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(getattr(each, moved))])
            for each in (start, state)
        )
        assert (before != after).any()
        afters.append(after)
    return afters

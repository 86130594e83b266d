"""NAT: its policy against another implementation, its rewards against known ones."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnas.search.shared import nat as method
from jaxnas.search.shared.supernet import Supernet
from jaxnas.spaces import zoo
from jaxnas.spaces.transitions import (
    OPERATION_SETS,
    nat_space,
    random_form,
    transformable,
    transformed,
    transitions,
)
from jaxnas.tasks import Task

BASE = zoo.named("darts_v2", channels=4, cells=3)
SPACE = nat_space(BASE, "v1", channels=4, layers=3)
ACTIONS = transitions(SPACE.operations, "v1")
NULL, SKIP = SPACE.operations.index("null"), SPACE.operations.index("skip_connect")
ORIGINAL = transformable(SPACE, BASE, "v1")
EVERY = np.arange(len(SPACE.operations))


@pytest.mark.parametrize(("operations", "actions", "params"), [(9, 3, 320_330), (13, 13, 322_750)])
def test_the_policy_has_its_published_size(operations, actions, params):
    policy = method.init_policy(jax.random.key(0), operations, actions)
    assert sum(math.prod(leaf.shape) for leaf in policy.values()) == params


def published_logits(policy, sources, operations):
    """The published network node by node: features, two graph convolutions, a linear layer."""
    policy = {name: np.asarray(value, np.float64) for name, value in policy.items()}
    nodes = len(sources)
    features = [policy["input"][0], policy["input"][1]]
    for first, second in operations:
        features.append(np.concatenate([policy["operation"][first], policy["operation"][second]]))
    hidden = [each @ policy["linear"] + policy["linear_bias"] for each in features]
    for layer in (0, 1):
        out = []
        for node in range(nodes + 2):
            total = policy[f"graph_{layer}_bias"].copy()
            for source in sources[node - 2] if node > 1 else ():
                total += hidden[source] @ policy[f"graph_{layer}"]
            out.append(np.maximum(total, 0) if layer == 0 else total)
        hidden = out
    rows = [each @ policy["actions"] + policy["actions_bias"] for each in hidden[2:]]
    return np.stack(rows).reshape(nodes, 2, -1)


def test_the_policy_is_the_published_one():
    policy = method.init_policy(jax.random.key(1), 9, 3)
    cells = method.random_cells(jax.random.key(2), SPACE.nodes, EVERY, loose_ends=False)
    sources, operations = np.array(cells.sources[0]), np.asarray(cells.operations[0])
    sources[-1] = 3  # both edges of the last node come from one node
    expected = published_logits(policy, sources, operations)
    found = method.logits(policy, jnp.asarray(sources), jnp.asarray(operations))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
    assert np.ptp(expected) > 0.1


def test_random_cells_are_uniform_and_in_order():
    keys = jax.random.split(jax.random.key(0), 4000)
    carrying = EVERY[EVERY != NULL]
    cells = jax.vmap(lambda key: method.random_cells(key, SPACE.nodes, carrying, loose_ends=True))(
        keys
    )
    operations, sources = np.asarray(cells.operations), np.asarray(cells.sources)
    assert NULL not in operations
    shares = np.bincount(operations.ravel(), minlength=9) / operations.size
    np.testing.assert_allclose(np.delete(shares, NULL), 1 / 8, atol=0.005)
    for node in range(SPACE.nodes):
        shares = np.bincount(sources[:, :, node].ravel(), minlength=node + 2) / (16000)
        np.testing.assert_allclose(shares, 1 / (node + 2), atol=0.015)
    used = (sources[..., None] == np.arange(2, 6)).any((2, 3))
    np.testing.assert_array_equal(cells.outputs, 1.0 - used)
    whole = method.random_cells(keys[0], SPACE.nodes, EVERY, loose_ends=False)
    assert (whole.outputs == 1).all()


def test_what_is_connected_is_what_the_genotype_says():
    generator = np.random.default_rng(0)
    base = zoo.named("resnet20_cells")
    space = nat_space(base, "v1", channels=4, layers=3)
    _, original, actions = transformable(space, base, "v1")
    seen = set()
    for _ in range(200):
        chosen = generator.integers(0, 3, original.operations.shape)
        paths = original._replace(operations=actions.targets[original.operations, chosen])
        genotype = transformed(space, base, paths.operations)
        expected = [cell.connected() for cell in space.cells_of(genotype)]
        assert method.connected(jax.tree.map(jnp.asarray, paths), actions.null).tolist() == expected
        seen.add(tuple(expected))
    assert len(seen) == 4


def test_a_network_is_decoded_as_it_was_encoded():
    decoded = transformed(SPACE, BASE, ORIGINAL.cells.operations)
    assert decoded.cells == BASE.cells
    assert decoded.blocks == BASE.blocks


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_transformations_follow_the_policy(version):
    operations = OPERATION_SETS[version][0]
    actions = transitions(operations, version)
    policy = method.init_policy(jax.random.key(3), len(operations), actions.targets.shape[1])
    every = np.arange(len(operations))
    beta = method.random_cells(jax.random.key(4), 4, every, loose_ends=False)
    keys = jax.random.split(jax.random.key(5), 3000)
    alphas, log_p, entropy = jax.vmap(
        lambda key: method.transform(policy, actions, key, beta, 0.0)
    )(keys)
    before, after = np.asarray(beta.operations), np.asarray(alphas.operations)
    scores = np.stack(
        [
            published_logits(policy, *(np.asarray(each[table]) for each in beta[:2]))
            for table in (0, 1)
        ]
    )
    total, surprise = 0.0, 0.0
    for place in np.ndindex(*before.shape):
        valid = actions.valid[before[place]]
        p = np.where(valid, np.exp(scores[place] - scores[place].max()), 0)
        p /= p.sum()
        by_target = np.bincount(actions.targets[before[place]], p, len(operations))
        shares = np.bincount(after[(slice(None), *place)], minlength=len(operations)) / len(keys)
        np.testing.assert_allclose(shares, by_target, atol=0.05)
        total -= sum(each * np.log(each) for each in p[p > 0])
        surprise += (p[p > 0] * np.log(p[p > 0])).sum()
    np.testing.assert_allclose(entropy, total, rtol=1e-3)
    # The mean log-probability of what is drawn is minus the entropy.
    assert np.asarray(log_p).mean() == pytest.approx(surprise, rel=0.05)


def toy(faithful=False):
    """A search whose every network is right about the share of its edges that are identities."""

    def apply(variables, inputs, paths, train, noise=None):
        share = (jnp.asarray(paths.operations) == SKIP).mean()
        right = inputs[:, 0, 0, 0] < share
        logits = jnp.stack([~right, right], -1) * (1.0 + variables["params"]["scale"])
        return logits, variables["batch_stats"]

    task = Task(
        prepare=lambda key, images, labels: (images, labels),
        judge=lambda key, images, labels: (images, labels),
        inputs=lambda images: images,
        loss=lambda outputs, labels: (outputs**2).mean(),
        score=lambda outputs, labels: {
            "accuracy": (outputs.argmax(-1) == labels).astype(jnp.float32)
        },
        outputs=2,
    )
    variables = {"params": {"scale": jnp.ones(())}, "batch_stats": {}}
    supernet = Supernet(
        apply,
        lambda key: variables,
        lambda cells: cells,
        lambda operations: transformed(SPACE, BASE, operations),
    )
    return method.nat(supernet, ORIGINAL, task, faithful=faithful, batch_size=50)


IMAGES = (jnp.arange(50.0).reshape(-1, 1, 1, 1) / 50, jnp.ones(50, jnp.int32))


def share_of_skips(genotype):
    ops = [edge.op for cell in genotype.cells for edge in cell.edges]
    return ops.count("skip_connect") / len(ops)


@pytest.mark.slow
def test_the_policy_learns_what_is_rewarded():
    search = toy()
    key = jax.random.key(0)
    state = search.init(key)
    start = search.found(state, {"arch": IMAGES}, key)

    @jax.jit
    def learn(state):
        def step(state, _):
            state, metrics = search.steps["policy"](state, {"arch": IMAGES}, key)
            return state, metrics["reward"]

        return jax.lax.scan(step, state, length=500)

    state, rewards = learn(state)
    rewards = np.asarray(rewards)
    assert np.mean(rewards[-100:]) > np.mean(rewards[:50]) + 0.2
    found = search.found(state, {"arch": IMAGES}, key)
    assert share_of_skips(found.genotype) >= 0.8
    assert share_of_skips(found.genotype) > share_of_skips(start.genotype)
    assert search.observe(state)["kept"] < 0.5
    assert float(state.baseline / state.seen) == pytest.approx(np.mean(rewards[-200:]), abs=0.1)


@pytest.mark.slow
def test_the_published_baseline_averages_the_centred_reward():
    key = jax.random.key(0)
    batch = {"arch": IMAGES}
    clean, quirky = toy(), toy(faithful=True)
    for search, faithful in ((clean, False), (quirky, True)):
        state, baseline = search.init(key), 0.0
        for _ in range(5):
            state, metrics = jax.jit(search.steps["policy"])(state, batch, key)
            reward = float(metrics["reward"])
            followed = reward - baseline if faithful else reward
            baseline = 0.99 * baseline + 0.01 * followed
            assert float(state.baseline) == pytest.approx(baseline, abs=1e-6)


def test_weights_learn_by_random_cells():
    search, key = toy(), jax.random.key(0)
    state = search.init(key)
    state, metrics = jax.jit(search.steps["weights"])(state, {"train": IMAGES}, key)
    # d(mean of outputs²)/d scale with weight decay 3e-4 and learning rate 0.01: half of the
    # outputs are 1 + scale = 2, the others 0.
    assert float(metrics["loss"]) == pytest.approx(2.0)
    expected = 1 - 0.01 * (2 * 2 / 2 + 3e-4)
    assert float(state.variables["params"]["scale"]) == pytest.approx(expected)
    assert search.plan(0) == ("weights", "policy")


def dead_policy(search, key):
    """A policy that removes every edge."""
    state = search.init(key)
    bias = jnp.tile(jnp.array([50.0, 0.0, 0.0]), 2)
    policy = {name: jnp.zeros_like(leaf) for name, leaf in state.policy.items()}
    return state._replace(policy=policy | {"actions_bias": bias})


def test_a_dead_answer_is_refused_or_told():
    key = jax.random.key(0)
    clean, quirky = toy(), toy(faithful=True)
    found = clean.found(dead_policy(clean, key), {"arch": IMAGES}, key)
    assert found.genotype == BASE
    assert "10 of 10" in found.notes[0]
    found = quirky.found(dead_policy(quirky, key), {"arch": IMAGES}, key)
    assert not found.genotype.connected()
    assert "disconnected: no path" in found.notes[-1]
    _, metrics = jax.jit(clean.steps["policy"])(dead_policy(clean, key), {"arch": IMAGES}, key)
    assert metrics["disconnected"] == 1


def test_random_forms_are_connected_and_reproducible():
    base = zoo.named("resnet20_cells")
    space = nat_space(base, "v1", channels=4, layers=3)
    forms = [random_form(space, base, "v1", np.random.default_rng(seed)) for seed in range(20)]
    assert all(form.connected() for form in forms)
    assert len(set(forms)) > 15
    assert forms[3] == random_form(space, base, "v1", np.random.default_rng(3))
    for form in forms:
        for new, old in zip(form.cells, space.cells_of(base), strict=True):
            for edge, before in zip(new.edges, old.edges, strict=True):
                assert edge.op in ("null", "skip_connect", before.op)

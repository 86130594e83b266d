"""Neural Architecture Transformer (Guo et al. 2019, NeurIPS), the baseline that PNAA replaces.

A policy over the edges of a cell, by graph convolutions, replaces operations by cheaper ones. Its
reward is what the accuracy of a random architecture β gains when it becomes α, on one batch and
with weights that all architectures share; weights and policy learn from two parts of the training
set.

Published quirks (from the released code) are kept under `faithful`: the baseline averages the
centred reward, α and β are scored with the batch's statistics, the policy never sees the null edges
that it is later asked to transform, and nothing keeps the answer connected.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxnas.randomness import stream
from jaxnas.search.shared.supernet import Found, SharedWeightSearch, Supernet
from jaxnas.spaces.transitions import Cells, Transformable, Transitions
from jaxnas.tasks import Task, in_programs
from jaxnas.training.loop import Data, in_parts
from jaxnas.training.optimizer import mover
from jaxnas.training.train import Batch

EMBEDDING, WIDE, HIDDEN = 100, 1024, 100
"""Features of an operation, and of a node before and behind the graph convolutions."""

_BASELINE_DECAY = 0.99
_ENTROPY = 0.003  # weight, for either cell
_SAMPLES = 10  # transformed architectures among which the answer is chosen


class NATState(NamedTuple):
    """Weights and policy.

    Attributes:
      step: int32 scalar, steps of either phase done.
      variables: of the supernet.
      opt_state: of the weights' optimiser.
      policy: parameters θ.
      policy_opt_state: of θ's optimiser.
      baseline: float32 scalar, b, which starts at 0.
      seen: float32 scalar, the share of b that is of rewards: it starts at 0 and goes to 1.
    """

    step: jax.Array
    variables: Any
    opt_state: Any
    policy: dict[str, jax.Array]
    policy_opt_state: Any
    baseline: jax.Array
    seen: jax.Array


def init_policy(key: jax.Array, operations: int, actions: int) -> dict[str, jax.Array]:
    """Parameters θ: 320,330 with v1's 9 operations and 3 actions, 322,750 with v2's 13 and 13."""

    def uniform(name: str, shape: tuple[int, ...], fan: int) -> jax.Array:
        bound = fan**-0.5
        return jax.random.uniform(stream(key, name), shape, minval=-bound, maxval=bound)

    features = 2 * EMBEDDING
    return {
        "operation": jax.random.normal(stream(key, "operation"), (operations, EMBEDDING)),
        "input": jax.random.normal(stream(key, "input"), (2, features)),
        "linear": uniform("linear", (features, WIDE), features),
        "linear_bias": uniform("linear_bias", (WIDE,), features),
        "graph_0": uniform("graph_0", (WIDE, HIDDEN), HIDDEN),
        "graph_0_bias": uniform("graph_0_bias", (HIDDEN,), HIDDEN),
        "graph_1": uniform("graph_1", (HIDDEN, HIDDEN), HIDDEN),
        "graph_1_bias": uniform("graph_1_bias", (HIDDEN,), HIDDEN),
        "actions": uniform("actions", (HIDDEN, 2 * actions), HIDDEN),
        "actions_bias": uniform("actions_bias", (2 * actions,), HIDDEN),
    }


def logits(
    policy: dict[str, jax.Array],
    sources: jax.Array | np.ndarray,
    operations: jax.Array | np.ndarray,
) -> jax.Array:
    """Logits of the actions on each edge of one cell: float32 [nodes, 2, actions].

    A node's features are the embeddings of its two operations; a graph convolution sums over the
    nodes that its edges come from, neither normalised nor with the node itself.

    Args:
      policy: θ.
      sources: int32 [nodes, 2].
      operations: int32 [nodes, 2].
    """
    nodes = len(sources)
    embedded = policy["operation"][operations].reshape(nodes, -1)
    x = jnp.concatenate([policy["input"], embedded]) @ policy["linear"] + policy["linear_bias"]
    adjacency = jax.nn.one_hot(sources, nodes + 2).sum(1)
    adjacency = jnp.concatenate([jnp.zeros((2, nodes + 2)), adjacency])
    x = jax.nn.relu(adjacency @ (x @ policy["graph_0"]) + policy["graph_0_bias"])
    x = adjacency @ (x @ policy["graph_1"]) + policy["graph_1_bias"]
    return (x[2:] @ policy["actions"] + policy["actions_bias"]).reshape(nodes, 2, -1)


def random_cells(key: jax.Array, nodes: int, operations: np.ndarray, *, loose_ends: bool) -> Cells:
    """Cells with uniform operations and sources; the two edges of a node may have the same source.

    Args:
      key: typed key.
      nodes: of a cell.
      operations: int [n], those to choose from.
      loose_ends: whether the output leaves out the nodes that others use; else it has all.
    """
    source_key, operation_key = jax.random.split(key)
    shape = (2, nodes, 2)
    limits = jnp.arange(2, nodes + 2)[:, None]
    sources = jax.random.randint(source_key, shape, 0, limits)
    chosen = jax.random.choice(operation_key, jnp.asarray(operations), shape)
    outputs = jnp.ones((2, nodes))
    if loose_ends:
        outputs -= jax.nn.one_hot(sources - 2, nodes).max((1, 2))
    return Cells(sources, chosen.astype(jnp.int32), outputs)


def connected(cells: Cells, null: int) -> jax.Array:
    """bool [2]: whether each cell's output is reached from an input by operations but `null`."""
    carries = cells.operations != null
    nodes = cells.sources.shape[1]
    alive = jnp.zeros((2, nodes + 2), bool).at[:, :2].set(True)
    for node in range(nodes):
        reached = jnp.take_along_axis(alive, cells.sources[:, node], 1) & carries[:, node]
        alive = alive.at[:, node + 2].set(reached.any(1))
    return (alive[:, 2:] & (cells.outputs > 0)).any(1)


def transform(
    policy: dict[str, jax.Array], actions: Transitions, key: jax.Array, paths: Cells, floor: float
) -> tuple[Cells, jax.Array, jax.Array]:
    """α drawn from π(·|β).

    Args:
      policy: θ.
      actions: what each operation may become.
      key: typed key.
      paths: β.
      floor: added to every probability, as the published code does (1e-5); else 0.

    Returns:
      α, the log-probability of the actions summed over all edges, and the entropy likewise.
    """
    valid = jnp.asarray(actions.valid)[paths.operations]
    probabilities = _probabilities(policy, actions, paths, floor)
    log_p = jnp.log(jnp.where(valid, probabilities, 1.0))
    chosen = jax.random.categorical(key, jnp.where(valid, log_p, -jnp.inf))
    operations = jnp.asarray(actions.targets)[paths.operations, chosen]
    log_probability = jnp.take_along_axis(log_p, chosen[..., None], -1).sum()
    entropy = -(probabilities * log_p).sum()
    return paths._replace(operations=operations), log_probability, entropy


def _probabilities(
    policy: dict[str, jax.Array], actions: Transitions, paths: Cells, floor: float
) -> jax.Array:
    """Probabilities of the actions on each edge, float32 [2, nodes, 2, actions]; 0 if not valid."""
    scores = jax.vmap(logits, (None, 0, 0))(policy, paths.sources, paths.operations)
    valid = jnp.asarray(actions.valid)[paths.operations]
    return jnp.where(valid, jax.nn.softmax(jnp.where(valid, scores, -jnp.inf)) + floor, 0.0)


def nat(
    supernet: Supernet,
    space: Transformable,
    task: Task,
    *,
    faithful: bool = False,
    learning_rate: float = 0.01,
    batch_size: int = 64,
) -> SharedWeightSearch:
    """NAT's search for a better form of a network.

    An epoch trains the weights on the part ``train`` (SGD, momentum 0.9, weight decay 3e-4,
    constant rate), every batch through a random architecture, and then the policy on ``arch``
    (Adam 3e-4, β (0.5, 0.999), weight decay 5e-4, entropy 0.003, REINFORCE). The answer is the best
    of ten transformed forms of the network by accuracy on all of ``arch``.

    Args:
      supernet: of which `Cells` run; its `decode` takes the operations int32 [2, nodes, 2] of the
        network's own edges.
      space: the network, and what its operations may become.
      task: what is learned; its score has an ``accuracy``.
      faithful: with the published quirks (see the module).
      learning_rate: of the weights.
      batch_size: in which the answer's candidates are scored.
    """
    actions, null = space.actions, space.actions.null
    original = Cells(*map(jnp.asarray, space.cells))
    nodes, number = original.sources.shape[1], len(actions.targets)
    every = np.arange(number)
    loose_ends = bool((np.asarray(original.outputs) == 0).any())
    floor = 1e-5 if faithful else 0.0
    optimizer = optax.chain(optax.add_decayed_weights(3e-4), optax.sgd(learning_rate, 0.9))
    policy_optimizer = optax.chain(
        optax.add_decayed_weights(5e-4), optax.adam(3e-4, b1=0.5, b2=0.999)
    )

    def init(key: jax.Array) -> NATState:
        variables = supernet.init(key)
        policy = init_policy(stream(key, "policy"), number, actions.targets.shape[1])
        return NATState(
            jnp.zeros((), jnp.int32),
            variables,
            optimizer.init(variables["params"]),
            policy,
            policy_optimizer.init(policy),
            jnp.zeros(()),
            jnp.zeros(()),
        )

    # What is compiled whatever the paths are, also where a step runs part by part.
    task, move = in_programs(task), mover(optimizer)
    carrying_cells, any_cells = (
        jax.jit(
            functools.partial(
                random_cells, nodes=nodes, operations=operations, loose_ends=loose_ends
            )
        )
        for operations in (every[every != null], every)
    )

    def step_weights(
        state: NATState, batch: Batch, key: jax.Array
    ) -> tuple[NATState, dict[str, jax.Array]]:
        path_key = jax.random.fold_in(stream(key, "paths"), state.step)
        augment_key = jax.random.fold_in(stream(key, "augment"), state.step)
        paths = carrying_cells(path_key)
        params = state.variables["params"]

        (loss, statistics), gradient = supernet.gradient(
            task, state.variables, paths, batch["train"], augment_key
        )
        params, opt_state = move(params, state.opt_state, gradient)
        variables = {"params": params, "batch_stats": statistics}
        state = state._replace(step=state.step + 1, variables=variables, opt_state=opt_state)
        return state, {"loss": loss}

    def accuracy(
        variables: Any, paths: Cells, batch: tuple[jax.Array, jax.Array], key: jax.Array
    ) -> jax.Array:
        judged = task.judge(key, *batch)
        return supernet.score(task, variables, paths, judged, "accuracy", faithful)

    @jax.jit
    def draw(policy: Any, key: jax.Array, paths: Cells) -> tuple[Cells, jax.Array]:
        alpha, _, _ = transform(policy, actions, key, paths, floor)
        return alpha, connected(alpha, null).all()

    @jax.jit
    def learn(
        state: NATState, key: jax.Array, beta: Cells, reward: jax.Array
    ) -> tuple[NATState, jax.Array]:
        # Without the correction every action of the first hundred steps looks good.
        mean = jnp.where(state.seen > 0, state.baseline / jnp.maximum(state.seen, 1e-6), reward)
        advantage = reward - (state.baseline if faithful else mean)

        def loss_of(policy: Any) -> tuple[jax.Array, jax.Array]:
            _, log_probability, entropy = transform(policy, actions, key, beta, floor)
            return -log_probability * advantage - _ENTROPY * entropy, entropy

        gradient, entropy = jax.grad(loss_of, has_aux=True)(state.policy)
        updates, opt_state = policy_optimizer.update(gradient, state.policy_opt_state, state.policy)
        followed = advantage if faithful else reward
        state = state._replace(
            step=state.step + 1,
            policy=optax.apply_updates(state.policy, updates),
            policy_opt_state=opt_state,
            baseline=_BASELINE_DECAY * state.baseline + (1 - _BASELINE_DECAY) * followed,
            seen=_BASELINE_DECAY * state.seen + (1 - _BASELINE_DECAY),
        )
        return state, entropy

    def step_policy(
        state: NATState, batch: Batch, key: jax.Array
    ) -> tuple[NATState, dict[str, jax.Array]]:
        step_key = jax.random.fold_in(stream(key, "policy"), state.step)
        beta_key, action_key = jax.random.split(step_key)
        beta = (carrying_cells if faithful else any_cells)(beta_key)
        alpha, alive = draw(state.policy, action_key, beta)
        judge_key = stream(step_key, "judge")
        reward = accuracy(state.variables, alpha, batch["arch"], judge_key) - accuracy(
            state.variables, beta, batch["arch"], judge_key
        )
        state, entropy = learn(state, action_key, beta, reward)
        return state, {"reward": reward, "entropy": entropy, "disconnected": 1.0 - alive}

    def found(state: NATState, data: Data, key: jax.Array) -> Found:
        images, labels = data["arch"]
        best, best_score, dead = None, -1.0, 0
        for index in range(_SAMPLES):
            answer_key = jax.random.fold_in(stream(key, "answer"), index)
            alpha, alive = draw(state.policy, answer_key, original)
            dead += not alive
            if not alive and not faithful:
                continue
            size = min(batch_size, len(images))
            sums = [
                float(
                    accuracy(
                        state.variables,
                        alpha,
                        (images[i : i + size], labels[i : i + size]),
                        jax.random.fold_in(stream(key, "judge"), i),  # the same for every network
                    )
                )
                for i in range(0, len(images) - size + 1, size)
            ]
            score = sum(sums) / len(sums)
            if score > best_score:
                best, best_score = alpha, score
        notes = [f"{dead} of {_SAMPLES} transformed networks were disconnected."]
        if best is None:
            notes.append(f"The answer is {space.base.name} as it was.")
            return Found(space.base, tuple(notes))
        genotype = supernet.decode(np.asarray(best.operations))
        if not genotype.connected():
            notes.append("The answer is disconnected: no path leads from the image to its output.")
        return Found(genotype, tuple(notes))

    def observe(state: NATState) -> dict[str, float]:
        p = np.asarray(_probabilities(state.policy, actions, original, floor))
        operations = np.asarray(original.operations)
        carrying = operations != null
        removing = actions.targets[operations] == null
        keeps = np.take_along_axis(p, actions.keep[operations][..., None], -1)[..., 0]
        return {
            "baseline": float(state.baseline),
            "kept": float(keeps[carrying].mean()),
            "removed": float(np.where(removing, p, 0.0).sum(-1)[carrying].mean()),
        }

    return SharedWeightSearch(
        init=init,
        steps={"weights": step_weights, "policy": step_policy},
        parts={"weights": ("train",), "policy": ("arch",)},
        plan=lambda epoch: ("weights", "policy"),
        found=found,
        observe=observe,
        loop=in_parts(),
    )

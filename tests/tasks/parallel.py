"""Run with eight virtual devices: a step of SimCLR over all of them, and over one."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxnas import nn, training
from jaxnas.data import Views
from jaxnas.nn import Projector
from jaxnas.spaces import Block, Cell, Edge, Genotype, Node
from jaxnas.tasks import Task, data_parallel, nt_xent, simclr

CELL = Cell(
    name="cell",
    inputs=1,
    nodes=(Node(relu=True),),
    edges=(Edge("conv_3x3", 0, 1),),
    output=(1,),
)
BASE = Genotype(name="small", family="residual", stem=4, cells=(CELL,), blocks=(Block("cell", 4),))


def main() -> None:
    """Asserts that the step's loss, weights and statistics are those of one device."""
    devices = jax.devices()
    assert len(devices) == 8
    rng = np.random.default_rng(0)
    images = jnp.asarray(rng.integers(0, 256, (32, 8, 8, 3), dtype=np.uint8))
    batch = {"train": (images, jnp.zeros(32, jnp.int32))}
    task = simclr(np.full(3, 0.5), np.full(3, 0.25), Views(), projector=Projector((8, 4)))
    network = nn.build(BASE, task.outputs)
    optimizer = training.sgd(0.1, 10)

    def step_of(task: Task) -> Any:
        return jax.jit(training.train_step(training.flax_apply(network), task, optimizer))

    state = training.init(nn.init(network, jax.random.key(0), (8, 8, 3)), optimizer)
    key = jax.random.key(1)
    alone, metrics = step_of(task)(state, batch, key)
    split = step_of(data_parallel(task, devices))
    together, parallel_metrics = split(state, batch, key)
    np.testing.assert_allclose(parallel_metrics["loss"], metrics["loss"], rtol=1e-5)
    jax.tree.map(
        lambda one, other: np.testing.assert_allclose(one, other, rtol=1e-3, atol=2e-5),
        (alone.variables, alone.opt_state),
        (together.variables, together.opt_state),
    )
    program = split.lower(state, batch, key).compile().as_text()
    assert "num_partitions=8" in program
    assert "all-reduce" in program, "the devices' shares of a mean are added up"
    # A loss of each device's pairs alone would be another one.
    z = jnp.asarray(rng.normal(size=(64, 4)), jnp.float32)
    parts = [nt_xent(jnp.concatenate([z[i : i + 4], z[32 + i : 36 + i]]), 0.5) for i in (0, 4)]
    assert abs(float(parts[0]) - float(nt_xent(z, 0.5))) > 0.5


if __name__ == "__main__":
    main()

"""What a network's parts take on the present device, timed one by one.

A network's latency is taken to be the sum of its parts' (as in FBNet and ProxylessNAS): of the
operations on its edges, and of the layers that no choice changes. A part is one jitted forward pass
of one batch at inference.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Collection, Mapping
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from jaxnas.compilation import jit
from jaxnas.nn.costs.cost import cost_table, supernet_of
from jaxnas.nn.kernels import pair
from jaxnas.nn.layers import Conv, Dense
from jaxnas.nn.network import build
from jaxnas.nn.operations import Match, Op, Style
from jaxnas.nn.weights.checks import Shape
from jaxnas.nn.weights.init import abstract_variables
from jaxnas.spaces.adaptation.space import AdaptationSpace
from jaxnas.spaces.chain import ChainSpace
from jaxnas.spaces.genotype import SKIP, Genotype

TimedPart = tuple[nn.Module, Shape]
"""A layer on its own, and the shape [h, w, c] (of a dense layer [c]) of what it is given."""


class Latency(NamedTuple):
    """Seconds of a forward pass of one batch.

    Attributes:
      candidates: float64, of each candidate as in `CandidateCosts`; none, Zero, and an identity
        between equal shapes take 0.
      fixed: of the layers that every network has.
      parts: of each part that was timed, by `part_name`.
    """

    candidates: np.ndarray
    fixed: float
    parts: dict[str, float]


def measure(operations: Mapping[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """Median seconds of each operation.

    Each is called once untimed, which compiles it; then a round calls each once in turn, so that
    what else the machine does strikes all alike.

    Args:
      operations: by name, a call that returns arrays.
      rounds: timed calls of each.

    Raises:
      ValueError: if there is no round.
    """
    if rounds < 1:
        raise ValueError(f"rounds must be at least 1, not {rounds}")
    seconds: dict[str, list[float]] = {name: [] for name in operations}
    for operation in operations.values():
        jax.block_until_ready(operation())
    for _ in range(rounds):
        for name, operation in operations.items():
            start = time.perf_counter()
            jax.block_until_ready(operation())
            seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(each) for name, each in seconds.items()}


def part_name(module: nn.Module, shape: Shape) -> str:
    """Names all that decides how long a part takes: its fields, its input's shape."""
    told = [
        _told(field, getattr(module, field))
        for field in module.__dataclass_fields__
        if field not in ("name", "parent")
    ]
    return f"{type(module).__name__}({', '.join(told)}) of {'x'.join(map(str, shape))}"


def _told(field: str, value: Any) -> str:
    if isinstance(value, Style):
        return f"{value.family}, {value.activation}, {jnp.dtype(value.dtype).name}"
    if field == "dtype":
        return jnp.dtype(value).name
    return f"{field}={value}"


def part_call(module: nn.Module, shape: Shape, batch_size: int) -> Callable[[], Any]:
    """The jitted forward pass of a part at inference, for `measure`."""
    inference = (False,) if isinstance(module, Op | Match) else ()
    x = jnp.ones((batch_size, *shape), _dtype(module))
    shapes = jax.eval_shape(lambda key: module.init(key, x, *inference), jax.random.key(0))
    # What the values are does not matter, as long as no product underflows.
    variables = jax.tree.map(lambda leaf: jnp.full(leaf.shape, 0.1, leaf.dtype), shapes)
    # As in a network of many such parts that trains for long.
    program = jit(lambda variables, x: module.apply(variables, x, *inference), many=1)
    return lambda: program(variables, x)


def _dtype(module: Any) -> Any:
    """Dtype of a part's computation, and so of its input."""
    if isinstance(module, Dense):
        return jnp.float32
    return module.style.dtype if isinstance(module, Op | Match) else module.dtype


def candidate_latency(
    space: AdaptationSpace | ChainSpace,
    input_shape: Shape,
    num_classes: int,
    *,
    batch_size: int,
    rounds: int = 20,
    dtype: Any = jnp.float32,
    known: Mapping[str, float] | None = None,
) -> Latency:
    """Times every candidate of every block on the present device, equal ones once.

    Args:
      space: the candidates.
      input_shape: [h, w, c] of an image.
      num_classes: size of the output.
      batch_size: images in the batch.
      rounds: timed calls of each part.
      dtype: of the computation.
      known: seconds of parts that need not be timed again, by `part_name`; of the same device and
        batch size.
    """
    placed = _parts(*supernet_of(space, num_classes, dtype), input_shape)
    wanted = {part_name(*part): part for part in placed.values() if not _is_free(*part)}
    known = {} if known is None else known
    missing = {
        name: part_call(*part, batch_size) for name, part in wanted.items() if name not in known
    }
    measured = {**known, **measure(missing, rounds)}
    parts = {name: measured[name] for name in wanted}
    seconds = {
        path: 0.0 if _is_free(*part) else parts[part_name(*part)] for path, part in placed.items()
    }
    return Latency(*cost_table(space, seconds), parts)


def network_latency(
    genotypes: Collection[Genotype],
    input_shape: Shape,
    num_classes: int,
    *,
    batch_size: int,
    rounds: int = 20,
    dtype: Any = jnp.float32,
) -> dict[Genotype, float]:
    """Seconds of a forward pass of one batch of each network, whole, on the present device.

    Args:
      genotypes: the networks.
      input_shape: [h, w, c] of an image.
      num_classes: size of the output.
      batch_size: images in the batch.
      rounds: timed calls of each.
      dtype: of the computation.
    """
    images = jnp.ones((batch_size, *input_shape), dtype)

    def call(genotype: Genotype) -> Callable[[], Any]:
        network = build(genotype, num_classes, jnp.dtype(dtype))
        shapes = abstract_variables(network, input_shape)
        variables = jax.tree.map(lambda leaf: jnp.full(leaf.shape, 0.1, leaf.dtype), shapes)
        program = jit(lambda variables, x: network.apply(variables, x, train=False), many=1)
        return lambda: program(variables, images)

    named = {genotype.to_json(): genotype for genotype in genotypes}
    seconds = measure({name: call(genotype) for name, genotype in named.items()}, rounds)
    return {genotype: seconds[name] for name, genotype in named.items()}


def _is_free(module: nn.Module, shape: Shape) -> bool:
    """Whether a part is an identity between equal shapes."""
    return (
        isinstance(module, Op)
        and module.op == SKIP
        and pair(module.stride) == (1, 1)
        and module.features == shape[-1]
    )


def _parts(
    network: nn.Module, paths: jax.Array, input_shape: Shape
) -> dict[tuple[str, ...], TimedPart]:
    """The supernet's operations, adapters and layers outside of both, by their paths."""
    parts: dict[tuple[str, ...], TimedPart] = {}

    def note(call: Any, arguments: Any, kwargs: Any, context: Any) -> Any:
        module = context.module
        inside = any(module.path[: len(path)] == path for path in parts)
        if isinstance(module, Op | Match | Conv | Dense) and not inside:
            parts[module.path] = module.clone(name=None, parent=None), arguments[0].shape[1:]
        return call(*arguments, **kwargs)

    with nn.intercept_methods(note):
        abstract_variables(network, input_shape, paths)
    return parts

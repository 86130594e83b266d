"""Networks built from genotypes, and the supernet in which the architecture is an input."""

from __future__ import annotations

from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxnas.nn import kernels
from jaxnas.nn.heads import Outputs, Projector, Representation, finish
from jaxnas.nn.kernels import pair
from jaxnas.nn.layers import Conv, Dense, Relu, concatenate, materialise, runtime_one
from jaxnas.nn.operations import Match, Op, Style
from jaxnas.spaces.adaptation import ID, SAME, AdaptationSpace
from jaxnas.spaces.genotype import NULL, SKIP, Block, Cell, Genotype


class Noise(NamedTuple):
    """What training may switch off at random.

    Attributes:
      key: typed key; equal keys switch off the same.
      drop_path: float32 scalar, the probability that an operation's output is left out for an
        image. Identities are never left out. In the nasnet family it grows linearly with depth up
        to this value (Zoph et al. 2018, ScheduledDropPath); let it grow with the step for the rest.
      dropout: float32 scalar, the probability that an input of the classifier is.
    """

    key: jax.Array
    drop_path: jax.Array | float = 0.0
    dropout: jax.Array | float = 0.0


class WithAuxiliary(NamedTuple):
    """Logits float32 [b, classes] of a network and of its auxiliary head, in training."""

    logits: Any
    auxiliary: Any


class BlockModule(nn.Module):
    """One block: its cell's graph at the block's channels and stride.

    Attributes:
      cell: the graph.
      block: channels and stride.
      style: of the network.
      gated: whether every edge also has an identity and is weighted by gates.
    """

    cell: Cell
    block: Block
    style: Style
    gated: bool

    @nn.compact
    def __call__(
        self,
        inputs: tuple[jax.Array, ...],
        gates: jax.Array | None,
        one: jax.Array | None,
        train: bool,
        noise: Noise | None = None,
    ) -> jax.Array:
        """[b, h, w, c] inputs to the block's output; `gates` is [edges, 3] (none, id, same)."""
        first = inputs[0]
        stride: int | tuple[int, int] = self.block.stride
        if self.block.strides:
            stride = self.block.strides[0], self.block.strides[1]
        sides = first.shape[1], first.shape[2]
        strided = [-(-side // step) for side, step in zip(sides, pair(stride), strict=True)]
        values: list[jax.Array] = list(inputs)
        for index, node in enumerate(self.cell.nodes):
            target = self.cell.inputs + index
            features = node.width(self.block.channels, first.shape[-1])
            shape = (first.shape[0], *(strided if node.strided else sides), features)
            terms = []
            for position, edge in enumerate(self.cell.edges):
                if edge.target != target:
                    continue
                edge_stride = stride if self.cell.crosses_stride(edge) else 1
                term = self._edge(
                    position,
                    edge.op,
                    values[edge.source],
                    features,
                    edge_stride,
                    gates,
                    train,
                    noise,
                )
                if term is not None:
                    terms.append(term)
                elif node.concat:
                    terms.append(jnp.zeros(shape, self.style.dtype))
            if not terms:
                total = jnp.zeros(shape, self.style.dtype)
            else:
                total = jnp.concatenate(terms, -1) if node.concat else sum(terms[1:], terms[0])
            values.append(materialise(self.style.activate(total) if node.relu else total, one))
        return jnp.concatenate([self._output(node, values, train) for node in self.cell.output], -1)

    def _edge(
        self,
        position: int,
        op: str,
        x: jax.Array,
        features: int,
        stride: int | tuple[int, int],
        gates: jax.Array | None,
        train: bool,
        noise: Noise | None,
    ) -> jax.Array | None:
        """What an edge adds to its target; None for nothing."""

        def run(name: str, gate: jax.Array | None) -> jax.Array:
            module = Op(name, features, stride, self.style, name=f"edge_{position}_{name}")
            out = module(x, train, gate)
            if noise is None or (name == SKIP and (self.style.rules.spares_skips or out is x)):
                return out
            return drop_path(jax.random.fold_in(noise.key, position), noise.drop_path, out)

        if not self.gated:
            return None if op == NULL else run(op, None)
        assert gates is not None
        gate = gates[position]
        if op == NULL:
            return run(SKIP, gate[ID])
        identity = self.cell.identity(self.cell.edges[position])
        if op == identity:  # one operation for both candidates
            return run(op, gate[ID] + gate[SAME])
        return run(identity, gate[ID]) + run(op, gate[SAME])

    def _output(self, node: int, values: list[jax.Array], train: bool) -> jax.Array:
        """A state as it enters the output: an input in the last node's size, with its channels.

        Those are the block's also where the last node is a concatenation and wider: what a cell
        computes does not depend on the order of its nodes.
        """
        value, last, channels = values[node], values[-1], self.block.channels
        same_size = value.shape[1:3] == last.shape[1:3]
        if node >= self.cell.inputs or (same_size and value.shape[-1] == channels):
            return value
        stride = 1 if same_size else 2
        module = Match(channels, stride, self.style, relu=False, name=f"output_{node}")
        return module(value, train)


def drop_path(key: jax.Array, rate: jax.Array | float, x: jax.Array) -> jax.Array:
    """Zeroes `x` [b, ...] for each image with probability `rate`, and scales what is left."""
    return _dropped(key, rate, x, (x.shape[0],) + (1,) * (x.ndim - 1))


def _dropped(
    key: jax.Array, rate: jax.Array | float, x: jax.Array, shape: tuple[int, ...]
) -> jax.Array:
    """`x` times a mask of that shape, of zeros with probability `rate` and mean 1."""
    keep = 1.0 - jnp.asarray(rate, jnp.float32)
    alive = jax.random.uniform(key, shape) < keep
    return x * (alive / keep).astype(x.dtype)


class AuxiliaryHead(nn.Module):
    """A second classifier halfway (Zoph et al. 2018; its form in DARTS and ENAS).

    NASNet's convolution spans the whole map. That of DARTS is 2x2 and that of ENAS spans the map
    with padding; what is left of the map (nothing at 32x32 in DARTS) is averaged.
    """

    num_classes: int
    style: Style
    large: bool

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        """[b, h, w, c] to logits float32 [b, num_classes]."""
        style, rules = self.style, self.style.rules
        imagenet = bool(self.large and rules.auxiliary_kernel)
        stride = 2 if imagenet else 3
        window = min(5, x.shape[1]), min(5, x.shape[2])
        x = kernels.avg_pool(Relu()(x), window, (stride, stride), ((0, 0), (0, 0)))
        x = style.norm("reduce_norm")(style.conv(128, 1, "reduce_conv")(x), train)
        sides = x.shape[1], x.shape[2]
        side = rules.auxiliary_kernel or max(sides)
        kernel, padding = (min(side, sides[0]), min(side, sides[1])), rules.auxiliary_padding
        x = Conv(768, kernel, dtype=style.dtype, padding=padding, name="conv")(Relu()(x))
        if not imagenet:  # DARTS's code for ImageNet left it out
            x = style.norm("norm")(x, train)
        x = Relu()(x).astype(jnp.float32).mean((1, 2))
        return Dense(self.num_classes, rules.bias, name="classifier")(x)


def read_image(genotype: Genotype, style: Style, x: jax.Array, train: bool) -> dict[int, jax.Array]:
    """The states before the first block: -1 the stem, -2 its older input.

    Without a stem both are the image. Must be called from a compact module.
    """
    rules = genotype.rules
    if rules.wiring == "concatenated":
        x = x.astype(style.dtype)
        return {-2: x, -1: x}
    if genotype.stem_form == "double":
        x = style.conv(genotype.stem // 2, 3, "stem_conv_0", stride=2)(x)
        x = Relu()(style.norm("stem_norm_0")(x, train))
        x = style.conv(genotype.stem, 3, "stem_conv_1", stride=2)(x)
        early = style.norm("stem_norm_1")(x, train)
        x = style.conv(genotype.stem, 3, "stem_conv_2", stride=2)(Relu()(early))
        return {-2: early, -1: style.norm("stem_norm_2")(x, train)}
    x = Conv(
        genotype.stem,
        3,
        1 if genotype.stem_form == "small" else 2,
        dtype=style.dtype,
        padding="valid" if genotype.stem_form == "valid" else rules.padding,
        name="stem_conv",
    )(x)
    x = style.norm("stem_norm")(x, train)
    if rules.stem_relu:
        x = style.activate(x)
    return {-2: x, -1: x}


def classify(
    genotype: Genotype,
    outputs: Outputs,
    style: Style,
    x: jax.Array,
    train: bool,
    noise: Noise | None,
) -> jax.Array | Representation:
    """The last block's output to logits: head, pooling, classifier (or what is in its place).

    Must be called from a compact module.
    """
    if genotype.head:
        x = style.conv(genotype.head, 1, "head_conv")(x)
        x = style.activate(style.norm("head_norm")(x, train))
    if genotype.rules.final_norm:
        x = style.norm("final_norm")(x, train)
    if genotype.rules.final_relu:
        x = Relu()(x)
    x = x.astype(jnp.float32).mean((1, 2))
    if noise is not None:
        dropout_key = jax.random.fold_in(noise.key, len(genotype.blocks))
        x = _dropped(dropout_key, noise.dropout, x, x.shape)
    return finish(x, outputs, train, has_bias=genotype.rules.bias)


class Network(nn.Module):
    """The network of a genotype.

    Attributes:
      genotype: the architecture.
      outputs: number of classes, or the heads of self-supervised learning.
      gated: True for the supernet, whose edges are weighted by gates.
      dtype: of the computation; parameters, batch statistics and logits stay float32.
      auxiliary: whether it has the genotype's auxiliary head.
    """

    genotype: Genotype
    outputs: Outputs
    gated: bool = False
    dtype: Any = jnp.float32
    auxiliary: bool = False

    @nn.compact
    def __call__(
        self,
        x: jax.Array,
        gates: jax.Array | None = None,
        *,
        train: bool,
        noise: Noise | None = None,
    ) -> Any:
        """Logits of images.

        Args:
          x: float [b, h, w, c], normalised.
          gates: float32 [blocks, edges, 3] in the order none, id, same; for a supernet only.
          train: whether batch norm uses the batch's statistics and updates its running ones.
          noise: drop path and dropout, for training; without it nothing is switched off.

        Returns:
          float32 [b, classes], or a `Representation`; with an auxiliary head in training both
          logits as `WithAuxiliary`.
        """
        genotype = self.genotype
        style = Style.of(genotype, self.dtype)
        one = runtime_one(x)
        states = read_image(genotype, style, x, train)
        auxiliary = None
        for index, (block, cell) in enumerate(
            zip(genotype.blocks, genotype.placed_cells(), strict=True)
        ):
            inputs = tuple(states[source] for source in genotype.inputs_of(index))
            inputs = self._preprocess(index, inputs, block.channels, style, train)
            module = BlockModule(cell, block, style, self.gated, name=f"block_{index}")
            states[index] = module(
                inputs,
                None if gates is None else gates[index],
                one,
                train,
                self._noise_of(index, noise),
            )
            if self.auxiliary and index == genotype.auxiliary:
                assert isinstance(self.outputs, int)
                head = AuxiliaryHead(
                    self.outputs, style, genotype.stem_form == "double", name="auxiliary"
                )
                if train or self.is_initializing():
                    auxiliary = head(states[index], train)
        x = concatenate([states[index] for index in genotype.head_inputs()])
        out = classify(genotype, self.outputs, style, x, train, noise)
        return WithAuxiliary(out, auxiliary) if self.auxiliary and train else out

    def _preprocess(
        self,
        index: int,
        inputs: tuple[jax.Array, ...],
        channels: int,
        style: Style,
        train: bool,
    ) -> tuple[jax.Array, ...]:
        """A block's inputs at its channels; the older at the size of the newer."""
        rules = style.rules
        if rules.wiring == "concatenated":
            return (concatenate(inputs),)
        if rules.fit is None:
            return inputs

        def matched(x: jax.Array, stride: int, which: int | str) -> jax.Array:
            name = f"block_{index}_input_{which}"
            return Match(channels, stride, style, relu=True, name=name)(x, train)

        fitted = list(inputs)
        newer, older = rules.newer, 1 - rules.newer
        stride = 1 if inputs[older].shape[1] == inputs[newer].shape[1] else 2
        differs = inputs[older].shape[-1] != channels and not (rules.first_as_it_is and index == 0)
        if rules.fit[1] == "always" or stride == 2 or differs:
            fitted[older] = matched(inputs[older], stride, older)
        if rules.fit[0] == "always" or inputs[newer].shape[-1] != channels:
            fitted[newer] = matched(inputs[newer], 1, newer)
        if rules.base:
            fitted[newer] = matched(fitted[newer], 1, "base")
        return tuple(fitted)

    def _noise_of(self, index: int, noise: Noise | None) -> Noise | None:
        """The noise of a block."""
        how = self.genotype.rules.drop_path
        if noise is None or how == "none":
            return None
        depth = (index + 1) / len(self.genotype.blocks) if how == "by_depth" else 1.0
        return Noise(jax.random.fold_in(noise.key, index), depth * noise.drop_path)


def build(
    genotype: Genotype, outputs: Outputs, dtype: Any = jnp.float32, *, auxiliary: bool = False
) -> Network:
    """The network of `genotype`; its output must be reachable.

    Args:
      genotype: the architecture.
      outputs: number of classes, 0 for a network that ends in its features float32 [b, d]; or the
        heads of self-supervised learning.
      dtype: of the computation.
      auxiliary: whether it has the genotype's auxiliary head.

    Raises:
      TypeError: if `genotype` is none.
      ValueError: if `outputs` is neither heads nor a whole number of at least 0, if no path of
        edges that are not null leads to the head, or if an auxiliary head is asked for and the
        genotype says no place for it, or there are no classes.
    """
    if not isinstance(genotype, Genotype):
        raise TypeError(
            f"genotype must be a Genotype, such as spaces.zoo.named('darts_v2'), not {genotype!r}"
        )
    if not isinstance(outputs, Projector) and (not isinstance(outputs, int) or outputs < 0):
        raise ValueError(
            f"the number of classes must be a whole number of at least 0, not {outputs!r}"
        )
    if not genotype.connected():
        raise ValueError(
            f"genotype {genotype.name!r}: no path of edges leads from the image to the classifier"
        )
    _check_auxiliary(genotype, outputs, auxiliary)
    return Network(genotype, outputs, dtype=dtype, auxiliary=auxiliary)


def supernet(
    space: AdaptationSpace,
    outputs: Outputs,
    dtype: Any = jnp.float32,
    *,
    auxiliary: bool = False,
) -> Network:
    """The base of `space` with an identity on every edge; called with gates [blocks, edges, 3].

    Raises:
      ValueError: if an auxiliary head is asked for and the base says no place for it, or there are
        no classes.
    """
    _check_auxiliary(space.base, outputs, auxiliary)
    return Network(space.base, outputs, gated=True, dtype=dtype, auxiliary=auxiliary)


def _check_auxiliary(genotype: Genotype, outputs: Outputs, auxiliary: bool) -> None:
    if auxiliary and genotype.auxiliary < 0:
        raise ValueError(f"genotype {genotype.name!r} has no place for an auxiliary head")
    if auxiliary and (isinstance(outputs, Projector) or outputs == 0):
        raise ValueError("an auxiliary head is for classes; there are none without labels")

"""Networks built from genotypes, and the supernet in which the architecture is an input."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxnas.nn import inspection
from jaxnas.nn.blocks import BlockModule
from jaxnas.nn.classifiers import AuxiliaryHead, classify
from jaxnas.nn.heads import Outputs, Projector, WithAuxiliary
from jaxnas.nn.layers import Noise, concatenate, runtime_one
from jaxnas.nn.operations import Match, Style
from jaxnas.nn.stem import read_image
from jaxnas.spaces.adaptation.cell_choices import ID
from jaxnas.spaces.adaptation.space import AdaptationSpace
from jaxnas.spaces.genotype import Genotype


class Network(nn.Module):
    """The network of a genotype.

    Attributes:
      genotype: the architecture.
      outputs: number of classes, or the heads of self-supervised learning.
      gated: True for the supernet, whose edges are weighted by gates.
      identities: whether a supernet has an identity beside every operation.
      dtype: of the computation; parameters, batch statistics and logits stay float32.
      auxiliary: whether it has the genotype's auxiliary head.
    """

    genotype: Genotype
    outputs: Outputs
    gated: bool = False
    dtype: Any = jnp.float32
    auxiliary: bool = False
    identities: bool = True

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
            inputs = self._preprocess(index, inputs, style, train)
            module = BlockModule(
                cell, block, style, self.gated, self.identities, name=f"block_{index}"
            )
            states[index] = module(
                inputs,
                None if gates is None else gates[index],
                one,
                train,
                self._noise_of(index, noise),
            )
            states = inspection.rescaled(states)
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
        style: Style,
        train: bool,
    ) -> tuple[jax.Array, ...]:
        """A block's inputs at its channels; the older at the size of the newer."""
        rules, channels = style.rules, self.genotype.blocks[index].channels
        if rules.wiring == "concatenated":
            return (concatenate(inputs),)
        if rules.fit is None:
            return inputs

        def matched(x: jax.Array, stride: int, which: int | str) -> jax.Array:
            name = f"block_{index}_input_{which}"
            return Match(channels, stride, style, relu=True, name=name)(x, train)

        fitted = list(inputs)
        newer, older = rules.newer, 1 - rules.newer
        stride = 2 if self.genotype.halves_older(index) else 1
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
    """The base of `space`, with an identity on every edge where one may be chosen.

    It is called with gates [blocks, edges, 3].

    Raises:
      TypeError: if `space` is none.
      ValueError: if an auxiliary head is asked for and the base says no place for it, or there are
        no classes.
    """
    if not isinstance(space, AdaptationSpace):
        raise TypeError(
            "space must be an AdaptationSpace, such as spaces.AdaptationSpace(genotype, 'cell'), "
            f"not {space!r}"
        )
    _check_auxiliary(space.base, outputs, auxiliary)
    return Network(
        space.base,
        outputs,
        gated=True,
        dtype=dtype,
        auxiliary=auxiliary,
        identities=bool(space.possible[..., ID].any()),
    )


def _check_auxiliary(genotype: Genotype, outputs: Outputs, auxiliary: bool) -> None:
    if auxiliary and genotype.auxiliary < 0:
        raise ValueError(f"genotype {genotype.name!r} has no place for an auxiliary head")
    if auxiliary and (isinstance(outputs, Projector) or outputs == 0):
        raise ValueError("an auxiliary head is for classes; there are none without labels")

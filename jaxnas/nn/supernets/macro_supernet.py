"""ENAS's macro space as one network of shared weights: the architecture is an input.

Every layer has the six operations, each behind a 1x1 convolution of its own, and runs the chosen
one; the outputs that it may skip to are concatenated with its own, zeros where it does not. In the
authors' code all branches of a layer return the last one (tf.case over a loop's variable), and
skips are summed in the search and concatenated in the final network; here what is searched is what
is built.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from jaxnas.nn import inspection
from jaxnas.nn.classifiers import classify
from jaxnas.nn.heads import Outputs
from jaxnas.nn.layers import Noise, run_alone
from jaxnas.nn.operations import Op, Style
from jaxnas.nn.stem import read_image
from jaxnas.nn.supernets.switch import Branch, run_one
from jaxnas.spaces.enas_macro import MACRO_OPERATIONS, EnasMacroSpace
from jaxnas.spaces.genotype import SKIP, Block, Genotype


class MacroChoice(NamedTuple):
    """A candidate as arrays.

    Attributes:
      operations: int32 [layers].
      skips: float32 [layers, layers]; column 0 is the stem, column k the k-th layer.
    """

    operations: jax.Array
    skips: jax.Array


class MacroSupernet(nn.Module):
    """All networks of a macro space.

    Attributes:
      space: layers and channels.
      outputs: number of classes, or the heads of self-supervised learning.
      dtype: of the computation; parameters, batch statistics and logits stay float32.
    """

    space: EnasMacroSpace
    outputs: Outputs
    dtype: Any = jnp.float32

    @property
    def plain(self) -> Genotype:
        """The network without skips, for what all have in common."""
        return self.space.decode(np.zeros(len(self.space.decisions), np.int32))

    @nn.compact
    def __call__(
        self, x: jax.Array, choice: MacroChoice, *, train: bool, noise: Noise | None = None
    ) -> Any:
        """Logits float32 [b, classes] of images, or a `Representation`.

        Args:
          x: float [b, h, w, c], normalised.
          choice: of `macro_choice`.
          train: whether batch norm uses the batch's statistics and updates its running ones.
          noise: dropout, for training; these networks know no drop path.
        """
        plain = self.plain
        style = Style.of(plain, self.dtype)
        outputs = [read_image(plain, style, x, train)[-1]]  # of the stem and the layers
        halved = 0
        for index, block in enumerate(plain.blocks):
            if block.stride == 2:
                op = Op(SKIP, block.channels, 2, style, name=f"block_{index}")
                outputs[halved] = op(outputs[halved], train)
                halved += 1
                continue
            halved = 0
            layer = len(outputs) - 1
            value = self._operation(index, block.channels, style, outputs[-1], choice, layer, train)
            if layer:
                gates = choice.skips[layer, :layer].astype(value.dtype)
                skipped = [each * gate for each, gate in zip(outputs, gates, strict=False)]
                join = Op("conv_1x1", block.channels, 1, style, name=f"block_{index}_join")
                joined = jnp.concatenate([value, *skipped], -1)
                inspection.tell_partial(joined, functools.partial(_present, choice, layer, block))
                value = join(joined, train)
            outputs = inspection.rescaled([*outputs, value])
        return classify(plain, self.outputs, style, outputs[-1], train, noise)

    def _operation(
        self,
        index: int,
        channels: int,
        style: Style,
        x: jax.Array,
        choice: MacroChoice,
        layer: int,
        train: bool,
    ) -> jax.Array:
        """The chosen operation's output, behind its 1x1 convolution."""
        names = {op: (f"block_{index}_{op}_in", f"block_{index}_{op}") for op in MACRO_OPERATIONS}

        def modules(op: str) -> tuple[Op, Op]:
            kinds = ("conv_1x1", op)
            first, second = (Op(kind, channels, 1, style, parent=None) for kind in kinds)
            return first, second

        if self.is_initializing():  # every operation is to get its weights
            found = []
            for op, own in names.items():
                first, second = (
                    module.clone(parent=self, name=name)
                    for module, name in zip(modules(op), own, strict=True)
                )
                found.append(second(first(x, train), train))
            return found[0]

        params, statistics = (
            {
                name: self.variables[collection].get(name, {})
                for own in names.values()
                for name in own
            }
            for collection in ("params", "batch_stats")
        )

        def branch(op: str) -> Branch:
            def run(learned: Any, statistics: Any) -> tuple[jax.Array, Any]:
                params, value = learned
                statistics = dict(statistics)
                for module, name in zip(modules(op), names[op], strict=True):
                    variables = {"params": params[name], "batch_stats": statistics[name]}
                    value, statistics[name] = run_alone(module, variables, value, train)
                return value, statistics

            return run

        branches = [branch(op) for op in MACRO_OPERATIONS]
        value, after = run_one(branches, choice.operations[layer], (params, x), statistics)
        if train:
            for name, changed in after.items():
                if changed:
                    self.put_variable("batch_stats", name, changed)
        return value


def _present(choice: MacroChoice, layer: int, block: Block) -> jax.Array:
    """Float32 [channels]: 1 for a layer's own output and for those it skips to."""
    return jnp.repeat(jnp.append(1.0, choice.skips[layer, :layer]), block.channels)


def macro_choice(space: EnasMacroSpace, candidate: Any) -> MacroChoice:
    """A candidate as the network's input, also under `jit`.

    Args:
      space: of the candidate.
      candidate: int32 [decisions], valid.
    """
    rows = jnp.split(jnp.asarray(candidate, jnp.int32), list(space.levels[:-1]))
    return MacroChoice(
        jnp.stack([row[0] for row in rows]),
        jnp.stack(
            [jnp.pad(row[1:].astype(jnp.float32), (0, space.layers - len(row) + 1)) for row in rows]
        ),
    )

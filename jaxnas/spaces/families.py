"""The families of networks, one record each: how their blocks are wired and what operations mean.

A genotype names its family. Genotypes are checked by the record, `jaxnas.nn` computes by it,
drawings are labelled by it. To add a family is to add a record to `FAMILIES`; one with a trait that
no other has also adds a field, and to `jaxnas.nn` the lines that read it. `docs/architectures.md`
describes each family.
"""

from __future__ import annotations

import dataclasses
from typing import Literal

NULL = "null"
SKIP = "skip_connect"

Fit = Literal["always", "where_different"]
"""When an input passes a 1x1 convolution (a factorized reduction from twice the size) to the
block's channels: always, or where it has another size or other channels."""


@dataclasses.dataclass(frozen=True)
class Family:
    """What the networks of a family have in common.

    Attributes:
      operations: names of the operations that its edges may be.
      inputs: number of a block's inputs; None for as many as it names sources.
      wiring: ``chain``: blocks read the blocks before them. ``sources``: each names its inputs.
        ``concatenated``: each names the blocks, or the image, whose concatenated outputs are its
        one input, the smaller with zeros around them; those that no block reads are concatenated
        before the classifier. There is no stem.
      newest_first: whether input 0 of two is the output of the block before (the current one), not
        of the block before the last.
      concatenates_inputs: whether a cell's output may concatenate its inputs.
      fit: of the newer and of the older input; None for inputs that are taken as they are.
      base: whether the newer input passes another convolution behind that.
      first_as_it_is: whether the first block takes its older input as it is.
      drop_path: how its published networks are trained with drop path: not, with one probability,
        or with one that grows with depth (ScheduledDropPath).
      spares_skips: whether drop path never drops an identity, also one that changes the shape.
      padding: ``symmetric`` is PyTorch's, ``same`` TensorFlow's; they differ at stride 2.
      relu_first: whether convolutions are ReLU, convolution, batch norm, not convolution, batch
        norm.
      separable_dilated: whether ``dil_conv`` is a depthwise and a pointwise convolution.
      normed_pairs: whether batch norm and ReLU stand between 1xk and kx1 convolutions.
      strided_skip: whether an identity that halves the image is a strided 1x1 convolution, not a
        factorized reduction.
      bare_stride: stride at which an identity between shapes has no ReLU; 0 for none.
      pool_relu: whether ReLU stands before the 1x1 convolution of pooling that changes channels.
      pool_norm: whether batch norm stands behind that convolution.
      stem_relu: whether the genotype's activation follows the stem.
      final_norm: whether batch norm stands before the classifier.
      final_relu: whether ReLU does.
      bias: whether the classifiers have one.
      auxiliary_kernel: side of the auxiliary head's second convolution; 0 for the whole map.
      auxiliary_padding: of that convolution.
    """

    operations: frozenset[str]
    inputs: int | None = 1
    wiring: Literal["chain", "sources", "concatenated"] = "chain"
    newest_first: bool = False
    concatenates_inputs: bool = False
    fit: tuple[Fit, Fit] | None = None
    base: bool = False
    first_as_it_is: bool = False
    drop_path: Literal["none", "constant", "by_depth"] = "none"
    spares_skips: bool = False
    padding: Literal["symmetric", "same"] = "symmetric"
    relu_first: bool = True
    separable_dilated: bool = False
    normed_pairs: bool = False
    strided_skip: bool = False
    bare_stride: int = 0
    pool_relu: bool = False
    pool_norm: bool = True
    stem_relu: bool = False
    final_norm: bool = False
    final_relu: bool = False
    bias: bool = True
    auxiliary_kernel: int = 0
    auxiliary_padding: Literal["valid", "same"] = "valid"

    @property
    def newer(self) -> int:
        """Number of the input, of two, that is the output of the block before."""
        return 0 if self.newest_first else 1


def _names(*texts: str) -> frozenset[str]:
    return frozenset({NULL, SKIP}.union(*(text.split() for text in texts)))


_POOLS = "max_pool_3x3 avg_pool_3x3"
_SEPARABLE = "sep_conv_3x3 sep_conv_5x5"
_SIDES = (1, 3, 5, 7)

_RESIDUAL = Family(
    _names(
        "conv_1x1 conv_3x3 conv_5x5 depthwise_conv_3x3 depthwise_conv_5x5 depthwise_conv_7x7",
        "pad_shortcut avg_pool_3x3 squeeze_excite_4 squeeze_excite_12 squeeze_excite_24",
    ),
    relu_first=False,
    stem_relu=True,
)

FAMILIES: dict[str, Family] = {
    # ResNet, MobileNetV2, MnasNet, the chains of ProxylessNAS, plain chains.
    "residual": _RESIDUAL,
    # The same where TensorFlow's code defined them: EfficientNet as published.
    "residual_same": dataclasses.replace(_RESIDUAL, padding="same"),
    # The cell networks of DARTS and NAT.
    "darts": Family(
        _names(
            _POOLS,
            _SEPARABLE,
            "conv_1x1 conv_3x3 conv_5x5 conv_1x3_3x1 conv_1x7_7x1 sep_conv_7x7",
            "dil_conv_3x3 dil_conv_5x5 max_pool_2x2 avg_pool_2x2 max_pool_5x5 avg_pool_5x5",
        ),
        inputs=2,
        fit=("always", "always"),
        drop_path="constant",
        separable_dilated=True,
        auxiliary_kernel=2,
    ),
    # NASNet, PNASNet and AmoebaNet.
    "nasnet": Family(
        _names(
            _POOLS,
            _SEPARABLE,
            "conv_1x1 conv_3x3 conv_1x3_3x1 conv_1x7_7x1 sep_conv_7x7 dil_conv_3x3",
            "dil_sep_conv_5x5 max_pool_2x2 max_pool_5x5 max_pool_7x7",
            "padded_max_pool_3x3 padded_avg_pool_3x3",
            "bottleneck_conv_3x3 bottleneck_conv_1x3_3x1 bottleneck_conv_1x7_7x1",
            "bottleneck_dil_conv_3x3",
        ),
        inputs=2,
        newest_first=True,
        concatenates_inputs=True,
        fit=("always", "where_different"),
        first_as_it_is=True,
        drop_path="by_depth",
        spares_skips=True,
        padding="same",
        normed_pairs=True,
        strided_skip=True,
        final_relu=True,
    ),
    # ENAS's micro cells.
    "enas": Family(
        _names(_SEPARABLE, _POOLS),
        inputs=2,
        concatenates_inputs=True,
        fit=("where_different", "where_different"),
        base=True,
        drop_path="by_depth",
        padding="same",
        bare_stride=2,
        pool_relu=True,
        final_relu=True,
        bias=False,
        auxiliary_padding="same",
    ),
    # The networks of NAS-Bench-201.
    "nasbench201": Family(
        _names("conv_1x1 conv_3x3 avg_pool_2x2 avg_pool_3x3 avg_pool_conv_2x2"),
        bare_stride=1,
        pool_norm=False,
        final_norm=True,
        final_relu=True,
    ),
    # ENAS's macro networks.
    "macro": Family(
        _names(_SEPARABLE, _POOLS, "conv_1x1 conv_3x3 conv_5x5"),
        inputs=None,
        wiring="sources",
        concatenates_inputs=True,
        padding="same",
        bare_stride=2,
        pool_relu=True,
        bias=False,
    ),
    # The networks of NAS (Zoph & Le 2017).
    "nas2017": Family(
        _names(*(f"conv_{height}x{width}" for height in _SIDES for width in _SIDES)),
        wiring="concatenated",
        padding="same",
        relu_first=False,
        strided_skip=True,
    ),
}
"""The families by name."""

"""Operations of every family against NumPy, weighted and not."""

import functools
import itertools

import flax.linen
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnas.nn.operations import Op, Style
from jaxnas.spaces.families import FAMILIES
from jaxnas.spaces.genotype import ACTIVATIONS, NULL
from support import reference
from support.networks import assert_close, by_path, images, random_variables

SIDES = (5, 6)  # one odd, one even
CHANNELS = 12


class Plain(flax.linen.Module):
    """An operation as a network, so that it can be given images and random variables."""

    op: Op
    gated: bool = False

    @flax.linen.compact
    def __call__(self, x, gate=None, *, train):
        return self.op(x, train, gate)


def style(family, activation="relu"):
    return Style(family, activation, 1e-3, jnp.float32)


def _cases():
    for family, rules in FAMILIES.items():
        for op in sorted(rules.operations - {NULL}):
            keeps = op.startswith(("depthwise", "squeeze"))
            places = [(1, CHANNELS), (2, CHANNELS if keeps else 15)]
            if op == "skip_connect":
                places += [(1, 15), (2, CHANNELS)]
            for stride, features in places[:1] if "squeeze" in op else places:
                name = f"{family}-{op}-{stride}-{features}"
                # Strided they do all that they do at stride 1, which one family does every day.
                quick = stride == 2 or family == "nasnet" or op.startswith(("skip", "squeeze"))
                marks = () if quick else pytest.mark.slow
                yield pytest.param(family, op, stride, features, id=name, marks=marks)


@pytest.mark.quick_cases(1)
@pytest.mark.parametrize(("family", "op", "stride", "features"), list(_cases()))
def test_an_operation_computes_what_numpy_says(family, op, stride, features):
    module = Plain(Op(op, features, stride, style(family)))
    shape = (*SIDES, CHANNELS)
    x = images(shape=shape)
    variables = random_variables(module, shape=shape)

    @functools.partial(jax.jit, static_argnames="train")
    def apply(variables, x, train):
        return module.apply(variables, x, train=train, mutable=["batch_stats"])

    for train in (False, True):
        found, changed = apply(variables, x, train)
        expected = reference.Reference(variables, train)
        expected.family, expected.epsilon = family, 1e-3
        out = expected.op(("op",), op, np.asarray(x, np.float64), features, stride)
        assert found.shape == (2, -(-SIDES[0] // stride), -(-SIDES[1] // stride), features)
        assert_close(found, out)
        if train:
            stats = by_path(changed["batch_stats"]) if changed else {}
            assert_close(stats, expected.batch_stats)


@pytest.mark.quick_cases(1)
@pytest.mark.parametrize(
    ("family", "op", "stride", "features"),
    [
        ("residual", "skip_connect", 2, 7),
        pytest.param("residual", "pad_shortcut", 2, 7, marks=pytest.mark.slow),
        ("residual", "depthwise_conv_3x3", 2, 4),
        pytest.param("darts", "skip_connect", 1, 4, marks=pytest.mark.slow),
        pytest.param("darts", "skip_connect", 1, 7, marks=pytest.mark.slow),
        ("darts", "skip_connect", 2, 7),
        pytest.param("darts", "conv_1x1", 1, 4, marks=pytest.mark.slow),
        ("darts", "conv_3x3", 2, 7),
        pytest.param("darts", "sep_conv_3x3", 2, 7, marks=pytest.mark.slow),
        pytest.param("darts", "max_pool_3x3", 2, 4, marks=pytest.mark.slow),
        ("nasnet", "avg_pool_3x3", 1, 7),
        ("nasnet", "bottleneck_conv_1x7_7x1", 2, 7),
        ("residual", "squeeze_excite_12", 1, 4),
    ],
)
def test_a_gate_weights_an_operation_in_value_and_in_gradients(family, op, stride, features):
    module = Plain(Op(op, features, stride, style(family)))
    shape = (*SIDES, 4)
    x, gate = images(shape=shape), jnp.float32(-0.7)
    variables = random_variables(module, shape=shape)
    params, stats = (variables.get(part, {}) for part in ("params", "batch_stats"))

    @functools.partial(jax.jit, static_argnames="folded")
    def run(params, x, gate, folded):
        variables = {"params": params, "batch_stats": stats}
        given = (x, gate) if folded else (x,)
        out, changed = module.apply(variables, *given, train=True, mutable=["batch_stats"])
        return (out if folded else out * gate), changed

    direction = jnp.asarray(
        np.random.default_rng(1).normal(size=run(params, x, gate, True)[0].shape)
    )

    def loss(folded):
        return lambda *args: (run(*args, folded)[0] * direction).sum()

    (found, found_stats), (expected, expected_stats) = (
        run(params, x, gate, folded) for folded in (True, False)
    )
    assert_close(found, expected)
    assert_close(found_stats, expected_stats)
    gradients = [
        jax.jit(jax.grad(loss(folded), (0, 1, 2)))(params, x, gate) for folded in (True, False)
    ]
    assert_close(*gradients, tolerance=1e-4)
    assert not np.any(run(params, x, jnp.float32(0), True)[0])


def test_an_unknown_operation_is_refused_by_name():
    with pytest.raises(ValueError, match="operation 'full_conv_9x9' has no implementation"):
        random_variables(Plain(Op("full_conv_9x9", 4, 1, style("darts"))))


def test_squeeze_and_excitation_changes_no_shape():
    for features, stride in ((4, 2), (5, 1)):
        with pytest.raises(ValueError, match="squeeze_excite_12 keeps an image's shape"):
            random_variables(
                Plain(Op("squeeze_excite_12", features, stride, style("residual"))),
                shape=(*SIDES, 4),
            )


def test_activations_inside_an_excitation_are_the_networks():
    shape = (*SIDES, 120)
    x = 20 * jnp.abs(images(shape=shape))
    found = []
    for activation in ACTIVATIONS:
        op = Plain(Op("squeeze_excite_12", 120, 1, style("residual", activation)))
        found.append(op.apply(random_variables(op, shape=shape), x, train=False))
    for one, other in itertools.combinations(found, 2):
        assert not np.allclose(one, other)


def test_an_excitation_with_silu_is_efficientnets():
    """Tan & Le 2019: the mean, a layer to a part of the channels, SiLU, one back, a sigmoid."""
    x = images(shape=(*SIDES, 24))
    op = Plain(Op("squeeze_excite_24", 24, 1, style("residual", "silu")))
    variables = random_variables(op, shape=(*SIDES, 24))
    (inner,) = variables["params"].values()
    reduced = np.asarray(x).mean((1, 2)) @ inner["reduce"]["kernel"] + inner["reduce"]["bias"]
    assert reduced.shape[-1] == 1
    swished = reduced / (1 + np.exp(-reduced))
    gate = 1 / (1 + np.exp(-(swished @ inner["expand"]["kernel"] + inner["expand"]["bias"])))
    assert_close(op.apply(variables, x, train=False), x * gate[:, None, None])


@pytest.mark.parametrize(
    ("family", "op"),
    [("darts", "conv_3x3"), ("darts", "sep_conv_3x3"), ("nasnet", "conv_1x3_3x1")],
)
def test_a_genotypes_activation_stands_wherever_its_family_has_one(family, op):
    x = 10 * images(shape=(*SIDES, 4))
    found = []
    for activation in ACTIVATIONS:
        module = Plain(Op(op, 4, 1, style(family, activation)))
        found.append(module.apply(random_variables(module, shape=(*SIDES, 4)), x, train=False))
    for one, other in itertools.combinations(found, 2):
        assert not np.allclose(one, other)

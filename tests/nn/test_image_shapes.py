"""Images of every shape: a network computes of a turned image what its turned self computes."""

import dataclasses
import re

import jax
import jax.numpy as jnp
import pytest

from jaxnas.nn import abstract_variables, build, cost
from jaxnas.spaces import zoo
from jaxnas.spaces.families import FAMILIES
from support.networks import CLASSES, SMALL, assert_close, images, random_variables

SHAPES = ((1, 5), (128, 2), (2, 128), (16, 128), (3, 2), (1, 1))
# One network of every family, with the stems that the family's networks have.
STEMS = (
    ("concat", "small"),
    ("tangle", "small"),
    ("tangle", "strided"),
    ("primitives", "small"),
    ("primitives", "double"),
    ("states", "small"),
    ("states", "valid"),
    ("micro", "small"),
    ("macro", "small"),
    ("nasbench201", "small"),
    ("nas2017", "small"),
)


def network(name, stem):
    return dataclasses.replace(SMALL[name], stem_form=stem)


def turned_op(op):
    """``conv_3x1`` of ``conv_1x3``; what is named by no sides is square."""
    return re.sub(r"(\d+)x(\d+)", r"\2x\1", op)


def turned(genotype):
    """The network with height and width exchanged."""
    cells = tuple(
        dataclasses.replace(
            cell,
            edges=tuple(dataclasses.replace(edge, op=turned_op(edge.op)) for edge in cell.edges),
        )
        for cell in genotype.cells
    )
    blocks = tuple(
        dataclasses.replace(block, strides=block.strides[::-1]) for block in genotype.blocks
    )
    return dataclasses.replace(genotype, cells=cells, blocks=blocks)


def turned_variables(tree):
    if not isinstance(tree, dict):
        return tree.swapaxes(0, 1) if tree.ndim == 4 else tree
    return {turned_op(name): turned_variables(value) for name, value in tree.items()}


@pytest.fixture
def _turned_operations(monkeypatch):
    """Families that also know the turned forms of pairs such as ``conv_1x7_7x1``."""
    for name, family in FAMILIES.items():
        known = family.operations | {turned_op(op) for op in family.operations}
        monkeypatch.setitem(FAMILIES, name, dataclasses.replace(family, operations=known))


def logits(genotype, variables, x):
    module = build(genotype, CLASSES)
    return jax.jit(lambda variables, x: module.apply(variables, x, train=False))(variables, x)


@pytest.mark.usefixtures("_turned_operations")
@pytest.mark.quick_cases(1)
@pytest.mark.parametrize(
    ("name", "stem", "shape"),
    [(name, stem, shape) for name, stem in STEMS for shape in SHAPES],
)
def test_of_a_turned_image_the_turned_network_computes_the_same(name, stem, shape):
    genotype = network(name, stem)
    variables = random_variables(build(genotype, CLASSES), shape=(32, 32, 3))
    x = images(shape=(*shape, 3))
    expected = logits(genotype, variables, x)
    found = logits(turned(genotype), turned_variables(variables), x.swapaxes(1, 2))
    assert jnp.isfinite(expected).all()
    assert_close(found, expected)


@pytest.mark.quick_cases(1)
@pytest.mark.parametrize(("name", "stem"), STEMS)
def test_one_set_of_variables_serves_images_of_every_shape(name, stem):
    module = build(network(name, stem), CLASSES)
    expected = abstract_variables(module, (32, 32, 3))
    for shape in ((2, 128), (1, 5), (1, 1)):
        assert abstract_variables(module, (*shape, 3)) == expected


@pytest.mark.slow
def test_a_flat_image_is_halved_as_a_narrow_one():
    """Height alone told whether the older input is twice as large: (128, 2) was built alone."""
    for name in ("darts_v2", "darts_v2_imagenet"):
        module = build(zoo.named(name, channels=4, cells=5), 10)
        for shape in ((2, 128), (16, 128)):
            assert cost(module, (*shape, 1)) == cost(module, (*shape[::-1], 1))

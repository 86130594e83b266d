"""Genotypes: what they say of their graphs, what they refuse, and how they are written down."""

import dataclasses
import hashlib
import json
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxnas.spaces import Block, Cell, Edge, Genotype, GenotypeError, Node, zoo
from jaxnas.spaces.families import FAMILIES
from jaxnas.spaces.genotype import NULL, SKIP
from support import graphs

pytestmark = pytest.mark.oldest

FAST = graphs.FAST


def chain(*blocks, family="residual", cells=None, **changes):
    inputs = 1 if family in ("residual", "nasbench201", "nas2017") else 2
    cell = Cell("only", inputs, (Node(),), (Edge(SKIP, 0, inputs),), (inputs,))
    fields = {
        "name": "chain",
        "family": family,
        "stem": 0 if family == "nas2017" else 4,
        "cells": (cell,) if cells is None else cells,
        "blocks": blocks or (Block("only", 4),),
    }
    return Genotype(**{**fields, **changes})


def layers(*placed):
    """A network of NAS's family, of layers with these sources and strides."""
    blocks = [Block("only", 4, sources=sources, strides=strides) for sources, strides in placed]
    return chain(*blocks, family="nas2017")


# What a cell reaches.


@FAST
@given(st.sampled_from(graphs.FAMILIES).flatmap(graphs.cells))
def test_a_cell_is_connected_if_a_path_leads_through_it(cell):
    assert cell.connected() == graphs.by_paths(cell.inputs, cell.edges, cell.output)


@FAST
@given(st.data())
def test_reached_and_useful_are_the_two_ends_of_paths(data):
    cell = data.draw(st.sampled_from(graphs.FAMILIES).flatmap(graphs.cells))
    size = cell.inputs + len(cell.nodes)
    sources = tuple(data.draw(st.sets(st.integers(0, cell.inputs - 1))))

    def leads(source, target):
        return next(graphs.paths(cell.edges, source, target), None) is not None

    assert cell.reached(sources) == {n for n in range(size) if any(leads(s, n) for s in sources)}
    assert cell.useful() == {n for n in range(size) if any(leads(n, o) for o in cell.output)}


@FAST
@given(graphs.genotypes())
def test_a_network_is_connected_if_its_flat_graph_is(genotype):
    assert genotype.connected() == graphs.flat_connected(genotype)


@FAST
@given(
    st.sampled_from(("darts", "nasnet", "enas")).flatmap(
        lambda family: graphs.genotypes(family=family, most_blocks=6, most_nodes=2, most_edges=3)
    )
)
def test_a_network_of_two_input_cells_is_connected_if_its_flat_graph_is(genotype):
    assert genotype.connected() == graphs.flat_connected(genotype)


def test_two_inputs_bypass_one_dead_block_but_not_two():
    dead = Cell("dead", 2, (Node(),), (Edge(NULL, 1, 2),), (2,))
    older = Cell("older", 2, (Node(),), (Edge(SKIP, 0, 2),), (2,))
    newer = Cell("newer", 2, (Node(),), (Edge(SKIP, 1, 2),), (2,))

    def connected(*names):
        blocks = [Block(name, 4) for name in names]
        return chain(*blocks, family="darts", cells=(dead, older, newer)).connected()

    assert connected("newer", "dead", "older")
    assert not connected("newer", "dead", "newer")
    assert not connected("newer", "dead", "dead", "older")
    assert not connected("newer", "dead", "older", "dead")


def test_the_trap_of_the_input_order():
    """Input 0 is the older one in DARTS's family and the current one in NASNet's."""
    blocks = (Block("only", 4), Block("only", 4), Block("only", 4, previous=3))
    for family, expected in (
        ("darts", [(-2, -1), (-1, 0), (-1, 1)]),
        ("enas", [(-2, -1), (-1, 0), (-1, 1)]),
        ("nasnet", [(-1, -2), (0, -1), (1, -1)]),
        ("residual", [(-1,), (0,), (1,)]),
        ("nasbench201", [(-1,), (0,), (1,)]),
    ):
        genotype = chain(*blocks, family=family)
        assert [genotype.inputs_of(index) for index in range(3)] == expected
    long = chain(*[Block("only", 4, previous=3)] * 5, family="nasnet")
    assert long.inputs_of(4) == (3, 1)


def test_the_head_reads_the_last_block_or_all_that_none_reads():
    blocks = (Block("only", 4), Block("only", 4))
    assert chain(*blocks).head_inputs() == (1,)
    found = layers(((-1,), (1, 1)), ((-1, 0), (2, 1)), ((-1,), (1, 1)), ((1,), (1, 3)))
    assert found.head_inputs() == (2, 3)
    assert [found.inputs_of(index) for index in range(4)] == [(-1,), (-1, 0), (-1,), (1,)]
    assert [block.stride_text for block in found.blocks] == ["", "2x1", "", "1x3"]
    assert "only 4 of -1, only 4/2x1 of -1 0, only 4 of -1, only 4/1x3 of 1" in str(found)


@FAST
@given(st.sampled_from(graphs.FAMILIES).flatmap(graphs.cells))
def test_an_edge_carries_the_stride_where_it_leads_behind_it(cell):
    strided = [False] * cell.inputs + [node.strided for node in cell.nodes]
    for edge in cell.edges:
        assert cell.crosses_stride(edge) == (strided[edge.source] < strided[edge.target])


# Plain values.


@FAST
@given(graphs.genotypes())
def test_equal_genotypes_are_equal_values(genotype):
    twin = dataclasses.replace(genotype)
    assert twin is not genotype
    assert twin == genotype
    assert hash(twin) == hash(genotype)
    assert dataclasses.replace(genotype, head=genotype.head + 1) != genotype


@pytest.mark.parametrize("part", [Edge(SKIP, 0, 1), Node(), Block("only", 4), chain()], ids=repr)
def test_no_part_of_a_genotype_can_be_changed(part):
    for field in dataclasses.fields(part):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(part, field.name, None)


@FAST
@given(graphs.genotypes())
def test_the_text_names_every_edge_and_block(genotype):
    lines = str(genotype).split("\n")
    text = "\n".join(lines)
    for cell in genotype.cells:
        assert f"  {cell.name}: " in text
        for edge in cell.edges:
            assert f"{edge.op} {edge.source}>{edge.target}" in text
    strided = sum(block.stride == 2 for block in genotype.blocks)
    strided += sum(block.strides[:1] == (2,) for block in genotype.blocks)
    blocks = text.split("  blocks: ")[-1]
    for block in genotype.blocks:
        assert f"{block.cell} {block.channels}" in blocks
    names = sum(block.cell.count("/2") for block in genotype.blocks)
    assert blocks.count("/2") == strided + names


# JSON.


@FAST
@given(graphs.genotypes())
def test_json_reads_back_what_it_wrote(genotype):
    text = genotype.to_json()
    again = Genotype.from_json(text)
    assert again == genotype
    assert hash(again) == hash(genotype)
    assert again.to_json() == text
    assert isinstance(json.loads(text), dict)


@FAST
@given(graphs.genotypes())
def test_fields_with_a_default_may_be_left_out(genotype):
    plain = dataclasses.replace(
        genotype,
        head=0,
        blocks=tuple(dataclasses.replace(block, stride=1) for block in genotype.blocks),
    )
    data = json.loads(plain.to_json())
    del data["head"]
    for block in data["blocks"]:
        del block["stride"]
    assert Genotype.from_json(json.dumps(data)) == plain


@FAST
@given(graphs.genotypes())
def test_json_names_a_part_of_the_channels_only_where_there_is_one(genotype):
    written = json.loads(genotype.to_json())
    for cell, found in zip(genotype.cells, written["cells"], strict=True):
        parts = [node.get("squeeze") for node in found["nodes"]]
        assert parts == [node.squeeze if node.squeeze > 1 else None for node in cell.nodes]


@FAST
@given(graphs.genotypes())
def test_json_names_two_strides_only_where_there_are(genotype):
    found = [block.get("strides") for block in json.loads(genotype.to_json())["blocks"]]
    assert found == [list(block.strides) or None for block in genotype.blocks]


def test_json_is_what_it_was_before_nodes_could_have_a_part_of_the_channels():
    """Stored bases, results and digests hold it."""
    for name, digest in (
        ("resnet20", "4165e95f5fbf32bd11e196f8e3c739ef526d81efbe42551c9a3197a211705d44"),
        ("mobilenet_v2", "25d5c626c95e4b011e53f3e4039b1210b71420933fd2cd34b7a117ba8348bd1e"),
        ("darts_v2", "2e173a68afbb1d1bbd72448fe436d3d2a3524518ef62897f4e05307d853cae3e"),
    ):
        text = zoo.named(name).to_json()
        assert hashlib.sha256(text.encode()).hexdigest() == digest


def objects(data, path=("genotype",)):
    """Every object inside parsed JSON, with its place in the words of an error."""
    if isinstance(data, dict):
        yield ".".join(path), data
        for name, value in data.items():
            yield from objects(value, (*path, name))
    elif isinstance(data, list):
        for index, value in enumerate(data):
            yield from objects(value, (*path[:-1], f"{path[-1]}[{index}]"))


OPTIONAL = {
    *("head", "stem_form", "activation", "epsilon", "auxiliary"),
    *("stride", "previous", "sources", "expansion", "strided", "relu", "concat"),
    *("squeeze", "strides"),
}

WRONG = {
    int: [True, 1.0, "1", None, [], {}],
    str: [1, None, [], True],
    bool: [0, 1, "true", None],
    float: [True, 1, "1e-5", None],
    list: [{}, "", 0, None],
}


@FAST
@given(st.data())
def test_a_field_too_few_too_many_or_of_a_wrong_type_is_named(data):
    genotype = data.draw(graphs.genotypes())
    parsed = json.loads(genotype.to_json())
    place, target = data.draw(st.sampled_from(list(objects(parsed))))
    field = data.draw(st.sampled_from(sorted(target)))
    kind = data.draw(st.sampled_from(("missing", "unknown", "wrong")))
    if kind == "missing":
        if field in OPTIONAL:
            return
        del target[field]
        expected = f"{place}: field '{field}' is missing"
    elif kind == "unknown":
        target[field + "s"] = target[field]
        expected = f"{place}: unknown field '{field}s'"
    else:
        wrong = data.draw(st.sampled_from(WRONG[type(target[field])]))
        target[field] = wrong
        expected = f"{place}.{field}: expected "
    with pytest.raises(GenotypeError) as caught:
        Genotype.from_json(json.dumps(parsed))
    assert expected in str(caught.value)
    if kind == "wrong":
        assert f"found {type(wrong).__name__}" in str(caught.value)


@pytest.mark.parametrize("text", ["", "NaN", "{", "{'name': 1}", chain().to_json()[:-1]])
def test_what_is_no_json_is_a_genotype_error(text):
    with pytest.raises(GenotypeError, match="not JSON"):
        Genotype.from_json(text)


@pytest.mark.parametrize("text", ["[]", "null", "1", '"resnet20"', "true"])
def test_json_of_something_else_is_a_genotype_error(text):
    with pytest.raises(GenotypeError, match="genotype: expected an object, found"):
        Genotype.from_json(text)


@pytest.mark.parametrize("text", ["[" * 100_000, '{"stem": ' + "1" * 5000 + "}"])
def test_json_too_deep_or_too_long_to_parse_is_a_genotype_error(text):
    with pytest.raises(GenotypeError):
        Genotype.from_json(text)


def test_a_field_that_stands_twice_or_is_not_finite_is_a_genotype_error():
    text = chain().to_json()
    for old, new, message in (
        ('"stem": 4', '"stem": 4, "stem": 4', "an object has 'stem' twice"),
        ('"epsilon": 1e-05', '"epsilon": Infinity', "Infinity is no finite number"),
        ('"epsilon": 1e-05', '"epsilon": 1e999', "1e999 is no finite number"),
    ):
        assert text.count(old) == 1
        with pytest.raises(GenotypeError, match=message):
            Genotype.from_json(text.replace(old, new))


def test_json_that_describes_no_network_is_a_genotype_error():
    data = json.loads(chain().to_json())
    data["blocks"][0]["stride"] = 3
    with pytest.raises(GenotypeError, match=r"block of cell 'only'.* stride"):
        Genotype.from_json(json.dumps(data))


# What describes no network.


def cell(edges=((SKIP, 0, 1),), nodes=2, inputs=1, output=(1,), name="c", strided=None):
    kinds = tuple(Node(strided=each) for each in strided or (True,) * nodes)
    return Cell(name, inputs, kinds, tuple(Edge(*edge) for edge in edges), output)


def squeezed(part, expansion=0):
    return Cell("c", 1, (Node(expansion, squeeze=part),), (Edge(SKIP, 0, 1),), (1,))


def macro(*blocks):
    two = cell(inputs=2, edges=[(SKIP, 0, 2), (SKIP, 1, 2)], output=(2,), name="two")
    return chain(*blocks, family="macro", cells=(cell(), two))


GOOD, BAD = (SKIP, 0, 1), "cell 'c', edge 1 "


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: cell(inputs=0), "cell 'c': inputs must be positive, not 0"),
        (
            lambda: chain(Block("c", 4), cells=(cell(inputs=3, nodes=3, output=(3,), edges=()),)),
            "cell 'c': .* 'residual' has 1 inputs, not 3",
        ),
        (lambda: cell(output=()), "cell 'c': no output node"),
        (lambda: cell(output=(-1,)), "cell 'c': output node -1 .* 0 to 2"),
        (lambda: cell(output=(1, 3)), "cell 'c': output node 3 .* 0 to 2"),
        (
            lambda: chain(Block("c", 4), cells=(cell(output=(0,)),)),
            "cell 'c': output node 0 is an input; family 'residual' concatenates nodes only",
        ),
        (lambda: cell([GOOD, (SKIP, 0, 0)]), BAD + r"\(skip_connect 0>0\): its target .* 1 to 2"),
        (lambda: cell([GOOD, (SKIP, 0, 3)]), BAD + r"\(skip_connect 0>3\): its target .* 1 to 2"),
        (lambda: cell([GOOD, (SKIP, 2, 2)]), BAD + ".* its source .* 0 to 1"),
        (lambda: cell([GOOD, (SKIP, -1, 2)]), BAD + ".* its source .* 0 to 1"),
        (lambda: cell([(SKIP, 0, 2), GOOD]), BAD + r"\(skip_connect 0>1\): .* sorted by target"),
        (
            lambda: cell([GOOD, (SKIP, 1, 2)], strided=(True, False)),
            BAD + r"\(skip_connect 1>2\): it leads back before the block's stride",
        ),
        (lambda: squeezed(0), r"cell 'c', node 1: squeeze must be positive, .* not 0 with .* 0"),
        (lambda: squeezed(2, 3), r"cell 'c', node 1: squeeze .* not 2 with expansion 3"),
        (
            lambda: chain(Block("c", 8), Block("c", 6), cells=(squeezed(4),)),
            "block 1: a node of cell 'c' has its channels divided by 4, and 6 is no multiple",
        ),
        (lambda: Block("c", 0), "block of cell 'c': channels .* not 0 and 1"),
        (lambda: Block("c", 4, 3), "block of cell 'c': .* not 4 and 3"),
        (lambda: Block("c", 4, 0), "block of cell 'c': .* not 4 and 0"),
        (lambda: Block("c", 4, 1, 1), "block of cell 'c': previous must be 2 or 3, not 1"),
        (lambda: chain(stem_form="odd"), "'chain': stem_form must be one of small, .* not 'odd'"),
        (lambda: chain(activation="elu"), "'chain': activation .* relu, relu6, silu, not 'elu'"),
        (lambda: chain(epsilon=0.0), "'chain': epsilon must be positive and finite, not 0.0"),
        (lambda: chain(epsilon=float("nan")), "epsilon must be positive and finite, not nan"),
        (lambda: chain(epsilon=float("inf")), "epsilon must be positive and finite, not inf"),
        (
            lambda: chain(*[Block("only", 4)] * 4001),
            "'chain': 4,001 blocks of 1 cells have more operations or nodes together than the 4,0",
        ),
        (lambda: chain(auxiliary=99), "'chain': auxiliary must be a block, 0 to .*, not 99"),
        (lambda: chain(auxiliary=-2), "'chain': auxiliary must be a block, .*, not -2"),
        (lambda: chain(family="lstm", cells=()), "genotype 'chain': family .* not 'lstm'"),
        (lambda: chain(stem=0), "genotype 'chain': stem .* not 0 and 0"),
        (lambda: chain(head=-1), "genotype 'chain': .* head .* not 4 and -1"),
        (lambda: dataclasses.replace(chain(), blocks=()), "genotype 'chain': no blocks"),
        (lambda: chain(Block("c", 4), cells=(cell(), cell())), "'chain': two cells .* 'c'"),
        (
            lambda: chain(Block("c", 4), cells=(cell(),), family="darts"),
            "cell 'c': .* 'darts' has 2 inputs, not 1",
        ),
        (
            lambda: chain(Block("c", 4), cells=(cell([GOOD, ("conv_9x9", 0, 2)]),)),
            BAD + r"\(conv_9x9 0>2\): unknown operation 'conv_9x9'.* conv_3x3",
        ),
        (
            lambda: chain(Block("only", 4), Block("other", 4)),
            "block 1: there is no cell 'other'; there are only",
        ),
        (
            lambda: chain(Block("only", 4, sources=(-1,))),
            "block 0: .* 'only' and family 'residual' names 0 sources, not 1",
        ),
        (
            lambda: macro(Block("c", 4, sources=(-1,)), Block("c", 4)),
            "block 1: .* 'c' and family 'macro' names 1 sources, not 0",
        ),
        (lambda: macro(Block("c", 4, sources=(0,))), "block 0: source 0 .* to -1"),
        (lambda: macro(Block("c", 4, sources=(-2,))), "block 0: source -2 is no earlier block"),
        (
            lambda: macro(Block("c", 4, 2, sources=(-1,)), Block("two", 4, sources=(-1, 0))),
            "block 1: its sources -1, 0 differ in size",
        ),
        (lambda: Block("c", 4, strides=(1,)), r"block of cell 'c': strides must be .* not \(1,\)"),
        (lambda: Block("c", 4, strides=(1, 4)), r"block of cell 'c': strides .* not \(1, 4\) bes"),
        (lambda: Block("c", 4, 2, strides=(1, 1)), r"'c': strides .* not \(1, 1\) besides 2"),
        (
            lambda: chain(Block("only", 4, strides=(1, 1))),
            r"block 0: family 'residual' has one stride .* must be empty, not \(1, 1\)",
        ),
        (lambda: chain(family="nas2017", stem=4), "'chain': stem must be 0 .* not 4 and 0"),
        (
            lambda: chain(Block("only", 4, sources=(-1,)), family="nas2017"),
            "block 0: a block of family 'nas2017' has strides of height and width",
        ),
        (lambda: layers(((), (1, 1))), r"block 0: its sources must be .* to -1, not \(\)"),
        (lambda: layers(((0,), (1, 1))), r"block 0: its sources .* to -1, not \(0,\)"),
        (lambda: layers(((-2,), (1, 1))), r"block 0: its sources .* not \(-2,\)"),
        (
            lambda: layers(((-1,), (1, 1)), ((0, -1), (1, 1))),
            r"block 1: its sources must be .* in rising order, .* to 0, not \(0, -1\)",
        ),
        (lambda: layers(((-1, -1), (1, 1))), r"block 0: its sources .* not \(-1, -1\)"),
        (
            lambda: chain(
                Block("c", 4, sources=(-1,), strides=(1, 1)),
                cells=(cell(output=(0,)),),
                family="nas2017",
            ),
            "cell 'c': output node 0 is an input; family 'nas2017' concatenates nodes only",
        ),
    ],
)
def test_what_describes_no_network_is_refused_by_name(make, message):
    with pytest.raises(GenotypeError, match=message):
        make()


@pytest.mark.parametrize("family", graphs.FAMILIES)
def test_no_family_takes_the_others_own_operations(family):
    inputs = FAMILIES[family].inputs or 1
    for op in sorted(set().union(*(each.operations for each in FAMILIES.values()))):
        one = Cell("c", inputs, (Node(),), (Edge(op, 0, inputs),), (inputs,))
        if op in FAMILIES[family].operations:
            assert graphs.alone(one, family).cell("c") is one
        else:
            with pytest.raises(GenotypeError, match=f"unknown operation {op!r}"):
                graphs.alone(one, family)


@pytest.mark.parametrize("name", ["jaxnas.spaces", "jaxnas.spaces.zoo", "jaxnas.spaces.adaptation"])
def test_architectures_know_nothing_of_arrays_on_devices(name):
    code = (
        f"import sys, {name}\n"
        "loaded = {each.split('.')[0] for each in sys.modules}\n"
        "print(sorted(loaded & {'jax', 'jaxlib', 'flax', 'optax'}))\n"
        f"print({name!r} in sys.modules)"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert run.stdout.split("\n")[:2] == ["[]", "True"]

"""The text form of the DARTS community."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxnas.spaces import Cell, Edge, Genotype, GenotypeError, Node, zoo
from jaxnas.spaces.families import FAMILIES
from jaxnas.spaces.genotype import NULL
from jaxnas.spaces.zoo.darts_text import read_cells, write_cells
from support import graphs

pytestmark = pytest.mark.oldest

# As DARTS's repository has it, with a range, a trailing comma and line breaks.
DARTS_V2 = """
DARTS_V2 = Genotype(normal=[('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ('sep_conv_3x3', 0),
  ('sep_conv_3x3', 1), ('sep_conv_3x3', 1), ('skip_connect', 0), ('skip_connect', 0),
  ('dil_conv_3x3', 2)], normal_concat=range(2, 6),
  reduce=[('max_pool_3x3', 0), ('max_pool_3x3', 1), ('skip_connect', 2), ('max_pool_3x3', 1),
  ('max_pool_3x3', 0), ('skip_connect', 2), ('skip_connect', 2), ('max_pool_3x3', 1),],
  reduce_concat=[2, 3, 4, 5],
)
"""


def text(normal="[('skip_connect', 0), ('skip_connect', 1)]", concat="[2]", reduce=None):
    reduce = normal if reduce is None else reduce
    return f"Genotype(normal={normal}, normal_concat={concat}, reduce={reduce}, reduce_concat=[2])"


def test_a_text_with_a_name_a_range_and_line_breaks_is_read():
    assert read_cells(DARTS_V2) == zoo.named("darts_v2").cells


def test_what_is_written_is_the_papers_text():
    written = write_cells(*zoo.named("darts_v1").cells)
    assert written.startswith("Genotype(normal=[('sep_conv_3x3', 1), ('sep_conv_3x3', 0), ('skip_c")
    assert "normal_concat=[2, 3, 4, 5], reduce=[('max_pool_3x3', 0), ('max_pool_3x3', 1)" in written


@pytest.mark.parametrize("name", [name for name in zoo.ZOO if zoo.named(name).family == "darts"])
def test_every_darts_network_is_written_and_read_back(name):
    cells = zoo.named(name).cells
    assert read_cells(write_cells(*cells)) == cells


@st.composite
def printable(draw):
    """A cell that the text form can say: the last node has an edge, nodes are plain."""
    edges = draw(
        st.lists(
            st.tuples(st.sampled_from(sorted(FAMILIES["darts"].operations)), st.integers(2, 5)),
            min_size=1,
            max_size=8,
        )
    )
    made = [Edge(op, draw(st.integers(0, target - 1)), target) for op, target in edges]
    made.sort(key=lambda edge: edge.target)
    return made, draw(st.lists(st.integers(2, made[-1].target), min_size=1, unique=True))


def cells_of(normal, reduction):
    return tuple(
        Cell(name, 2, (Node(),) * (edges[-1].target - 1), tuple(edges), tuple(output))
        for name, (edges, output) in (("normal", normal), ("reduction", reduction))
    )


@graphs.FAST
@given(printable(), printable())
def test_any_cell_is_written_and_read_back(normal, reduction):
    cells = cells_of(normal, reduction)
    assert read_cells(write_cells(*cells)) == cells


@st.composite
def paired(draw):
    """A cell of two edges to each node."""
    operations = st.sampled_from(sorted(FAMILIES["darts"].operations))
    edges = [
        Edge(draw(operations), draw(st.integers(0, target - 1)), target)
        for target in range(2, draw(st.integers(2, 5)) + 1)
        for _ in range(2)
    ]
    return edges, draw(st.lists(st.integers(2, edges[-1].target), min_size=1, unique=True))


@graphs.FAST
@given(paired(), paired(), st.sampled_from(["pairs", "triples"]))
def test_text_becomes_json_and_the_same_text_in_both_forms(normal, reduction, form):
    text = write_cells(*cells_of(normal, reduction), form)
    foreign = "null" if form == "pairs" else "none"
    assert f"'{foreign}'" not in text
    network = zoo.darts_network("net", *read_cells(text), channels=4, layers=3)
    assert write_cells(*Genotype.from_json(network.to_json()).cells, form) == text


def test_one_text_has_one_form():
    """Pairs of one cell cannot stand beside triples of the other."""
    pairs = [("skip_connect", 0, 2), (NULL, 1, 2)]
    normal, reduction = (
        Cell(name, 2, (Node(),), tuple(Edge(*edge) for edge in edges), (2,))
        for name, edges in (("normal", pairs), ("reduction", pairs[:1]))
    )
    text = write_cells(normal, reduction)
    assert "[('skip_connect', 0, 2), ('null', 1, 2)]" in text
    assert read_cells(text) == (normal, reduction)
    assert "('none', 1)" in write_cells(normal, dataclasses.replace(normal, name="reduction"))
    with pytest.raises(GenotypeError, match="pairs say two edges to every node"):
        write_cells(normal, reduction, "pairs")


# As NATv2's repository has it.
NAONET = """NAONet = Genotype(
    normal=[('conv_3x3', 0, 2), ('avg_pool_5x5', 1, 2), ('conv_3x3', 1, 3), ('conv_1x3_3x1', 2, 3),
        ('conv_1x1', 0, 4), ('conv_3x3', 1, 4), ('conv_1x3_3x1', 0, 5), ('conv_3x3', 4, 5),
        ('conv_3x3', 0, 6), ('skip_connect', 1, 6)], normal_concat=[3,5,6],
    reduce=[('conv_3x3', 0, 2), ('avg_pool_2x2', 1, 2), ('conv_1x1', 0, 3), ('avg_pool_3x3', 0, 3),
        ('max_pool_2x2', 0, 4), ('conv_1x7_7x1', 1, 4), ('avg_pool_3x3', 0, 5), ('conv_1x1', 2, 5),
        ('conv_3x3', 0, 6), ('max_pool_3x3', 1, 6)], reduce_concat=[3,4,5,6])"""


def test_naonet_is_read():
    assert read_cells(NAONET) == zoo.named("naonet_cells").cells


@pytest.mark.parametrize(
    "around",
    ["{}", "  {}\n", "DARTS = {}", "07/01 01:02:03 AM genotype = {}", "epoch 3\n{}\n0.97 (top)"],
)
def test_a_line_of_a_log_is_read(around):
    assert read_cells(around.format(text())) == read_cells(text())


def test_darts_own_names_become_this_projects():
    normal, _ = read_cells(text("[('none', 0), ('conv_7x1_1x7', 1)]"))
    assert [edge.op for edge in normal.edges] == [NULL, "conv_1x7_7x1"]
    assert "('conv_7x1_1x7', 1)" in write_cells(normal, normal)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("Genotype(", "cannot be parsed"),
        ("\0", "must be one Genotype"),
        ("Genotype(\0)", "cannot be parsed"),
        ("x" * 3, "must be one Genotype"),
        ("", "must be one Genotype"),
        ("Genotype()\nGenotype()", r"must be one Genotype\(.*; there are 2"),
        ("__import__('os').system('true')", "must be one Genotype"),
        (text("[('sep_conv_3x3', 1_0), ('none', 1)]"), "has '1_0', which is no number"),
        (text("[('sep_conv_3x3', 0x1), ('none', 1)]"), "has '0x1', which is no number"),
        ("Genotype([], [])", "must be one Genotype"),
        ("Genotype(normal=[])", "must have the fields normal, normal_concat, .* it has normal"),
        ("Genotype(**{})", "must have the fields"),
        (text(concat="open('x')"), "field normal_concat .* no list of literals"),
        (text(concat="range(10**9)"), "field normal_concat .* no list of literals"),
        (text(concat="range(2, 6000000)"), "field normal_concat .* no list of literals"),
        (text(concat="range('a')"), "field normal_concat .* no list of literals"),
        (text(concat="3"), "cell 'normal': its edges and its concat must be lists"),
        (text(concat="['2']"), "cell 'normal': its concat must be a list of nodes"),
        (text("[]"), "cell 'normal': no edges"),
        (text("[('skip_connect', 0)]"), "pairs stand two to a node, but there are 1"),
        (text("[('skip_connect', 0), ('skip_connect', 0, 2)]"), "pairs and triples are mixed"),
        (text("[('skip_connect', 'a'), ('skip_connect', 0)]"), r"edge 0 .* must be \(operation"),
        (text("[3, 4]"), r"cell 'normal', edge 0 \(3\): must be \(operation"),
        (text("[('skip_connect', 0, 999999), ('skip_connect', 0, 2)]"), "999998 nodes are more"),
        (text("[('skip_connect', 5), ('skip_connect', 0)]"), "its source must come before"),
        (text(concat="[7]"), "cell 'normal': output node 7"),
    ],
)
def test_what_cannot_be_read_is_named(given, message):
    with pytest.raises(GenotypeError, match=message):
        read_cells(given)

import dataclasses
import itertools
import re
import xml.etree.ElementTree as ElementTree
from collections import Counter

import matplotlib
import numpy as np
import pytest

from jaxnas.reports import draw_adaptation, draw_network, learning_curves, theta_heatmap
from jaxnas.reports.drawing.dot import dot
from jaxnas.reports.drawing.drawing import picture
from jaxnas.reports.drawing.layout import place, ranges
from jaxnas.reports.drawing.operations import words
from jaxnas.reports.plots import search_curves
from jaxnas.spaces.genotype import NULL, SKIP, Block, Cell, Edge, Genotype, Node
from jaxnas.spaces.zoo import ZOO, named
from jaxnas.storage import RunError
from support.networks import SMALL

PNG = b"\x89PNG\r\n\x1a\n"


def texts(path):
    """The texts of an SVG in order, lines of one text apart."""
    root = ElementTree.fromstring(path.read_bytes())
    return [
        element.text.strip() for element in root.iter() if element.text and element.text.strip()
    ]


def adapted(genotype):
    """Each block its own cell; the second edge of block 1 and all of block 2 are changed."""
    cells = []
    for index, cell in enumerate(genotype.placed_cells()):
        edges = list(cell.edges)
        if index == 1:
            edges[1] = dataclasses.replace(edges[1], op=NULL)
        if index == 2:
            edges = [dataclasses.replace(edge, op=SKIP) for edge in edges]
        cells.append(dataclasses.replace(cell, name=f"own{index}", edges=tuple(edges)))
    blocks = tuple(
        dataclasses.replace(block, cell=f"own{index}")
        for index, block in enumerate(genotype.blocks)
    )
    return dataclasses.replace(genotype, name="changed", cells=tuple(cells), blocks=blocks)


@pytest.mark.quick_cases(1)
@pytest.mark.parametrize(
    "name", ["resnet20", "resnet50", "mobilenet_v2", "nat_resnet20_cells", "nasnet_a"]
)
def test_a_network_is_drawn_with_every_operation_and_block(tmp_path, name):
    genotype = named(name)
    draw_network(genotype, tmp_path / "net")
    assert (tmp_path / "net.png").read_bytes().startswith(PNG)
    found = texts(tmp_path / "net.svg")
    different = {cell.name: cell for cell in genotype.placed_cells()}
    assert set(different) <= set(found)  # at least in the sequence of blocks
    if name == "nat_resnet20_cells":
        assert "normal, reduction" in found
        del different["reduction"]  # the same graph as the normal cell: drawn once
    drawn = Counter(
        line
        for cell in different.values()
        for edge in cell.edges
        if edge.op != NULL
        for line in words(edge.op).split("\n")
    )
    for text, count in drawn.items():
        assert found.count(text) == count + (text == "skip")  # the legend's
    assert ("null" in found) == any(e.op == NULL for c in different.values() for e in c.edges)
    for cell in different.values():
        assert {str(cell.inputs + index) for index in range(len(cell.nodes))} <= set(found)
    assert str(genotype.stem) in found
    assert {f"{block.channels} /2" for block in genotype.blocks if block.stride == 2} <= set(found)
    assert any("· squeeze 4" in text for text in found) == (name == "resnet50")
    assert ("head" in found) == bool(genotype.head)


@pytest.mark.quick_cases(1)
@pytest.mark.parametrize(
    ("name", "ends"),
    [
        ("resnet20", ["0 · hᵢ", "hᵢ₊₁"]),
        ("darts_v2", ["0 · hᵢ₋₁", "1 · hᵢ", "concat · hᵢ₊₁"]),
        ("nasnet_a", ["0 · hᵢ", "1 · hᵢ₋₁", "concat · hᵢ₊₁"]),
        ("enas_micro", ["0 · hᵢ₋₁", "1 · hᵢ", "concat · hᵢ₊₁"]),
        ("enas_macro", ["0 · hᵢ", "1 · earlier", "10 · earlier", "hᵢ₊₁"]),
    ],
)
def test_inputs_are_called_as_their_family_numbers_them(name, ends):
    found = ElementTree.fromstring(picture(named(name), "svg"))
    assert {e.text.strip() for e in found.iter() if e.text} >= set(ends)


def test_layers_that_are_no_sequence_say_what_they_read():
    genotype = SMALL["nas2017"]
    found = ElementTree.fromstring(picture(dataclasses.replace(genotype, head=6), "svg"))
    found = [e.text.strip() for e in found.iter() if e.text]
    assert {"image", "0 · conv_3x1", "4 of image", "3 /3x2 of 0", "5 /1x2 of 1–2"} <= set(found)
    assert {"0 · earlier, concatenated", "3 of image, 2", "6 of 3–4", "pool, linear"} <= set(found)
    assert "stem" not in found
    nodes, edges = declared(dot(genotype))
    assert {"b_1", "b0", "b4", "b_head"} <= set(nodes)
    wired = {edge for edge in edges if edge[0].startswith("b")}
    assert wired == {
        *(("b_1", "b0"), ("b0", "b1"), ("b_1", "b2"), ("b1", "b3"), ("b2", "b3")),
        *(("b_1", "b4"), ("b2", "b4"), ("b3", "b_head"), ("b4", "b_head")),
    }


def test_an_adaptation_shows_the_old_and_the_new_operation(tmp_path):
    base = named("resnet20")
    draw_adaptation(base, adapted(base), tmp_path / "pair.svg")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pair.png", "pair.svg"]
    found = texts(tmp_path / "pair.svg")
    assert found.count("→ null") == 1  # the shortcut of block 1
    assert found.count("→ skip connect") == 2  # both convolutions of block 2
    assert found.count("conv 3×3") == 2  # what they were
    assert "block 1 · 1 changed" in found
    assert "block 2 · 2 changed" in found
    assert "blocks 0, 4–5, 7–8" in found  # equal cells under five names, drawn once
    assert "own0 and 4 more" in found
    assert "own3, own6" in found
    assert found.index("base: resnet20") < found.index("adapted: changed")
    assert "changed" in found


def test_an_adaptation_that_changed_nothing_marks_nothing(tmp_path):
    base = named("resnet20")
    draw_adaptation(base, base, tmp_path / "pair")
    found = texts(tmp_path / "pair.svg")
    assert not any("→" in text or "changed" in text for text in found)


def test_networks_of_different_length_are_refused(tmp_path):
    with pytest.raises(RunError, match="resnet56 has 27 blocks and resnet20 9; draw each on its"):
        draw_adaptation(named("resnet20"), named("resnet56"), tmp_path / "pair")
    assert not list(tmp_path.iterdir())


def test_edges_between_the_same_two_nodes_are_all_drawn(tmp_path):
    edges = (Edge("conv_3x3", 0, 1), Edge("conv_1x1", 0, 1), Edge(NULL, 0, 1))
    cell = Cell("triple", 1, (Node(),), edges, (1,))
    draw_network(Genotype("t", "residual", 8, (cell,), (Block("triple", 8),)), tmp_path / "t")
    assert {"3×3", "1×1", "null"} <= set(texts(tmp_path / "t.svg"))


def laid_out(cell):
    """The cell's layout, with every operation in a box."""
    names = [words(edge.op) if edge.op != NULL else "" for edge in cell.edges]
    return place(cell, names, (["in"] * cell.inputs, "out"))


LAID_OUT = ["nasnet_a", "enas_micro", "amoebanet_d", "vgg_cells", "mnasnet_a1"]


@pytest.mark.parametrize("name", LAID_OUT)
def test_nothing_lies_on_anything_else(name):
    for cell in named(name).cells:
        drawn = laid_out(cell)
        kinds = Counter(part.kind for part in drawn.parts)
        assert kinds["node"] == len(cell.nodes)
        assert kinds["operation"] == sum(edge.op != NULL for edge in cell.edges)
        for one, other in itertools.combinations(drawn.parts, 2):
            across = abs(one.x - other.x) - (one.width + other.width) / 2
            along = abs(one.y - other.y) - (one.height + other.height) / 2
            assert max(across, along) > 0.05
        for part in drawn.parts:
            assert part.width / 2 - 1e-6 <= part.x <= drawn.width - part.width / 2 + 1e-6
            assert part.height / 2 - 1e-6 <= part.y <= drawn.height - part.height / 2 + 1e-6


@pytest.mark.parametrize("name", LAID_OUT)
def test_lines_run_from_row_to_row_as_the_edges_do(name):
    for cell in named(name).cells:
        drawn = laid_out(cell)
        above = {}
        for line in drawn.lines:
            assert line.upper.row == line.lower.row + 1
            above.setdefault((line.lower, line.null), []).append(line.upper)

        def reached(part, null, above=above):
            """What the lines of one kind lead to from a part, bends passed."""
            for other in above.get((part, null), []):
                yield from reached(other, null) if other.kind == "bend" else [other]

        for part in drawn.parts:
            if part.kind in ("input", "node"):
                carried = {
                    index
                    for index, edge in enumerate(cell.edges)
                    if edge.source == part.index and edge.op != NULL
                }
                ends = list(reached(part, False))
                assert {e.index for e in ends if e.kind == "operation"} == carried
                outputs = [end for end in ends if end.kind == "output"]
                assert len(outputs) == (part.index in cell.output)
                assert {e.index for e in reached(part, True)} == {
                    e.target for e in cell.edges if e.source == part.index and e.op == NULL
                }
            elif part.kind == "operation":
                assert [e.index for e in reached(part, False)] == [cell.edges[part.index].target]


def test_a_cell_without_edges_is_drawn(tmp_path):
    cell = Cell("dead", 1, (Node(),), (), (1,))
    genotype = Genotype("dead", "residual", 8, (cell,), (Block("dead", 8),))
    assert picture(genotype, "png").startswith(PNG)
    assert '"dead"' in dot(genotype)


def declared(text):
    """The nodes that a DOT text declares and the ends of its edges."""
    nodes = re.findall(r"^ +(\w+) \[label=", text, re.MULTILINE)
    edges = re.findall(r"^ +(\w+) -> (\w+)(?: \[[^]]*\])?;$", text, re.MULTILINE)
    return nodes, edges


@pytest.mark.parametrize("name", ZOO)
def test_every_network_is_text_for_graphviz(name):
    genotype = named(name)
    text = dot(genotype)
    nodes, edges = declared(text)
    assert len(nodes) == len(set(nodes))
    assert {end for edge in edges for end in edge} == set(nodes)
    count = 0
    for cell in genotype.cells:
        nulls = sum(edge.op == NULL for edge in cell.edges)
        count += 2 * (len(cell.edges) - nulls) + nulls + len(cell.output)
    wired = sum(len(block.sources) for block in genotype.blocks)
    assert len(edges) == count + wired + bool(wired)  # one to the head
    assert text.count("{") == text.count("}") == 1 + len(genotype.cells) + bool(wired)
    assert text.count('"') % 2 == 0


def test_ranges():
    assert ranges([0, 1, 2, 5, 7, 8]) == "0–2, 5, 7–8"
    assert ranges([4]) == "4"


def series():
    return {
        f"adaptation/{seed}": [
            {
                "epoch": epoch,
                "train_loss": 1 / (epoch + seed),
                "phase": "adaptation" if epoch < 3 else "training",
                **({"test_accuracy": 50.0 + epoch} if epoch % 2 else {}),
            }
            for epoch in range(1, 7)
        ]
        for seed in (1, 2)
    } | {"base/1": [{"epoch": 1, "train_loss": 2.0}]}


TABLES = {"normal": ["conv_3x3 0>1", "skip_connect 0>2"], "reduction": ["null 0>1"]}


def draw_curves(path):
    learning_curves(series(), path)


def draw_theta(path):
    theta = np.random.default_rng(0).normal(size=(5, 2, 2, 3))
    theta_heatmap(theta, TABLES, path)


def draw_net(path):
    draw_adaptation(named("plain20"), adapted(named("plain20")), path)


@pytest.mark.quick_cases(1)
@pytest.mark.parametrize("draw", [draw_curves, draw_theta, draw_net])
def test_drawn_twice_the_bytes_are_the_same_and_settings_are_left_alone(tmp_path, draw):
    before = dict(matplotlib.rcParams)
    draw(tmp_path / "a")
    draw(tmp_path / "b")
    for suffix in ("svg", "png"):
        assert (tmp_path / f"a.{suffix}").read_bytes() == (tmp_path / f"b.{suffix}").read_bytes()
    assert dict(matplotlib.rcParams) == before


def test_learning_curves_name_each_method_once_and_mark_the_end_of_adaptation(tmp_path):
    draw_curves(tmp_path / "curves")
    found = texts(tmp_path / "curves.svg")
    assert found.count("adaptation") == 1
    assert found.count("base") == 1
    assert found.count("adaptation ends") == 2  # once in each panel
    assert {"train loss", "test accuracy, %", "epoch"} <= set(found)


def test_a_search_has_a_panel_for_each_of_its_numbers(tmp_path):
    rows = [
        {"epoch": 1, "seed": 0, "warmup_loss": 2.3, "entropy": 1.0, "found_cost": 9, "seconds": 1},
        {"epoch": 2, "seed": 0, "joint_loss": 1.9, "entropy": 0.5, "found_cost": 8, "seconds": 2},
    ]
    search_curves(rows, tmp_path / "search")
    assert (tmp_path / "search.png").read_bytes().startswith(PNG)
    found = texts(tmp_path / "search.svg")
    for title in ("warmup loss", "entropy", "found cost", "joint loss"):
        assert found.count(title) == 1
    assert found.count("epoch") == 3  # below each column, whose last row is not full
    assert not {"seed", "seconds"} & set(found)
    with pytest.raises(RunError, match="no metrics of the search to draw"):
        search_curves([{"epoch": 1, "seed": 0, "seconds": 1.0}], tmp_path / "nothing")
    assert not list(tmp_path.glob("nothing*"))


def test_learning_curves_of_nothing_are_refused(tmp_path):
    with pytest.raises(RunError, match="no metrics to draw"):
        learning_curves({"base/0": [{"epoch": 1}]}, tmp_path / "curves")


def test_theta_has_a_row_for_each_candidate_of_each_edge(tmp_path):
    draw_theta(tmp_path / "theta")
    found = texts(tmp_path / "theta.svg")
    for name in ("none", "id", "same"):
        assert found.count(name) == 3
    assert {"conv_3x3 0>1", "skip_connect 0>2", "null 0>1", "normal", "reduction"} <= set(found)


def test_theta_of_another_shape_is_refused(tmp_path):
    for theta, message in (
        (np.zeros((4, 2, 2)), r"must be \[epochs, tables, edges, 3\] to be drawn, not \(4, 2, 2\)"),
        (np.zeros((4, 2, 1, 3)), r"2 tables of up to 1 edges, but the labels are for \[2, 1\]"),
        (np.full((4, 2, 2, 3), np.nan), "not finite"),
    ):
        with pytest.raises(RunError, match=message):
            theta_heatmap(theta, TABLES, tmp_path / "theta")
    assert not list(tmp_path.iterdir())

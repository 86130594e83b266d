import dataclasses
import re
import xml.etree.ElementTree as ElementTree

import matplotlib
import numpy as np
import pytest

from jaxnas.runs import RunError, draw_adaptation, draw_network, learning_curves, theta_heatmap
from jaxnas.runs.layout import arcs, ranges
from jaxnas.spaces.genotype import NULL, SKIP, Block, Cell, Edge, Genotype, Node
from jaxnas.spaces.zoo import named

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


@pytest.mark.parametrize("name", ["resnet20", "mobilenet_v2", "nat_resnet20_cells"])
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
    wanted = [edge.op for cell in different.values() for edge in cell.edges]
    for op in set(wanted):
        legend = op == NULL
        assert found.count(op) == wanted.count(op) + legend
    assert str(genotype.stem) in found
    assert any(re.fullmatch(r"64 /2", text) for text in found)
    assert ("head" in found) == bool(genotype.head)


def test_an_adaptation_shows_the_old_and_the_new_operation(tmp_path):
    base = named("resnet20")
    draw_adaptation(base, adapted(base), tmp_path / "pair.svg")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pair.png", "pair.svg"]
    found = texts(tmp_path / "pair.svg")
    assert found.count("skip_connect → null") == 1  # the shortcut of block 1
    assert found.count("→ skip_connect") == 2  # both convolutions of block 2
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
    assert len({arc.level for arc in arcs(cell)}) == 3
    assert {"conv_3x3", "conv_1x1", "null"} <= set(texts(tmp_path / "t.svg"))


@pytest.mark.parametrize("name", ["resnet20_cells", "mobilenet_v2_cells", "mobilenet_v2"])
def test_no_two_arcs_share_a_stretch_and_a_level(name):
    for cell in named(name).cells:
        found = [(e.source, e.target, a.level) for e, a in zip(cell.edges, arcs(cell), strict=True)]
        for index, (a, b, level) in enumerate(found):
            for c, d, other in found[:index]:
                assert level != other or b <= c or d <= a


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

"""The zoo: the shapes the papers give, and how often an arbitrary adaptation of them is dead."""

import dataclasses

import pytest

from jaxnas.spaces import Edge, Genotype, zoo
from jaxnas.spaces.genotype import NULL
from support import graphs

# (channels, stride of the first block, blocks) of each stage.
RESNET20 = [(16, 1, 3), (32, 2, 3), (64, 2, 3)]
RESNET56 = [(16, 1, 9), (32, 2, 9), (64, 2, 9)]
RESNET34 = [(64, 1, 3), (128, 2, 4), (256, 2, 6), (512, 2, 3)]
MOBILENET = [
    (16, 1, 1),
    (24, 1, 2),
    (32, 2, 3),
    (64, 2, 4),
    (96, 1, 3),
    (160, 2, 3),
    (320, 1, 1),
]
STAGES = {
    "resnet20": RESNET20,
    "resnet20_b": RESNET20,
    "resnet56": RESNET56,
    "resnet56_b": RESNET56,
    "plain20": RESNET20,
    "resnet18": [(channels, stride, 2) for channels, stride, _ in RESNET34],
    "resnet34": RESNET34,
    "resnet50": [(4 * channels, stride, count) for channels, stride, count in RESNET34],
    "mobilenet_v2": MOBILENET,
    "resnet20_cells": RESNET20,
    "plain20_cells": RESNET20,
    "nat_resnet20_cells": RESNET20,
    "resnet56_cells": RESNET56,
    # DARTS's rule: reductions at cells 20 // 3 and 40 // 3.
    "mobilenet_v2_cells": [(36, 1, 6), (72, 2, 7), (144, 2, 7)],
    "darts_v2": [(36, 1, 6), (72, 2, 7), (144, 2, 7)],
    "darts_v2_imagenet": [(48, 1, 4), (96, 2, 5), (192, 2, 5)],
    # NASNet: a reduction before the normal cells 6 and 12, of which there are 18.
    "nasnet_a": [(32, 1, 6), (64, 2, 7), (128, 2, 7)],
    "nasnet_a_mobile": [(11, 2, 1), (22, 2, 1), (44, 1, 4), (88, 2, 5), (176, 2, 5)],
    "nasnet_a_large": [(42, 2, 1), (84, 2, 1), (168, 1, 6), (336, 2, 7), (672, 2, 7)],
    # PNASNet: the first cell of a stage is the reduction.
    "pnasnet_5": [(48, 1, 3), (96, 2, 3), (192, 2, 3)],
    "pnasnet_5_mobile": [(13, 2, 1), (27, 2, 1), (54, 1, 3), (108, 2, 3), (216, 2, 3)],
    "enas_micro": [(36, 1, 5), (72, 2, 6), (144, 2, 6)],
    # Eight layers; then the outputs of the stem and of these are halved; and so on.
    "enas_macro": [
        (96, 1, 8),
        *[(192, 2, 1)] * 9,
        (192, 1, 8),
        *[(384, 2, 1)] * 17,
        (384, 1, 8),
    ],
    "proxyless_mobile": [
        (16, 1, 1),
        (32, 2, 2),
        (40, 2, 4),
        (80, 2, 4),
        (96, 1, 4),
        (192, 2, 4),
        (320, 1, 1),
    ],
    "mnasnet_a1": [
        (16, 1, 1),
        (24, 2, 2),
        (40, 2, 3),
        (80, 2, 4),
        (112, 1, 2),
        (160, 2, 3),
        (320, 1, 1),
    ],
}


@pytest.mark.parametrize("name", STAGES)
def test_blocks_stand_in_the_papers_stages(name):
    expected = [
        (channels, stride if first == 0 else 1)
        for channels, stride, count in STAGES[name]
        for first in range(count)
    ]
    assert [(block.channels, block.stride) for block in zoo.named(name).blocks] == expected


@pytest.mark.parametrize("name", zoo.ZOO)
def test_a_network_is_called_by_its_name_and_connected_in_every_block(name):
    genotype = zoo.named(name)
    assert genotype.name == name
    assert genotype == zoo.named(name)
    assert Genotype.from_json(genotype.to_json()) == genotype
    assert genotype.connected()
    assert all(cell.connected() for cell in genotype.placed_cells())
    assert {block.cell for block in genotype.blocks} == {cell.name for cell in genotype.cells}


@pytest.mark.parametrize("name", zoo.ZOO)
def test_every_edge_that_carries_lies_on_a_path(name):
    for cell in zoo.named(name).cells:
        edges = {i for i, edge in enumerate(cell.edges) if edge.op != NULL}
        assert graphs.on_paths(cell) == edges


@pytest.mark.parametrize("depth", [20, 32, 44, 56, 110])
def test_a_resnet_of_6n_plus_2_layers_has_that_many(depth):
    genotype = zoo.resnet(depth)
    convolutions = sum(
        edge.op == "conv_3x3" for cell in genotype.placed_cells() for edge in cell.edges
    )
    assert convolutions + 2 == depth, "with the stem and the classifier"
    assert genotype.name == f"resnet{depth}"
    assert zoo.plain(depth).name == f"plain{depth}"


@pytest.mark.parametrize("depth", [-4, 0, 2, 7, 18, 19, 21, 51])
@pytest.mark.parametrize("make", [zoo.resnet, zoo.plain])
def test_a_resnet_of_other_depth_is_refused(make, depth):
    with pytest.raises(ValueError, match=rf"6n\+2 layers, not {depth}"):
        make(depth)


def test_the_shortcut_options_differ_only_where_the_shape_changes():
    a, b = zoo.resnet(20, "A"), zoo.resnet(20, "B")
    assert a.cell("normal") == b.cell("normal")
    pairs = zip(a.cell("reduction").edges, b.cell("reduction").edges, strict=True)
    assert [pair for pair in pairs if pair[0] != pair[1]] == [
        (Edge("pad_shortcut", 0, 2), Edge("conv_1x1", 0, 2))
    ]


@pytest.mark.parametrize(("name", "depth"), [("resnet18", 18), ("resnet34", 34), ("resnet50", 50)])
def test_a_staged_resnet_has_as_many_layers_as_its_name_says(name, depth):
    """Without shortcuts, with the stem and the classifier."""
    genotype = zoo.named(name)
    layers = sum(
        edge.op.startswith("conv") and (edge.source, edge.target) != (0, cell.output[0])
        for cell in genotype.placed_cells()
        for edge in cell.edges
    )
    assert layers + 2 == depth
    assert genotype.stem == 64


@pytest.mark.parametrize("name", ["resnet18", "resnet34", "resnet50"])
def test_a_staged_resnet_convolves_a_shortcut_where_the_shape_changes(name):
    genotype = zoo.named(name)
    before = genotype.stem
    for block, cell in zip(genotype.blocks, genotype.placed_cells(), strict=True):
        (shortcut,) = [edge for edge in cell.edges if edge.target - edge.source > 1]
        changes = block.channels != before or block.stride == 2
        assert shortcut.op == ("conv_1x1" if changes else "skip_connect")
        before = block.channels


def test_a_bottleneck_is_a_quarter_as_wide_inside_and_its_3x3_convolution_has_the_stride():
    genotype = zoo.named("resnet50")
    before = genotype.stem
    for block, cell in zip(genotype.blocks, genotype.placed_cells(), strict=True):
        widths = [node.width(block.channels, before) for node in cell.nodes]
        assert widths == [block.channels // 4, block.channels // 4, block.channels]
        strided = [(edge.op, edge.source) for edge in cell.edges if cell.crosses_stride(edge)]
        assert strided[0] == ("conv_3x3", 1)
        assert [source for _, source in strided[1:]] == [0], "the shortcut"
        assert [node.relu for node in cell.nodes] == [True] * 3
        before = block.channels


def test_an_identity_in_a_bottleneck_is_the_1x1_convolution_where_that_changes_the_channels():
    cells = {cell.name: cell for cell in zoo.named("resnet50").cells}
    edges = [(0, 1), (1, 2), (0, 3), (2, 3)]
    for name, identities in (
        ("normal", ["conv_1x1", "skip_connect", "skip_connect", "conv_1x1"]),
        ("reduction", ["conv_1x1", "skip_connect", "skip_connect", "conv_1x1"]),
        # Its input has the channels of its inside already.
        ("widening", ["skip_connect", "skip_connect", "skip_connect", "conv_1x1"]),
    ):
        found = cells[name].edges
        assert [(edge.source, edge.target) for edge in found] == edges
        assert [cells[name].identity(edge) for edge in found] == identities


@pytest.mark.parametrize(("name", "base"), [("plain20", "resnet20")])
def test_a_plain_network_is_the_residual_one_without_shortcuts(name, base):
    for plain, residual in zip(
        zoo.named(name).placed_cells(), zoo.named(base).placed_cells(), strict=True
    ):
        expected = [
            Edge(NULL, e.source, e.target) if e.target - e.source > 1 else e for e in residual.edges
        ]
        assert list(plain.edges) == expected
        assert plain.nodes == residual.nodes
        paths = list(graphs.paths(plain.edges, 0, 2))
        assert len(paths) == 1, "a chain"


def test_mobilenet_has_a_shortcut_in_each_block_of_stride_1():
    genotype = zoo.named("mobilenet_v2")
    before = genotype.stem
    for block, cell in zip(genotype.blocks, genotype.placed_cells(), strict=True):
        shortcut = [edge.op for edge in cell.edges if (edge.source, edge.target) == (0, 3)]
        if block.stride == 2:
            assert shortcut == []
        else:
            assert shortcut == ["skip_connect" if before == block.channels else "conv_1x1"]
        before = block.channels
    assert (genotype.stem, genotype.head) == (32, 1280)


def test_only_nasnets_large_network_skips_a_reductions_input():
    for name, made in ((name, zoo.named(name)) for name in zoo.ZOO):
        skipping = [i for i, block in enumerate(made.blocks) if block.previous == 3]
        behind = [i + 1 for i, block in enumerate(made.blocks) if block.stride == 2 and i > 1]
        assert skipping == (behind if name == "nasnet_a_large" else [])


def test_an_auxiliary_head_stands_before_the_second_reduction_or_behind():
    # DARTS: cell 2/3, itself the reduction; NASNet: the cell before; ENAS: the cell behind.
    for name, distance in (("darts_v2", 0), ("nasnet_a", -1), ("pnasnet_5", -1), ("enas_micro", 1)):
        genotype = zoo.named(name)
        second = [i for i, block in enumerate(genotype.blocks) if block.stride == 2][-1]
        assert genotype.auxiliary == second + distance


@pytest.mark.parametrize("target", ["mobile", "gpu", "cpu", "mobile_14"])
def test_a_chain_for_small_images_leaves_out_two_strides(target):
    large, small = zoo.named(f"proxyless_{target}"), zoo.named(f"proxyless_{target}_cifar")
    assert (large.stem_form, small.stem_form) == ("strided", "small")
    strides = [[block.stride for block in each.blocks] for each in (large, small)]
    first = strides[0].index(2)
    strides[0][first] = 1
    assert strides[0] == strides[1]
    kinds = [each.placed_cells() for each in (large, small)]
    assert kinds[0] == kinds[1]


@pytest.mark.parametrize("word", ["k3e1c16", "k3e1c16s3", "k33e1c16s1", "e1k3c16s1", "k3e1c16s1z"])
def test_a_block_of_a_chain_that_cannot_be_read_is_named(word):
    with pytest.raises(ValueError, match=f"block '{word}' of 'net' is not of the form"):
        zoo.inverted_chain("net", f"k3e1c8s1 {word}", stem=8, head=8)


def test_cell_networks_come_in_any_size():
    small = zoo.named("darts_v2", channels=16, cells=8)
    assert (small.stem, len(small.blocks)) == (48, 8)
    assert small.cells == zoo.named("darts_v2").cells
    assert len(zoo.named("nasnet_a", cells=6).blocks) == 8
    assert len(zoo.named("pnasnet_5", cells=6).blocks) == 6
    with pytest.raises(ValueError, match="resnet20 is no cell network"):
        zoo.named("resnet20", channels=8)
    with pytest.raises(ValueError, match="channels and cells of darts_v2 must be positive"):
        zoo.named("darts_v2", cells=0)


def test_an_unknown_name_lists_those_alike_or_all():
    with pytest.raises(ValueError, match=r"'darts_v3'; did you mean darts_v2, darts_v1"):
        zoo.named("darts_v3")
    with pytest.raises(ValueError, match="'qqqq'") as caught:
        zoo.named("qqqq")
    for name in zoo.ZOO:
        assert name in str(caught.value)


@pytest.mark.parametrize("layers", range(1, 9))
def test_reductions_stand_at_a_third_and_two_thirds(layers):
    cells = zoo.named("resnet20_cells").cells
    genotype = zoo.darts_network("net", *cells, channels=4, layers=layers)
    at = {layers // 3, 2 * layers // 3}
    width = 4
    assert genotype.stem == 12
    assert len(genotype.blocks) == layers
    for index, block in enumerate(genotype.blocks):
        width *= 2 if index in at else 1
        assert block.channels == width
        assert (block.cell, block.stride) == (("reduction", 2) if index in at else ("normal", 1))


# Papers, section 2.2: every edge of NAT's cells, and 1.3: how many of all choices are dead.
NAT = {
    ("resnet20_cells", "normal"): "n02 s12 n03 c3:23 n04 c3:34 s25 s45",
    ("resnet20_cells", "reduction"): "n02 s12 n03 c3:23 n04 c3:34 s25 s45",
    ("nat_resnet20_cells", "normal"): "n02 s12 s03 c3:23 s04 c3:34 s25 s45",
    ("mobilenet_v2_cells", "normal"): "n02 c1:12 n03 sp3:23 n04 c1:34 s15 s45",
    ("mobilenet_v2_cells", "reduction"): "n02 c1:12 n03 sp3:23 n04 c1:34 n05 s45",
}
OPS = {
    "n": NULL,
    "s": "skip_connect",
    "c1:": "conv_1x1",
    "c3:": "conv_3x3",
    "sp3:": "sep_conv_3x3",
}


@pytest.mark.parametrize(("name", "cell"), NAT)
def test_nats_cells_are_the_released_ones(name, cell):
    expected = [
        Edge(OPS[text[:-2]], int(text[-2]), int(text[-1])) for text in NAT[name, cell].split()
    ]
    found = zoo.named(name).cell(cell)
    assert list(found.edges) == expected
    assert found.output == (5,)


@pytest.mark.parametrize(
    ("name", "cell", "dead"),
    [
        ("resnet20_cells", "normal", 1921),
        ("resnet20_cells", "reduction", 1921),
        ("mobilenet_v2_cells", "normal", 1261),
        ("mobilenet_v2_cells", "reduction", 2522),
    ],
)
def test_as_many_of_all_choices_are_dead_as_the_papers_say(name, cell, dead):
    base = zoo.named(name).cell(cell)
    found = sum(
        not dataclasses.replace(base, edges=graphs.chosen_edges(base, choices)).connected()
        for choices in graphs.assignments(8)
    )
    assert found == dead


def test_networks_of_two_forms_are_found_by_both_names():
    assert set(zoo.TWO_FORMS) == {"resnet18", "resnet34", "resnet50", "mobilenet_v2"}
    for name in zoo.TWO_FORMS:
        small, large = zoo.named(f"{name}_cifar"), zoo.named(f"{name}_imagenet")
        assert dataclasses.replace(small, name=name) == zoo.named(name)
        assert (small.stem_form, large.stem_form == "small") == ("small", False)
        renamed = dataclasses.replace(zoo.named(name), name="my_own")
        assert zoo.in_form(renamed, imagenet=True) == large
        assert zoo.in_form(large, imagenet=False) == small
    assert zoo.in_form(zoo.named("resnet20"), imagenet=True) is None


@pytest.mark.parametrize("form", ["b0", "lite0"])
def test_an_efficientnet_of_tensorflow_differs_in_padding_and_epsilon_alone(form):
    pytorch, tensorflow = (zoo.named(f"{prefix}efficientnet_{form}") for prefix in ("", "tf_"))
    assert (pytorch.rules.padding, tensorflow.rules.padding) == ("symmetric", "same")
    assert (pytorch.epsilon, tensorflow.epsilon) == (1e-5, 1e-3)
    again = dataclasses.replace(
        tensorflow, name=pytorch.name, family=pytorch.family, epsilon=pytorch.epsilon
    )
    assert again == pytorch
    assert pytorch.activation == {"b0": "silu", "lite0": "relu6"}[form]
    excited = [any("excite" in e.op for e in cell.edges) for cell in pytorch.placed_cells()]
    assert set(excited) == {form == "b0"}

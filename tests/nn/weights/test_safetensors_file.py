"""Variables to a safetensors file and back."""

import dataclasses
import json

import jax
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from jaxnas.errors import SettingsError
from jaxnas.nn import WeightsError, build, init, load_network, load_safetensors, save_safetensors
from jaxnas.nn.weights.safetensors_file import (
    ImageForm,
    LoadedNetwork,
    image_form,
    load_image_form,
)
from jaxnas.spaces import AdaptationSpace
from support.networks import CLASSES, SHAPE, SMALL, random_variables, whole, zero_gates

KERNEL = "params/block_0/edge_0_sep_conv_3x3/depthwise_0/kernel"


def network(auxiliary=False):
    genotype = dataclasses.replace(SMALL["concat"], auxiliary=1)
    return build(genotype, CLASSES, auxiliary=auxiliary)


@pytest.fixture
def saved(tmp_path):
    """(module, its variables, the file they are in)"""
    module = network()
    variables = random_variables(module)
    save_safetensors(variables, tmp_path / "weights.safetensors", module.genotype)
    return module, variables, tmp_path / "weights.safetensors"


def rewrite(path, change, metadata=None):
    """The file with its arrays changed."""
    arrays = load_file(path)
    change(arrays)
    save_file(arrays, path, metadata)


def assert_same(found, expected):
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)


def test_variables_come_back_bitwise(saved):
    module, variables, path = saved
    assert_same(load_safetensors(path, module, SHAPE), variables)


def test_names_are_the_paths_of_the_variables(saved):
    _, variables, path = saved
    arrays = load_file(path)
    kernel = variables["params"]["block_0"]["edge_0_sep_conv_3x3"]["depthwise_0"]["kernel"]
    np.testing.assert_array_equal(arrays[KERNEL], kernel)
    assert len(arrays) == len(jax.tree.leaves(variables))


def test_a_supernet_s_variables_come_back(tmp_path):
    module, variables = whole("tangle")
    save_safetensors(variables, tmp_path / "weights")
    gates = zero_gates(AdaptationSpace(module.genotype, "full"))
    found = load_safetensors(tmp_path / "weights", module, SHAPE, gates)
    assert_same(found, variables)


@pytest.mark.parametrize("auxiliary", [False, True])
def test_a_network_is_rebuilt_from_its_file_alone(tmp_path, auxiliary):
    module = network(auxiliary)
    variables = random_variables(module)
    save_safetensors(variables, tmp_path / "weights", module.genotype)
    found, found_variables, class_names = load_network(tmp_path / "weights", SHAPE)
    assert class_names is None
    assert found == module
    assert_same(found_variables, variables)


def test_saving_replaces_a_file_and_leaves_no_other(saved):
    module, _, path = saved
    variables = init(module, jax.random.key(0), SHAPE)
    save_safetensors(variables, path)
    assert_same(load_safetensors(path, module, SHAPE), variables)
    assert list(path.parent.iterdir()) == [path]


def test_a_save_that_fails_leaves_no_file(saved, tmp_path):
    _, variables, path = saved
    (tmp_path / "folder").mkdir()
    with pytest.raises(WeightsError, match="folder cannot be written"):
        save_safetensors(variables, tmp_path / "folder")
    assert sorted(tmp_path.iterdir()) == [tmp_path / "folder", path]


def test_every_variable_that_does_not_fit_is_named(saved):
    module, _, path = saved

    def change(arrays):
        del arrays["params/stem_conv/kernel"], arrays["batch_stats/stem_norm/mean"]
        arrays["params/stranger"] = np.zeros(1, np.float32)
        arrays[KERNEL] = arrays[KERNEL][:2]

    rewrite(path, change)
    with pytest.raises(WeightsError) as caught:
        load_safetensors(path, module, SHAPE)
    assert str(caught.value) == (
        f"{path} does not fit the network: it lacks batch_stats/stem_norm/mean, "
        "params/stem_conv/kernel; it has params/stranger, which the network has not; "
        f"it has {KERNEL} as [2, 3, 1, 3] instead of [3, 3, 1, 3]"
    )


def test_another_dtype_is_refused(saved):
    module, _, path = saved
    rewrite(path, lambda arrays: arrays.update({KERNEL: arrays[KERNEL].astype(np.float16)}))
    with pytest.raises(WeightsError, match=f"{KERNEL} as float16"):
        load_safetensors(path, module, SHAPE)


def test_a_network_is_loaded_from_halves_and_from_no_whole_numbers(saved):
    module, variables, path = saved
    metadata = {"genotype": module.genotype.to_json()}
    rewrite(path, lambda arrays: arrays.update({KERNEL: arrays[KERNEL].astype("f2")}), metadata)
    names = KERNEL.split("/")
    found, whole = load_network(path, SHAPE).variables, variables
    for name in names:
        found, whole = found[name], whole[name]
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, np.asarray(whole, np.float16))
    rewrite(path, lambda arrays: arrays.update({KERNEL: arrays[KERNEL].astype("i1")}), metadata)
    with pytest.raises(WeightsError, match=f"holds {KERNEL} as int8, and weights are floating"):
        load_network(path, SHAPE)


def test_a_file_of_something_else_is_refused_in_one_line(saved):
    module, _, path = saved
    save_file({"conv1.weight": np.zeros(3)}, path)
    with pytest.raises(WeightsError, match="holds none of the network's"):
        load_safetensors(path, module, SHAPE)


@pytest.mark.parametrize(
    "damage", [lambda data: data[:-1], lambda data: data[:100], lambda data: b"", lambda _: b"no"]
)
def test_a_damaged_file_is_refused(saved, damage):
    module, _, path = saved
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(WeightsError, match="is no safetensors file or is damaged"):
        load_safetensors(path, module, SHAPE)


def test_a_dtype_that_numpy_has_not_is_told(tmp_path):
    header = json.dumps({"a": {"dtype": "F8_E4M3", "shape": [4], "data_offsets": [0, 4]}}).encode()
    (tmp_path / "a").write_bytes(len(header).to_bytes(8, "little") + header + b"0000")
    with pytest.raises(WeightsError, match=r"is no safetensors file or is damaged .*float8"):
        load_network(tmp_path / "a", SHAPE)


def test_a_file_that_is_not_there_is_named(saved):
    module, _, path = saved
    with pytest.raises(WeightsError, match=r"there is no file .*nowhere"):
        load_safetensors(path.with_name("nowhere"), module, SHAPE)


@pytest.mark.parametrize(
    ("metadata", "reason"),
    [
        (None, "saved without a genotype"),
        ({"genotype": "{"}, "holds a genotype of no network: the genotype is not JSON"),
        ({"genotype": "{}"}, "field 'name' is missing"),
        ({"genotype": SMALL["tangle"].to_json()}, "does not fit the network: it lacks"),
    ],
)
def test_a_network_needs_the_genotype_of_its_file(saved, metadata, reason):
    _, _, path = saved
    rewrite(path, lambda arrays: None, metadata)
    with pytest.raises(WeightsError, match=reason):
        load_network(path, SHAPE)


@pytest.mark.parametrize(
    ("mean", "std", "told"),
    [
        ([1e300, 0, 0], [1, 1, 1], r"mean \[1e\+300, 0, 0\] is not within 0..1: divide one"),
        ([0, 0, 0], [1e-300, 1, 1], r"std \[1e-300, 1, 1\] is not within 1e-09..1: divide"),
        ([123.7, 116.3, 103.5], [58.4, 57.1, 57.4], r"mean \[123.7, 116.3, 103.5\] is not within"),
        ([0.5, 0.4, 0.3], [58.4, 57.1, 57.4], r"std \[58.4, 57.1, 57.4\] is not within"),
        ([0.5, 0.4, 0.3], [0, 1, 1], r"std \[0, 1, 1\] is not within"),
    ],
)
def test_moments_of_images_are_in_units_of_0_to_1(saved, mean, std, told):
    _, _, path = saved
    form = {"shape": SHAPE, "mean": mean, "std": std}
    rewrite(path, lambda arrays: None, {"images": json.dumps(form)})
    with pytest.raises(WeightsError, match=f"{path} says wrongly which images it takes .{told}"):
        load_image_form(path)


def test_the_moments_of_any_data_set_are_kept():
    for mean, std in (((0, 1, 1), (1, 1, 1)), ((0.5,) * 3, (4e-9, 0.5, 1 / 255))):
        assert image_form((8, 8, 3), mean, std) == ImageForm((8, 8, 3), mean, std)


NAMES = tuple(f"«{number}»" for number in range(CLASSES))


def test_class_names_come_back_and_are_one_for_each_logit(saved):
    module, variables, path = saved
    save_safetensors(variables, path, module.genotype, NAMES)
    assert load_network(path, SHAPE).class_names == NAMES
    with pytest.raises(WeightsError, match=f"one class name for each of its {CLASSES} logits"):
        save_safetensors(variables, path, module.genotype, NAMES[1:])
    with pytest.raises(WeightsError, match="two classes of the name '«0»'"):
        save_safetensors(variables, path, module.genotype, NAMES[:1] * CLASSES)
    for damaged in ("[", '"ab"', "[1, 2]", "[]"):
        metadata = {"genotype": module.genotype.to_json(), "class_names": damaged}
        rewrite(path, lambda arrays: None, metadata)
        with pytest.raises(WeightsError, match=f"one class name for each of its {CLASSES} logits"):
            load_network(path, SHAPE)


def test_a_network_needs_a_classifier(saved):
    module, _, path = saved
    metadata = {"genotype": module.genotype.to_json()}
    rewrite(path, lambda arrays: arrays.pop("params/classifier/kernel"), metadata)
    with pytest.raises(WeightsError, match="holds no classifier"):
        load_network(path, SHAPE)


def test_a_network_that_takes_no_such_images_is_refused(saved):
    _, _, path = saved
    with pytest.raises(WeightsError, match=r"stem_conv/kernel as \[3, 3, 3, 4\]"):
        load_network(path, (8, 8, 1))


@pytest.mark.parametrize(
    ("variables", "error", "message"),
    [
        (None, WeightsError, "there is no variable in a NoneType"),
        ({}, WeightsError, "there is no variable in a dict"),
        (3, SettingsError, "nested dictionaries of arrays, .* not a int with a int at its top"),
        ({"params": [1]}, SettingsError, r"not a dict with a int at \['params'\]\[0\]"),
        (LoadedNetwork(None, {}, ("a",)), SettingsError, "not a LoadedNetwork with a str at"),
    ],
)
def test_what_is_no_tree_of_variables_is_not_saved(tmp_path, variables, error, message):
    with pytest.raises(error, match=message):
        save_safetensors(variables, tmp_path / "weights")
    assert not list(tmp_path.iterdir())


def test_arguments_of_another_type_are_told_in_a_sentence(saved):
    module, variables, path = saved
    with pytest.raises(TypeError, match="genotype must be a Genotype or None, not a str"):
        save_safetensors(variables, path, module.genotype.to_json())
    letters = "abcdefgh"[:CLASSES]  # not one name for each logit, but one name
    for names in (letters, set(letters)):
        with pytest.raises(WeightsError, match="class_names must be a tuple or list of text"):
            save_safetensors(variables, path, module.genotype, names)
    with pytest.raises(WeightsError, match=r"\. is no path of a file"):
        save_safetensors(variables, "")
    with pytest.raises(TypeError, match="a Genotype is no network"):
        load_safetensors(path, module.genotype, SHAPE)
    for shape in (None, 3, "883"):
        with pytest.raises(WeightsError, match="input_shape must be height, width and channels"):
            load_network(path, shape)


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("", "cannot be read .it is a folder, not a file"),
        (None, "a NoneType is no path of a file"),
        ("x" * 300, "cannot be read .*too long"),
        ("a\0b", r"'a\\x00b' cannot be read .*null"),
    ],
)
def test_what_is_no_file_is_told_as_what_it_is(file, message):
    with pytest.raises(WeightsError, match=message):
        load_network(file, SHAPE)

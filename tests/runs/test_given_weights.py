"""What is read of given weights, and what is said of them."""

import json

import numpy as np
import pytest
from safetensors.numpy import save_file

from jaxnas import nn
from jaxnas.nn.weights.init import named_leaves
from jaxnas.runs.config import ConfigError
from runs.test_pretrained import source, start
from support import tiny


def own_arrays(**given):
    """The arrays of a file of a network of `source`, by name."""
    return {
        name: np.asarray(leaf) for name, leaf in named_leaves(source(**given).variables).items()
    }


@pytest.mark.parametrize(
    ("change", "names", "told"),
    [
        (lambda arrays: arrays.pop("params/classifier/bias"), None, "no params/classifier/bias."),
        (lambda _: None, "bacd", "the data's classes in another order."),
        (lambda _: None, "abcd", "4 classes of other names, the data 4."),
        (lambda arrays: arrays.pop("params/classifier/kernel"), "abcd", "no classes, the data 4."),
    ],
    ids=["bias", "order", "names", "kernel"],
)
def test_what_keeps_a_head_from_being_taken_is_told(change, names, told, tmp_path):
    dataset = tiny.dataset()
    arrays = own_arrays(classes=4)
    change(arrays)
    if names == "bacd":
        names = [dataset.class_names[index] for index in (1, 0, 2, 3)]
    metadata = {} if names is None else {"class_names": json.dumps(list(names))}
    save_file(arrays, tmp_path / "net.safetensors", metadata)
    assert (
        start(tmp_path / "net.safetensors").told[1] == f"The head is new: the weights have {told}"
    )


def test_the_features_of_a_source_without_classes_are_no_classes():
    given = source(classes=8)
    given.variables["params"]["classifier"] = {"kernel": np.eye(8), "bias": np.zeros(8)}
    assert start(given).told[1] == "The head is new: the weights have no classes, the data 4."


def test_what_a_file_says_wrongly_is_told_with_its_name(tmp_path):
    path, name = tmp_path / "net.safetensors", "params/evil\x1b[31m\n/x"
    arrays = own_arrays()
    save_file(arrays, path, {"genotype": "{}"})
    with pytest.raises(nn.WeightsError, match=f"{path} holds a genotype of no network: .*'name'"):
        start(path)
    save_file(arrays | {name: np.zeros(2, np.float32)}, path)
    told = start(path).told
    assert r"Ignored, as tiny has no such variables: params/evil\x1b[31m\n/x." in told


def test_weights_that_want_images_of_bytes_are_refused():
    bytes_ = source()._replace(mean=(123.7,), std=(58.4,))
    with pytest.raises(ConfigError, match=r"given network: mean \[123.7\] is not within 0..1"):
        start(bytes_)


def test_the_name_of_no_file_is_told_as_empty(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=r"--weights is empty, or the current folder: \. is not"):
        start("")


def test_whole_numbers_are_refused_where_they_are_weights(tmp_path):
    path, name = tmp_path / "net.SAFETENSORS", "params/stem_conv/kernel"
    arrays = own_arrays()
    save_file(arrays | {name: arrays[name].astype(np.float16), "extra/step": np.ones(1, int)}, path)
    found = start(path)
    np.testing.assert_array_equal(found.given[name], arrays[name].astype(np.float16))
    assert "Ignored, as tiny has no such variables: extra/step." in found.told
    save_file(arrays | {name: arrays[name].astype(np.complex64)}, path)
    with pytest.raises(nn.WeightsError, match=f"holds {name} as complex64, and weights are"):
        start(path)
    given = source()
    given.variables["params"]["stem_conv"]["kernel"] = np.ones((3, 3, 1, 4), bool)
    with pytest.raises(nn.WeightsError, match=f"given network holds {name} as bool"):
        start(given)

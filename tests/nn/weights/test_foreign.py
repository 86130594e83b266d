"""Weights of Keras and timm: their own models compute what the imported networks compute.

All weights and statistics are random, so that no mistake cancels.
"""

import functools
import os
import re

import jax
import numpy as np
import pytest
from safetensors.numpy import save_file

from jaxnas.nn import WeightsError, import_keras, import_timm, kernels

CLASSES = 7
# What is odd and even somewhere along each network, and at which stage differs between the two.
SIDES = (64, 75)


def draw(rng, name, shape, fan_in):
    """Random weights for a variable of either library."""
    if len(shape) > 1:
        values = rng.standard_normal(shape) * np.sqrt(2 / fan_in)
    elif name in ("weight", "running_var", "gamma", "moving_variance"):
        values = rng.uniform(0.5, 1.5, shape)
    else:
        values = rng.standard_normal(shape) * 0.3
    return np.asarray(values, np.float32)


def images(side, batch=2):
    return np.random.default_rng(side).normal(size=(batch, side, side, 3)).astype(np.float32)


def assert_same_logits(imported, side, expected):
    network, variables, *_ = imported
    with kernels.portable():
        found = jax.jit(lambda v, x: network.apply(v, x, train=False))(variables, images(side))
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() < 1e-4 * np.abs(expected).max()


# ---------------------------------------------------------------------------- timm


def randomised(torch, model):
    """The model with random weights and statistics, for evaluation."""
    rng = np.random.default_rng(0)
    state = {
        key: torch.tensor(draw(rng, key.rpartition(".")[2], value.shape, np.prod(value.shape[1:])))
        for key, value in model.state_dict().items()
        if not key.endswith("num_batches_tracked")
    }
    model.load_state_dict(state, strict=False)
    return model.eval()


def logits_of(torch, model, side):
    with torch.no_grad():
        return model(torch.tensor(images(side)).permute(0, 3, 1, 2)).numpy()


def timm_model(name, classes=CLASSES):
    torch = pytest.importorskip("torch", reason="needs jaxnas[imports-test]")
    timm = pytest.importorskip("timm", reason="needs jaxnas[imports-test]")
    model = randomised(torch, timm.create_model(name, pretrained=False, num_classes=classes))
    return model.state_dict(), functools.partial(logits_of, torch, model)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["mnasnet_100", "semnasnet_100", "nasnetalarge", "pnasnet5large"])
def test_a_network_of_timm_has_its_logits(name):
    state, run = timm_model(name)
    imported = import_timm(state)
    for side in SIDES:
        assert_same_logits(imported, side, run(side))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_network_of_timm_without_classifier_has_its_features(tmp_path):
    state, run = timm_model("semnasnet_100", 0)
    save_file({key: value.numpy() for key, value in state.items()}, tmp_path / "weights")
    assert_same_logits(import_timm(tmp_path / "weights"), 64, run(64))


# (kernel, expansion, channels, blocks, squeeze-and-excitation)
STAGES = {
    "mnasnet_b1": (
        (3, 3, 24, 3, False),
        (5, 3, 40, 3, False),
        (5, 6, 80, 3, False),
        (3, 6, 96, 2, False),
        (5, 6, 192, 4, False),
        (3, 6, 320, 1, False),
    ),
    "mnasnet_a1": (
        (3, 6, 24, 2, False),
        (5, 3, 40, 3, True),
        (3, 6, 80, 4, False),
        (3, 6, 112, 2, True),
        (5, 6, 160, 3, True),
        (3, 6, 320, 1, False),
    ),
}


@functools.cache
def mnasnet_state(name):
    """What timm's state dict of it holds."""
    shapes = {}

    def norm(place, channels):
        for part in ("weight", "bias", "running_mean", "running_var"):
            shapes[f"{place}.{part}"] = (channels,)
        shapes[f"{place}.num_batches_tracked"] = ()

    def conv(place, outputs, inputs, kernel):
        shapes[f"{place}.weight"] = (outputs, inputs, kernel, kernel)

    conv("conv_stem", 32, 3, 3)
    norm("bn1", 32)
    conv("blocks.0.0.conv_dw", 32, 1, 3)
    norm("blocks.0.0.bn1", 32)
    conv("blocks.0.0.conv_pw", 16, 32, 1)
    norm("blocks.0.0.bn2", 16)
    width = 16
    for stage, (kernel, expansion, channels, count, excited) in enumerate(STAGES[name], start=1):
        for index in range(count):
            place, inner = f"blocks.{stage}.{index}", width * expansion
            conv(f"{place}.conv_pw", inner, width, 1)
            norm(f"{place}.bn1", inner)
            conv(f"{place}.conv_dw", inner, 1, kernel)
            norm(f"{place}.bn2", inner)
            if excited:
                for layer, sides in (
                    ("reduce", (width // 4, inner)),
                    ("expand", (inner, width // 4)),
                ):
                    conv(f"{place}.se.conv_{layer}", *sides, 1)
                    shapes[f"{place}.se.conv_{layer}.bias"] = sides[:1]
            conv(f"{place}.conv_pwl", channels, inner, 1)
            norm(f"{place}.bn3", channels)
            width = channels
    conv("conv_head", 1280, width, 1)
    norm("bn2", 1280)
    shapes["classifier.weight"], shapes["classifier.bias"] = (CLASSES, 1280), (CLASSES,)
    rng = np.random.default_rng(0)
    return {
        key: draw(rng, key.rpartition(".")[2], shape, np.prod(shape[1:]))
        for key, shape in shapes.items()
    }


@pytest.mark.parametrize(("name", "as_file"), [("mnasnet_b1", False), ("mnasnet_a1", True)])
def test_an_mnasnet_is_recognised_by_its_names(name, as_file, tmp_path):
    state = mnasnet_state(name)
    save_file(state, tmp_path / "model.safetensors")
    network, variables, *_ = import_timm(tmp_path / "model.safetensors" if as_file else state)
    assert network.genotype.name == name
    assert network.outputs == CLASSES
    params = variables["params"]
    np.testing.assert_array_equal(
        params["block_1"]["edge_1_depthwise_conv_3x3"]["conv"]["kernel"][1, 2, 0],
        state["blocks.1.0.conv_dw.weight"][:, 0, 1, 2],
    )
    np.testing.assert_array_equal(params["classifier"]["kernel"], state["classifier.weight"].T)
    np.testing.assert_array_equal(
        variables["batch_stats"]["head_norm"]["var"], state["bn2.running_var"]
    )


@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: {f"module.{name}": value for name, value in state.items()},
        lambda state: {f"model_ema.module.{name}": value for name, value in state.items()},
        lambda state: {f"module.{n}": v for n, v in state.items()} | {"n_averaged": np.zeros(())},
        lambda state: {"epoch": 3, "state_dict": {}, "state_dict_ema": state},
        lambda state: {"model": {f"module._orig_mod.{n}": v for n, v in state.items()}},
    ],
)
def test_wrappers_names_and_checkpoints_are_taken_off(wrap):
    state = mnasnet_state("mnasnet_b1")
    found, expected = import_timm(wrap(state)), import_timm(state)
    assert found.network == expected.network
    jax.tree.map(np.testing.assert_array_equal, found.variables, expected.variables)


def test_a_prefix_that_some_names_lack_stays():
    state = {f"module.{name}": value for name, value in mnasnet_state("mnasnet_b1").items()}
    with pytest.raises(WeightsError, match="holds none of these networks of timm"):
        import_timm(state | {"bn1.bias": np.zeros(32)})


def test_every_weight_that_does_not_fit_is_named():
    state = {**mnasnet_state("mnasnet_b1"), "stranger": np.zeros(3)}
    del state["bn1.bias"]
    state["blocks.2.0.conv_dw.weight"] = np.zeros((72, 1, 3, 3))
    with pytest.raises(WeightsError) as caught:
        import_timm(state)
    assert str(caught.value) == (
        "the state dict looks like a scaled, deeper or incomplete relative of mnasnet_b1, which is "
        "not in the zoo; give weights of a network that is (unlike mnasnet_b1 it lacks bn1.bias; "
        "it has stranger, which the network has not; it has blocks.2.0.conv_dw.weight as "
        "[72, 1, 3, 3] instead of [72, 1, 5, 5])"
    )


@pytest.mark.parametrize(
    ("weights", "reason"),
    [
        (
            {"conv1.weight": np.zeros((8, 3, 3, 3))},
            "the state dict holds none of these",
        ),
        ({"state_dict": {}}, "the state dict's state_dict holds none of these"),
        ({"epoch": 3, "optimizer": {}}, "'epoch' is no array"),
        ({"blocks.2.0.conv_pwl.weight": np.zeros(1)}, "the state dict holds none of these"),
        ({"conv0.conv.weight": np.zeros(())}, "the state dict holds none of these"),
        (3, "a int is neither a state dict nor"),
        ("resnet.pth", "there is no file resnet.pth"),
        ("nowhere.safetensors", "there is no file nowhere"),
    ],
)
def test_what_is_no_network_of_timm_is_refused(weights, reason):
    with pytest.raises(WeightsError, match=reason):
        import_timm(weights)


# --------------------------------------------------------------------------- Keras


def keras_model(name, side, **options):
    os.environ.setdefault("KERAS_BACKEND", "jax")
    keras = pytest.importorskip("keras", reason="needs jaxnas[dev]")
    model = getattr(keras.applications, name)(
        input_shape=(side, side, 3), weights=None, classifier_activation=None, **options
    )
    rng = np.random.default_rng(0)
    for layer in model.layers:
        for weight in layer.weights:
            taps = 2 if weight.name == "depthwise_kernel" else -1
            fan_in = np.prod(weight.shape[:taps])
            weight.assign(draw(rng, weight.name, weight.shape, fan_in))
    return model, np.asarray(model(images(side), training=False))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("name", "side"), [("NASNetMobile", 64), ("NASNetMobile", 75), ("NASNetLarge", 64)]
)
def test_a_network_of_keras_has_its_logits(name, side):
    model, expected = keras_model(name, side, classes=CLASSES)
    assert_same_logits(import_keras(model), side, expected)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_network_of_keras_without_top_has_its_features_from_any_of_its_files(tmp_path):
    model, expected = keras_model("NASNetMobile", 64, include_top=False, pooling="avg")
    imported = import_keras(model)
    assert_same_logits(imported, 64, expected)
    model.save_weights(tmp_path / "new.weights.h5")
    model.save(tmp_path / "whole.h5")
    model.save(tmp_path / "whole.keras")
    for name in ("new.weights.h5", "whole.h5", "whole.keras"):
        found = import_keras(tmp_path / name)
        assert found.network == imported.network
        jax.tree.map(np.testing.assert_array_equal, found.variables, imported.variables)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_sequential_of_keras_for_grey_images_has_its_logits(tmp_path):
    os.environ.setdefault("KERAS_BACKEND", "jax")
    keras = pytest.importorskip("keras", reason="needs jaxnas[dev]")
    body = keras.applications.NASNetMobile(
        input_shape=(64, 64, 1), weights=None, include_top=False, pooling="avg"
    )
    model = keras.Sequential([body, keras.layers.Dense(CLASSES)])
    x = images(64)[..., :1]
    expected = np.asarray(model(x, training=False))
    model.save(tmp_path / "grey.keras")
    for given in (model, tmp_path / "grey.keras"):
        network, variables, *_ = import_keras(given)
        with kernels.portable():
            found = jax.jit(lambda v, x, m=network: m.apply(v, x, train=False))(variables, x)
        assert np.abs(found - expected).max() < 1e-4 * np.abs(expected).max()
    scaled = keras.Sequential([keras.layers.Rescaling(1 / 255), body])
    scaled.save(tmp_path / "scaled.keras")
    for given in (scaled, tmp_path / "scaled.keras"):
        with pytest.raises(WeightsError, match="has a Rescaling layer, which NASNet has not"):
            import_keras(given)


@pytest.fixture
def h5(tmp_path):
    h5py = pytest.importorskip("h5py", reason="needs jaxnas[imports]")
    path = tmp_path / "weights.h5"
    with h5py.File(path, "w") as file:
        file["stem_conv1/stem_conv1/kernel:0"] = np.ones((3, 3, 3, 32), np.float32)
    return path


def test_weights_that_an_h5_file_lacks_are_named_and_counted(h5):
    with pytest.raises(WeightsError) as caught:
        import_keras(h5)
    message = str(caught.value)
    found = re.fullmatch(rf"{h5} does not fit the network: it lacks (.+) and (\d+) more", message)
    named = found[1].split(", ")
    # 160 separable convolutions, 192 batch norms, 36 convolutions.
    assert len(named) + int(found[2]) == 2 * 160 + 4 * 192 + 36 - 1
    assert len(named) == 6
    assert all("/" in name for name in named)


@pytest.mark.parametrize(
    "damage", [lambda data: data[:-1000], lambda data: data[:9], lambda _: b""]
)
def test_a_damaged_h5_file_is_refused(h5, damage):
    h5.write_bytes(damage(h5.read_bytes()))
    with pytest.raises(WeightsError, match="is no HDF5 file or is damaged"):
        import_keras(str(h5))


def test_a_keras_file_that_is_none_says_what_writes_one(h5):
    path = h5.rename(h5.with_suffix(".keras"))
    with pytest.raises(WeightsError, match=r"is no \.keras file.*model.save_weights"):
        import_keras(path)


def test_an_h5_file_of_something_else_is_refused(h5):
    import h5py

    with h5py.File(h5, "a") as file:
        del file["stem_conv1"]
    with pytest.raises(WeightsError, match="neither Keras's NASNetMobile nor NASNetLarge"):
        import_keras(h5)


def test_an_h5_file_cannot_read_other_files(h5):
    import h5py

    with h5py.File(h5, "a") as file:
        file.create_dataset("a/kernel", (4,), "f4", external=[("/etc/passwd", 0, 16)])
    with pytest.raises(WeightsError, match="keeps a/kernel in another file, which is not read"):
        import_keras(h5)


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (3, "a int is neither a Keras model nor the path"),
        ("nowhere.h5", "there is no file nowhere.h5"),
        (__file__.replace(".py", ".keras"), "there is no file"),
    ],
)
def test_what_is_no_network_of_keras_is_refused(model, reason):
    with pytest.raises(WeightsError, match=reason):
        import_keras(model)

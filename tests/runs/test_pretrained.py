"""Training that starts from given weights: what is taken, where it starts, and how it goes on."""

import dataclasses
import math
import re

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from safetensors.numpy import save_file

from jaxnas import data, nn, training
from jaxnas.nn.weights.foreign import Imported
from jaxnas.nn.weights.init import kernel_scale, named_leaves
from jaxnas.nn.weights.safetensors_file import image_form, read_safetensors
from jaxnas.runs.adaptation_run import method_run
from jaxnas.runs.config import AdaptationFlags, ConfigError, Training
from jaxnas.runs.flags.pretrained import PretrainedFlags
from jaxnas.runs.loop import Kept
from jaxnas.runs.starting.edge_norms import edge_norms
from jaxnas.runs.starting.pretrained import start_from
from jaxnas.spaces import AdaptationSpace, zoo
from jaxnas.spaces.adaptation import ID, SAME
from jaxnas.storage.checkpoints import Checkpoints
from nn.weights.test_from_torch import lite0_state
from support import networks, tiny

SHAPE = (8, 8, 1)


def source(base=tiny.BASE, classes=7, shape=SHAPE):
    """A network of some classes with variables of which no two are alike."""
    network = nn.build(base, classes)
    return Imported(network, networks.random_variables(network, shape=shape))


def start(weights=None, base=tiny.BASE, dataset=None, **flags):
    weights = source(base) if weights is None else weights
    return start_from(weights, base, dataset or tiny.dataset(), PretrainedFlags(**flags))


def run(method, seeds=(0,), base=tiny.BASE, given=None, **changes):
    """A method on the tiny data from given weights."""
    changes = tiny.FLAGS | {"arch_learning_rate": 0.01} | changes
    kinds = Training, AdaptationFlags, PretrainedFlags
    settings, adaptation, flags = (tiny.taken(kind, changes) for kind in kinds)
    given = given or start_from(source(base), base, tiny.dataset(), flags)
    dataset = tiny.dataset()
    return method_run(method, base, dataset, settings, seeds, adaptation=adaptation, start=given)


@pytest.mark.quick_cases(1)
@pytest.mark.parametrize("name", ["tf_efficientnet_lite0", "efficientnet_lite0"])
def test_a_network_that_was_cut_starts_from_the_whole_one_s_file_of_another_library(name, tmp_path):
    state = lite0_state("timm")
    save_file(state, tmp_path / "lite0.safetensors")
    space = AdaptationSpace(zoo.named(name), "block")
    cut = space.random(np.random.default_rng(0)).genotype
    images, labels = np.zeros((4, 32, 32, 3), np.uint8), np.array([0, 1, 0, 1])
    dataset = data.from_arrays(images, labels, images, labels)
    found = start_from(tmp_path / "lite0.safetensors", cut, dataset, PretrainedFlags())
    kept = state["blocks.6.0.conv_pw.weight"].transpose(2, 3, 1, 0)
    np.testing.assert_array_equal(found.given["params/block_15/edge_0_conv_1x1/conv/kernel"], kept)
    assert f"({name})" in found.told[0]  # which names and shapes do not tell
    with pytest.raises(nn.WeightsError, match=f"the weights of .*{name}; .* is another network"):
        nn.import_weights(tmp_path / "lite0.safetensors", cut)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda name, array: {} if "/block_1/" in name else {name: array}, "block_1"),
        (lambda name, array: {} if name.startswith("batch_stats") else {name: array}, "batch_st"),
        (lambda name, array: {name: array - 9 * name.endswith("/var")}, "has a variance below 0"),
        (lambda name, array: {name: array * np.inf}, "is not finite"),
    ],
)
def test_weights_that_lack_what_their_network_has_are_refused(change, message, tmp_path):
    given = source()
    nn.save_safetensors(given.variables, tmp_path / "own.safetensors", tiny.BASE)
    arrays, told = read_safetensors(tmp_path / "own.safetensors")
    changed = {name: array for each in arrays.items() for name, array in change(*each).items()}
    save_file(changed, tmp_path / "own.safetensors", told)
    with pytest.raises(ConfigError, match=message):
        start(tmp_path / "own.safetensors")


def test_an_array_that_no_module_has_is_left_and_told(tmp_path):
    given = source()
    nn.save_safetensors(given.variables, tmp_path / "own.safetensors", tiny.BASE)
    arrays, told = read_safetensors(tmp_path / "own.safetensors")
    save_file({**arrays, "stray": np.ones(1, np.float32)}, tmp_path / "own.safetensors", told)
    found = start(tmp_path / "own.safetensors")
    assert any("Ignored" in line and "stray" in line for line in found.told)


def test_norm_cannot_grow_a_network():
    with pytest.raises(ConfigError, match=r"--target-cost must be at most 1, not 1\.5"):
        run("norm", target_cost=1.5)


def test_epochs_of_the_head_alone_are_none_of_the_adaptation():
    with pytest.raises(ConfigError, match=r"to --epochs less --head-epochs .1., not 2"):
        run("full", head_epochs=1, epochs=2, adapt_epochs=2)


@pytest.mark.quick_cases(1)
@pytest.mark.parametrize(
    "base",
    [
        pytest.param(tiny.BASE, id="tiny"),
        pytest.param(zoo.named("resnet20"), id="resnet20"),
        pytest.param(zoo.named("plain20"), id="plain20"),
        pytest.param(zoo.named("mobilenet_v2"), id="mobilenet_v2"),
        pytest.param(zoo.named("darts_v2", channels=4, cells=3), id="darts_v2"),
    ],
)
def test_adaptation_starts_as_exactly_the_given_network(base):
    given = source(base, classes=4)
    adapting = run("full", base=base, given=start(given, base))
    state = adapting._first_state(adapting._keys)
    gates = adapting._adaptation.gates(state)
    images = networks.images(shape=SHAPE, batch=3)
    found = adapting._supernet.apply(state.variables, images, gates, train=False)
    expected = given.network.apply(given.variables, images, train=False)
    networks.assert_close(found, expected, 1e-5)
    statistics = named_leaves(given.variables["batch_stats"])
    own = named_leaves(state.variables["batch_stats"])
    assert all(tiny.same_trees(own[name], leaf) for name, leaf in statistics.items())


@pytest.mark.quick_cases(1)
@pytest.mark.parametrize("method", ["original", "full"])
def test_the_head_learns_alone_first(method):
    training_run = run(method, head_epochs=1, adapt_epochs=1, warmup_epochs=0, epochs=3)
    given = training_run.start.given
    first = training_run._begin()
    head = training_run._advance(first, lambda: None)
    assert [row["phase"] for row in head.rows] == ["head"]

    def moved(kept):
        found = named_leaves(kept.state.variables)
        return {
            name.split("/")[1]
            for name in given
            if not tiny.same_trees(np.asarray(found[name]), given[name])
        }, found["params/classifier/kernel"]

    body, kernel = moved(head)
    assert body == set()
    drawn = run("original")._begin().state.variables["params"]["classifier"]["kernel"]
    assert not np.array_equal(kernel, drawn)
    kernel = np.array(kernel)
    after = training_run._advance(head, lambda: None)
    assert [row["phase"] for row in after.rows] == [
        {"original": "original", "full": "adaptation"}[method]
    ]
    body, later = moved(after)
    assert {"stem_conv", "stem_norm", "block_0", "block_1"} <= body
    assert not np.array_equal(kernel, later)
    assert int(after.state.step) == 10


@pytest.mark.slow
@pytest.mark.parametrize("method", ["original", "cell", "norm"])
@pytest.mark.parametrize("seeds", [(0,), (0, 1)])
def test_a_run_goes_on_from_every_epoch_to_the_same_bits(method, seeds, tmp_path):
    changes = {"head_epochs": 1, "target_cost": 0.7}
    whole = [each.result.digest for each in run(method, seeds, **changes).run()]
    for epoch in (1, 2, 3):
        with tiny.open_run(tmp_path / str(epoch)) as directory:
            stopped = run(method, seeds, **changes)
            advance, calls = stopped._advance, []

            def limited(kept, progress, advance=advance, calls=calls, epoch=epoch):
                calls.append(kept.epoch)
                return None if kept.epoch == epoch else advance(kept, progress)

            object.__setattr__(stopped, "_advance", limited)
            object.__setattr__(stopped, "_outcomes", lambda *_: [])
            stopped.run(directory)
        found = Checkpoints(tmp_path / str(epoch) / "checkpoints").restore(
            lambda meta: run(method, seeds, **changes)._phase(meta).abstract
        )
        assert Kept(*found).epoch == epoch
        with tiny.open_run(tmp_path / str(epoch)) as directory:
            again = run(method, seeds, **changes).run(directory)
        assert [each.result.digest for each in again] == whole


def test_a_new_head_and_one_that_is_kept():
    new, kept = start(), start(source(classes=4))
    assert not any("classifier" in name for name in new.given)
    assert new.told[:2] == (
        "Training starts from the given network (tiny): 20 of the 20 variables of the network's "
        "body are taken.",
        "The head is new: the weights have 7 classes, the data 4.",
    )
    assert sum("classifier" in name for name in kept.given) == 2
    assert kept.told[1] == "The head is taken too: its classes are the data set's."
    assert new.fingerprint != kept.fingerprint
    assert start().fingerprint == new.fingerprint


def test_weights_of_a_file_say_their_classes_and_normalisation(tmp_path):
    given, path = source(classes=4), tmp_path / "net.safetensors"
    form = image_form((8, 8, 1), [0.25], [0.5])
    nn.save_safetensors(given.variables, path, tiny.BASE, tuple("abcd"), form)
    found = start(path)
    assert "The head is new: the weights have 4 classes of other names, the data 4." in found.told
    assert found.normalisation == ((0.25,), (0.5,))
    training_run = run("original", given=found)
    assert training_run.dataset.channel_mean() == [0.25]
    images = np.full((1, 8, 8, 1), 255, np.uint8)
    inputs = training_run._learner.task.inputs(images)
    assert float(np.asarray(inputs).mean()) == pytest.approx((1 - 0.25) / 0.5)


def test_a_network_that_was_cut_out_takes_its_part_of_the_weights():
    space = AdaptationSpace(tiny.BASE, "full")
    choices = space.base_choices()
    choices[0, 2] = ID  # its convolution becomes an identity of equal shape
    choices[1, 1] = ID  # its null edge an identity that halves the image
    cut = space.decode(choices[space.valid])
    found = start(source(), cut)
    assert "Ignored, as tiny_adapted_full has no such variables: " in " ".join(found.told)
    assert all("edge_2_conv_1x1" not in name for name in found.given)
    wanted = named_leaves(source().variables)
    assert all(np.array_equal(array, wanted[name]) for name, array in found.given.items())


@pytest.mark.slow
@pytest.mark.parametrize("method", ["original", "full"])
def test_training_may_stop_early_after_the_head_has_learned_alone(method):
    changes = {"head_epochs": 2, "adapt_epochs": 1, "warmup_epochs": 0, "epochs": 9}
    (outcome,) = run(method, early_stopping=1, learning_rate=1e-9, **changes).run()
    # The head's and the architecture's epochs do not count.
    first = 3 if method == "original" else 4
    told = re.search(
        r"after epoch (\d) of 9; the weights are those of epoch (\d)", outcome.notes[-1]
    )
    assert told is not None
    last, best = map(int, told.groups())
    assert first <= best == last - 1


def wider():
    return dataclasses.replace(
        tiny.BASE,
        stem=6,
        blocks=(dataclasses.replace(tiny.BASE.blocks[0], channels=6), tiny.BASE.blocks[1]),
    )


def without_shortcut():
    return zoo.named("plain20")


@pytest.mark.parametrize(
    ("weights", "base", "message"),
    [
        (
            source(wider()),
            tiny.BASE,
            "conv_3x3/conv/kernel as [3, 3, 6, 6] instead of [3, 3, 4",
        ),
        (source(shape=(8, 8, 3)), tiny.BASE, "as [3, 3, 3, 4] instead of [3, 3, 1, 4]"),
        (
            source(),
            zoo.named("resnet20"),
            "the given network holds the weights of tiny; --base resnet20 is another network: give "
            "its genotype as --base, or weights of resnet20",
        ),
        (source(zoo.named("plain20")), zoo.named("resnet20_b"), "of which --base resnet20_b is no"),
        (3, tiny.BASE, "weights are the path of a file or of a run's folder"),
    ],
    ids=["channels", "images", "network", "edges", "number"],
)
def test_weights_that_do_not_fit_are_refused_by_name(weights, base, message):
    with pytest.raises(ConfigError) as caught:
        start(weights, base)
    assert message in str(caught.value)


def test_numbers_that_are_not_finite_are_refused_by_name():
    given = source()
    given.variables["params"]["stem_conv"]["kernel"] *= math.nan
    with pytest.raises(ConfigError, match="params/stem_conv/kernel is not finite"):
        start(given)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"head_epochs": -1}, "--head-epochs must not be negative, not -1"),
        ({"body_learning_rate_share": 0.0}, "--body-learning-rate-share must be above 0"),
        ({"body_learning_rate_share": 1.5}, "--body-learning-rate-share must be above 0"),
    ],
)
def test_flags_that_cannot_be(flags, message):
    with pytest.raises(ConfigError, match=message):
        PretrainedFlags(**flags)


def test_flags_need_weights_and_epochs():
    with pytest.raises(ConfigError, match="--head-epochs is for training from --weights"):
        PretrainedFlags(head_epochs=1).refuse_beyond(3, None)
    with pytest.raises(ConfigError, match=r"--head-epochs must be below --epochs \(3\), not 3"):
        PretrainedFlags(head_epochs=3).refuse_beyond(3, "weights")
    for method in ("norm", "scratch"):
        with pytest.raises(ConfigError, match=f"{method} is a control of training from --weights"):
            tiny.run(method)
    with pytest.raises(ConfigError, match="until --target-cost is met; give both"):
        run("norm")


def test_the_body_learns_at_a_share_of_the_rate():
    params = {"stem_conv": {"kernel": jnp.ones(2)}, "classifier": {"kernel": jnp.ones(2)}}
    gradient = jax.tree.map(jnp.ones_like, params)
    optimizer = training.slower_body(optax.sgd(0.5, 0.9), 0.1)
    state = optimizer.init(params)
    for factor in (1.0, 1.9):  # of momentum
        updates, state = optimizer.update(gradient, state, params)
        np.testing.assert_allclose(updates["classifier"]["kernel"], -0.5 * factor, rtol=1e-6)
        np.testing.assert_allclose(updates["stem_conv"]["kernel"], -0.05 * factor, rtol=1e-6)
    assert training.slower_body(optimizer, 1.0) is optimizer


def test_the_norm_of_an_edge_is_that_of_its_batch_norms_or_its_kernels():
    base = dataclasses.replace(tiny.BASE)
    given = named_leaves(source().variables)
    given = {name: np.asarray(leaf) for name, leaf in given.items()}
    norms = edge_norms(base, given)
    own = np.abs(given["params/block_0/edge_0_conv_3x3/norm/scale"]).mean()
    assert norms[0, 0] == pytest.approx(own)
    assert np.isnan(norms[0, 1])
    assert np.isnan(norms[1, 1:]).all()
    bare = {name: array for name, array in given.items() if not name.endswith("/scale")}
    kernel = bare["params/block_0/edge_2_conv_1x1/conv/kernel"]
    mean = np.abs(kernel).mean() / (kernel_scale(kernel.shape) * math.sqrt(2 / math.pi))
    assert edge_norms(base, bare)[0, 2] == pytest.approx(mean, rel=1e-5)


def test_norm_drops_what_is_smallest_and_random_keeps_to_the_cost():
    given = start(source(classes=4))
    scale = "params/block_0/edge_{}/norm/scale"
    given.given[scale.format("0_conv_3x3")] = np.full(4, 0.01, np.float32)
    run_ = run("norm", given=given, target_cost=0.8)
    (left,) = run_._chosen
    assert run_._costs.share(left.choices) <= 0.8
    assert left.choices[0, 0] != SAME
    assert left.choices[1, 0] == SAME
    for seed in range(4):
        drawn = run("random_full", (seed,), given=given, target_cost=0.8)
        (each,) = drawn._chosen
        assert drawn._costs.share(each.choices) <= 0.8
    # Blocks that share a cell are dropped one by one.
    base = dataclasses.replace(tiny.BASE, blocks=(tiny.BASE.blocks[0],) * 2)
    given = start(source(base, classes=4), base)
    for name, array in given.given.items():
        if name.startswith("params/block_0") and name.endswith("/scale"):
            given.given[name] = np.full_like(array, 10)
    (left,) = run("norm", base=base, given=given, target_cost=0.56)._chosen
    assert left.choices[0].tolist() == [SAME] * 3
    assert left.choices[1].tolist() != [SAME] * 3
    whole = run("random_full", given=given, target_cost=1.0)
    assert whole._costs.share(whole._chosen[0].choices) >= 0.97

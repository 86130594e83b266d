"""A method on its own: what it returns, its two phases, seeds side by side, and how it fails."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnas import data, nn, training
from jaxnas.data import Augmentation
from jaxnas.jobs.job import Watcher
from jaxnas.runs.adaptation_run import method_run
from jaxnas.runs.config import ConfigError
from jaxnas.runs.loop import Kept, TrainingError
from jaxnas.spaces import Block, Cell, Edge, Genotype, GenotypeError, Node
from jaxnas.storage import run_digest
from jaxnas.storage.checkpoints import Checkpoints
from jaxnas.tasks import supervised
from support import tiny

pytestmark = pytest.mark.oldest
RED = tiny.REDUCTION


@functools.cache
def outcomes(method="cell", seeds=(0,), **changes):
    """What `tiny.run` of these settings comes to."""
    return tiny.run(method, seeds, **changes).run()


@functools.cache
def rows(folder, method="cell", seeds=(0,), **changes):
    """The rows of metrics of a run of these settings."""
    with tiny.open_run(folder) as directory:
        tiny.run(method, seeds, **changes).run(directory)
        return directory.rows()


def scores(outcome, genotype=None):
    """Test scores of the returned variables, by the network of the returned genotype."""
    dataset = tiny.dataset()
    network = nn.build(genotype or outcome.result.genotype, dataset.num_classes)
    task = supervised(
        dataset.num_classes, dataset.channel_mean(), dataset.channel_std(), Augmentation()
    )
    evaluate = training.evaluator(training.flax_apply(network), task)
    images, labels = jnp.asarray(dataset.test_images), jnp.asarray(dataset.test_labels)
    found = evaluate(outcome.variables, None, images, labels)
    return 100 * float(found["accuracy"]), float(found["loss"])


# The base left alone; both phases; no fixed phase; a phase of adaptation in which θ stays.
ALONE = {"method": "original"}
BOTH = {"method": "cell"}
CHEAP = {"method": "cell", "adapt_epochs": 4, "cost_weight": 100.0, "estimator": "raw"}
STILL = {"method": "full", "adapt_epochs": 4, "warmup_epochs": 4, "estimator": "raw"}
HELD_OUT = {"method": "full", "arch_data": "holdout", "estimator": "raw"}
RANDOM = {"method": "random_full"}


@pytest.mark.quick_cases(1)
@pytest.mark.parametrize(
    "kind",
    [ALONE, BOTH]
    + [pytest.param(kind, marks=pytest.mark.slow) for kind in (CHEAP, STILL, HELD_OUT, RANDOM)],
)
def test_the_result_is_that_of_the_returned_network(kind):
    (outcome,) = outcomes(**kind)
    result, genotype = outcome.result, outcome.result.genotype
    accuracy, loss = scores(outcome)
    assert result.test_accuracy == pytest.approx(accuracy, abs=1e-3)
    assert result.test_loss == pytest.approx(loss, rel=1e-4)
    size = nn.cost(nn.build(genotype, 4), (8, 8, 1))
    assert (result.params, result.macs) == (size.params, size.macs)
    assert result.params == sum(each.size for each in jax.tree.leaves(outcome.variables["params"]))
    assert result.digest == run_digest(outcome.variables["params"], genotype)
    assert (result.method, result.base, result.dataset) == (kind["method"], "tiny", "tiny")
    assert (result.seed, result.epochs, result.vmap_width) == (0, 4, 1)
    assert result.device.startswith(jax.default_backend())
    assert result.seconds > 0


@pytest.mark.quick_cases(1)
@pytest.mark.parametrize(
    ("kind", "epochs"), [(BOTH, 2), (CHEAP, 4), (STILL, 4), (HELD_OUT, 2)], ids=str
)
def test_theta_is_told_from_its_start_to_the_end_of_the_adaptation(kind, epochs):
    (outcome,) = outcomes(**kind)
    tables = 2  # cells of the base, and blocks
    assert outcome.theta is not None
    assert outcome.theta.dtype == np.float32
    assert outcome.theta.shape == (epochs + 1, tables, 3, 3)
    operation, undecided = [0, 0, 1], [0, 0, 0]  # the reduction's second edge is null
    start = [[operation] * 3, [operation, undecided, undecided]]
    np.testing.assert_array_equal(outcome.theta[0], start)
    parts = tiny.settings(**{k: v for k, v in kind.items() if k != "method"})
    still = parts["adaptation"].waiting_epochs(parts["training"].epochs)
    moved = [bool((each != outcome.theta[0]).any()) for each in outcome.theta]
    assert moved == [epoch > still for epoch in range(epochs + 1)]


def test_no_theta_and_no_other_network_where_nothing_adapts():
    (alone,) = outcomes(**ALONE)
    assert alone.theta is None
    assert alone.result.genotype == tiny.BASE
    # Adaptation for no epoch at all is the base left alone, to the last bit.
    (idle,) = outcomes(method="full", adapt_epochs=0, warmup_epochs=0)
    assert idle.theta is None
    assert idle.result.digest == alone.result.digest
    assert tiny.same_trees(idle.variables, alone.variables)


def test_gates_that_stay_at_the_base_train_the_base(tmp_path):
    (still,), (alone,) = outcomes(**STILL), outcomes(**ALONE)
    assert still.result.genotype == tiny.BASE
    assert still.notes[-1] == "full, seed 0: of 2 blocks and their 5 edges, none changed."
    assert still.result.test_loss == pytest.approx(alone.result.test_loss, rel=1e-2)
    pairs = zip(rows(tmp_path / "still", **STILL), rows(tmp_path / "alone", **ALONE), strict=True)
    for supernet, network in pairs:
        assert (supernet["phase"], network["phase"]) == ("adaptation", "original")
        # They differ by rounding alone, which the steps amplify.
        assert supernet["train_loss"] == pytest.approx(network["train_loss"], rel=3e-3)


@pytest.mark.parametrize(("epochs", "travel"), [(18, 6), (40, 6), (9, 1.5), (1, 6 / 18**2)])
def test_theta_may_travel_as_far_in_any_number_of_steps_but_not_in_few(epochs, travel):
    changes = {"epochs": 40, "adapt_epochs": epochs, "warmup_epochs": 0, "arch_learning_rate": None}
    rate = tiny.run(**changes).arch_learning_rate  # five steps an epoch
    assert rate * 5 * epochs == pytest.approx(travel)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"adapt_epochs": 12}, "θ moves for 60 steps, by default less than half as far as in 90: "),
        ({"adapt_epochs": 13}, None),
        ({"adapt_epochs": 12, "arch_learning_rate": 0.1}, None),
        ({"adapt_epochs": 12, "target_cost": None}, None),
    ],
)
def test_a_target_before_theta_can_tell_is_told(changes, told):
    usual = {"epochs": 40, "warmup_epochs": 0, "arch_learning_rate": None, "target_cost": 0.9}
    hurried = tiny.run(**usual | changes)._hurried  # five steps an epoch
    assert hurried is None if told is None else hurried.startswith(told)


def test_what_a_hurried_run_is_told_to_give_is_enough():
    usual = {"epochs": 40, "arch_learning_rate": None, "target_cost": 0.9}
    hurried = tiny.run(**usual, adapt_epochs=14, warmup_epochs=None)._hurried  # ten epochs move it
    assert hurried.endswith("for 64 steps give --adapt-epochs 13 --warmup-epochs 0")
    assert tiny.run(**usual, adapt_epochs=13, warmup_epochs=0)._hurried is None
    short = tiny.run(**usual | {"epochs": 13}, adapt_epochs=4, warmup_epochs=0)._hurried
    assert short.endswith("--adapt-epochs 13 --warmup-epochs 0 and more --epochs")


@pytest.mark.slow
def test_a_price_on_multiply_adds_makes_the_network_cheaper():
    (cheap,), (alone,) = outcomes(**CHEAP), outcomes(**ALONE)
    assert cheap.result.macs < alone.result.macs
    assert cheap.result.params < alone.result.params


def test_phases_and_tests_by_epoch(tmp_path):
    told = rows(tmp_path / "a", **BOTH)
    assert [row["phase"] for row in told] == ["adaptation"] * 2 + ["fixed"] * 2
    assert [row["epoch"] for row in told] == [1, 2, 3, 4]
    assert all("test_accuracy" in row and "test_loss" in row for row in told)
    assert told[-1]["test_accuracy"] == outcomes(**BOTH)[0].result.test_accuracy
    sparse = rows(tmp_path / "b", eval_every=3, **BOTH)
    assert [row["epoch"] for row in sparse if "test_accuracy" in row] == [3, 4]
    # Testing takes no part in training.
    losses = [[row["train_loss"] for row in each] for each in (told, sparse)]
    assert losses[0] == losses[1]


@pytest.mark.quick_cases(1)
@pytest.mark.parametrize("kind", [BOTH, HELD_OUT, ALONE | {"arch_data": "holdout"}], ids=str)
def test_every_step_and_every_epoch_is_told(kind, tmp_path):
    run = tiny.run(**kind)
    calls, told = [], []
    with tiny.open_run(tmp_path) as directory:
        (outcome,) = run.run(directory, Watcher(lambda: calls.append(None), on_epoch=told.append))
        assert told == directory.rows()
    assert outcome.result.digest == outcomes(**kind)[0].result.digest
    assert len(calls) == run.total_steps
    # 80 images, 8 of them held out while the architecture adapts, 16 in a batch.
    assert run.total_steps == (18 if kind is HELD_OUT else 20)


def test_the_fixed_network_goes_on_with_weights_and_momentum_of_the_supernet(tmp_path):
    run = tiny.run(adapt_epochs=4, estimator="raw", cost_weight=100.0)
    with tiny.open_run(tmp_path) as directory:
        (outcome,) = run.run(directory)
    found = Checkpoints(tmp_path / "checkpoints").restore(lambda meta: run._phase(meta).abstract)
    assert found is not None
    supernet = found[1]
    _, fixed, meta, *_ = run._enter_fixed(Kept(*found))
    assert meta["phase"] == "fixed"
    assert int(fixed.step) == 20
    before = dict(jax.tree_util.tree_leaves_with_path((supernet.variables, supernet.opt_state)))
    after = jax.tree_util.tree_leaves_with_path((fixed.variables, fixed.opt_state))
    assert 0 < len(after) < len(before)
    for path, leaf in after:
        assert tiny.same_trees(leaf, before[path])
    assert any(np.abs(leaf).max() > 0 for leaf in jax.tree.leaves(fixed.opt_state))
    names = {jax.tree_util.keystr(path) for path, _ in after}
    assert sum("trace" in name for name in names) == len(jax.tree.leaves(fixed.variables["params"]))
    # As no epoch followed, these are the weights that were returned.
    assert tiny.same_trees(fixed.variables, outcome.variables)


def test_equal_seeds_give_equal_bits_and_others_do_not():
    (first,) = outcomes(**BOTH)
    (again,) = tiny.run(**BOTH).run()
    assert again.result.digest == first.result.digest
    assert tiny.same_trees(again.variables, first.variables)
    assert tiny.same_trees(again.theta, first.theta)
    digests = {outcomes(seeds=(seed,), **BOTH)[0].result.digest for seed in (0, 1, 2**32 - 1)}
    assert len(digests) == 3


@pytest.mark.slow
def test_seeds_side_by_side_are_the_single_runs_to_rounding():
    changes = {"epochs": 1, "adapt_epochs": 0, "warmup_epochs": 0}
    wide = outcomes("original", seeds=(0, 1), **changes)
    assert [each.result.seed for each in wide] == [0, 1]
    for each in wide:
        (single,) = outcomes("original", seeds=(each.result.seed,), **changes)
        assert (each.result.vmap_width, single.result.vmap_width) == (2, 1)
        assert each.result.test_loss == pytest.approx(single.result.test_loss, rel=1e-3)
        pairs = zip(jax.tree.leaves(each.variables), jax.tree.leaves(single.variables), strict=True)
        for together, alone in pairs:
            np.testing.assert_allclose(together, alone, rtol=2e-2, atol=2e-3)


@pytest.mark.slow
def test_seeds_side_by_side_become_networks_of_their_own():
    wide = outcomes(seeds=(0, 1), **BOTH)
    assert wide[0].result.digest != wide[1].result.digest
    for each in wide:
        accuracy, loss = scores(each)
        assert each.result.test_loss == pytest.approx(loss, rel=1e-3)
        assert each.result.test_accuracy == pytest.approx(accuracy, abs=100 / 40 + 1e-3)
        size = nn.cost(nn.build(each.result.genotype, 4), (8, 8, 1))
        assert (each.result.params, each.result.macs) == (size.params, size.macs)
        assert each.result.digest == run_digest(each.variables["params"], each.result.genotype)
        assert each.result.vmap_width == 2
        assert each.theta is not None
        assert each.theta.shape == (3, 2, 3, 3)
        # The first steps of θ are those of the seed on its own, to rounding.
        (single,) = outcomes(seeds=(each.result.seed,), **BOTH)
        np.testing.assert_allclose(each.theta[:2], single.theta[:2], atol=1e-3)
    assert not np.array_equal(wide[0].theta[-1], wide[1].theta[-1])


@pytest.mark.slow
def test_random_choices_are_the_seeds_alone_or_side_by_side():
    changes = {"epochs": 1, "adapt_epochs": 0, "warmup_epochs": 0}
    wide = outcomes("random_full", seeds=(0, 1), **changes)
    assert wide[0].result.genotype.cells != wide[1].result.genotype.cells
    for each in wide:
        (single,) = outcomes("random_full", seeds=(each.result.seed,), **changes)
        assert each.result.genotype == single.result.genotype
        assert each.result.genotype.connected()
        assert each.result.genotype != tiny.BASE
        assert each.theta is None
        assert each.result.test_loss == pytest.approx(single.result.test_loss, rel=1e-3)
        assert each.result.params == single.result.params
        pairs = zip(jax.tree.leaves(each.variables), jax.tree.leaves(single.variables), strict=True)
        for together, alone in pairs:
            np.testing.assert_allclose(together, alone, rtol=2e-2, atol=2e-3)


@pytest.mark.quick_cases(1)
@pytest.mark.parametrize("method", ["original", "cell"])
def test_a_run_that_diverges_names_the_step_and_keeps_no_broken_state(tmp_path, method):
    # One step in an epoch: the first loss is finite, and the weights that it leads to are no good.
    run = tiny.run(method, batch_size=80, learning_rate=3e38)
    with tiny.open_run(tmp_path) as directory:
        with pytest.raises(TrainingError, match=rf"^{method}, seed 0: .* not finite at step 1 "):
            run.run(directory)
        assert directory.rows() == []
    assert not list((tmp_path / "checkpoints").glob("[0-9]*"))


def test_a_run_that_diverges_keeps_the_checkpoint_before(tmp_path):
    calls = []
    run = tiny.run("original")
    healthy = run._first_phase

    def epoch(state, data, order, key, progress):
        if len(calls) == 10:  # the third epoch
            kernel = state.variables["params"]["classifier"]["kernel"]
            state.variables["params"]["classifier"]["kernel"] = kernel * np.inf
        return healthy.epoch(state, data, order, key, progress)

    run.__dict__["_first_phase"] = healthy._replace(epoch=epoch)
    with tiny.open_run(tmp_path) as directory:
        with pytest.raises(
            TrainingError,
            match=r"^original, seed 0: the loss is not finite at step 11 \(epoch 3\); try a lower "
            r"--learning-rate or --grad-clip 5; the checkpoint of epoch 2 is kept$",
        ):
            run.run(directory, Watcher(lambda: calls.append(None)))
        assert [row["epoch"] for row in directory.rows()] == [1, 2]
    run.__dict__["_first_phase"] = healthy
    with tiny.open_run(tmp_path) as directory:
        (resumed,) = run.run(directory)
    assert resumed.result.digest == outcomes(**ALONE)[0].result.digest


def test_theta_that_diverges_in_the_last_step_of_the_adaptation_stops_the_run(tmp_path):
    run = tiny.run()
    healthy = run._first_phase

    def epoch(*arguments):
        state, metrics = healthy.epoch(*arguments)
        return state._replace(theta=jnp.where(state.step == 10, jnp.nan, state.theta)), metrics

    run.__dict__["_first_phase"] = healthy._replace(epoch=epoch)
    with tiny.open_run(tmp_path) as directory:
        with pytest.raises(TrainingError, match=r"not finite at step 10 .*epoch 1 is kept"):
            run.run(directory)


def bad_base(name):
    """A base that is a genotype, but no network for the images or no space to adapt in."""
    node = Node(relu=True)
    dead = Cell("dead", 1, (node,), (Edge("null", 0, 1),), (1,))
    narrow = Cell("narrow", 1, (node,), (Edge("pad_shortcut", 0, 1),), (1,))
    depthwise = Cell("depthwise", 1, (node,), (Edge("depthwise_conv_3x3", 0, 1),), (1,))
    huge = Cell(
        "huge",
        1,
        (Node(expansion=10**19), node),
        (Edge("conv_1x1", 0, 1), Edge("conv_1x1", 1, 2)),
        (2,),
    )
    mixed = Cell(
        "mixed",
        1,
        (Node(strided=False), Node()),
        (Edge("conv_1x1", 0, 1), Edge("conv_1x1", 0, 2)),
        (1, 2),
    )
    cells = {cell.name: cell for cell in (dead, narrow, depthwise, huge, mixed)}
    return Genotype(name, "residual", 4, (cells[name],), (Block(name, 3, 2),))


@pytest.mark.parametrize("method", ["original", "cell", "full"])
@pytest.mark.parametrize("name", ["dead", "narrow", "depthwise", "huge", "mixed"])
def test_a_base_that_makes_no_network_is_refused_at_once(name, method):
    try:
        base = bad_base(name)
    except GenotypeError:
        return  # refused even earlier
    with pytest.raises(ConfigError, match=rf"^--base {name}: .*\[8, 8, 1\].*: \S.+") as caught:
        method_run(method, base, tiny.dataset(), tiny.settings()["training"], (0,))
    assert "\n" not in str(caught.value)


def test_a_base_with_a_bypassed_block_trains_but_cannot_adapt():
    cell = Cell("live", 2, (Node(),), (Edge("conv_1x1", 0, 2), Edge("conv_1x1", 1, 2)), (2,))
    dead = Cell("dead", 2, (Node(),), (Edge("null", 0, 2),), (2,))
    base = Genotype("bypass", "darts", 4, (cell, dead), (Block("dead", 4), Block("live", 4)))
    arguments = (base, tiny.dataset(), tiny.settings()["training"], (0,))
    method_run("original", *arguments)
    with pytest.raises(ConfigError, match=r"--base bypass: .* output of block 0"):
        method_run("cell", *arguments)


def test_settings_that_do_not_fit_the_data_are_refused_at_once():
    for changes, message in (
        ({"batch_size": 81}, "--batch-size 81 is more than the 80 training images"),
        ({"batch_size": 73, "arch_data": "holdout"}, "--batch-size 73 is more than the 72"),
        ({"holdout": 0.999, "arch_data": "holdout"}, "--batch-size 16 is more than the 0"),
        ({"cutout": 9}, "--cutout 9 is more than the side of the images, 8"),
        ({"auxiliary_weight": 0.4}, "--auxiliary-weight: tiny has no place for an auxiliary head"),
        ({"drop_path": 0.2}, "--drop-path is for cell networks; tiny is of the residual family"),
    ):
        with pytest.raises(ConfigError, match=message):
            tiny.run(**changes)
    # Without images held out, without cutting too much, all is well.
    tiny.run("original", batch_size=73, arch_data="holdout", cutout=8)
    with pytest.raises(
        ConfigError, match="a method is one of original, cell, full, block, random_cell, "
    ):
        tiny.run("darts")


def test_held_out_images_do_not_train_the_weights():
    """The first phase's weights see a fixed nine tenths, θ the rest; then all are seen."""
    run = tiny.run(arch_data="holdout")
    seen = [run._order(epoch) for epoch in range(4)]
    weights = [set(np.asarray(each["train"]).ravel().tolist()) for each in seen]
    arch = [set(np.asarray(each["arch"]).ravel().tolist()) for each in seen[:2]]
    assert all("arch" not in each for each in seen[2:])
    held_out = arch[0] | arch[1]
    assert len(held_out) == 8
    assert not held_out & (weights[0] | weights[1])
    assert weights[2] | weights[3] == set(range(80))
    for each in seen[:2]:
        assert each["arch"].shape == each["train"].shape == (4, 16)
        # All of the held-out images are used equally often.
        counts = np.bincount(np.asarray(each["arch"]).ravel(), minlength=80)
        assert set(counts.tolist()) == {0, 64 // 8}
    assert not np.array_equal(seen[0]["train"], seen[1]["train"])


def test_the_order_of_a_seed_is_its_own():
    both = tiny.run(seeds=(0, 1), arch_data="holdout")._order(1)
    for index, seed in enumerate((0, 1)):
        alone = tiny.run(seeds=(seed,), arch_data="holdout")._order(1)
        for part, indices in alone.items():
            assert np.array_equal(both[part][:, index], indices)
    assert not np.array_equal(both["train"][:, 0], both["train"][:, 1])


def test_a_run_too_short_for_batch_norm_s_statistics_says_so(monkeypatch):
    run = tiny.run("original", (0,), epochs=1)
    monkeypatch.setattr(type(run), "_outcomes", lambda *_: [])
    monkeypatch.setattr(type(run), "_begin", lambda _: Kept(1, None, {}))
    with pytest.warns(UserWarning, match=f"original: the {run.total_steps} steps of training leav"):
        run.run()
    assert run.total_steps < 29


def test_the_control_of_identities_is_the_base_with_every_null_edge_an_identity():
    (chosen,) = tiny.run("identities")._chosen
    null = Edge("null", 0, 1)
    edges = tuple(Edge("skip_connect", 0, 1) if edge == null else edge for edge in RED.edges)
    placed = [cell.edges for cell in chosen.genotype.placed_cells()]
    assert placed == [tiny.NORMAL.edges, edges]
    alone = dataclasses.replace(tiny.BASE, cells=(tiny.NORMAL,), blocks=tiny.BASE.blocks[:1])
    with pytest.raises(ConfigError, match="identities: tiny has no null edge that could become"):
        method_run("identities", alone, tiny.dataset(), tiny.settings()["training"], (0,))


def test_random_choices_may_cost_more_than_the_base_where_the_target_does():
    for seed in range(3):
        run = tiny.run("random_full", (seed,), target_cost=1.03)
        (chosen,) = run._chosen
        assert 1.0 <= run._costs.share(chosen.choices) <= 1.03


@pytest.mark.slow
def test_data_of_one_image_side_and_three_channels():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (32, 5, 7, 3), dtype=np.uint8)
    labels = np.arange(32) % 3
    dataset = data.from_arrays(images, labels, images[:7], labels[:7], name="odd")
    parts = tiny.settings(epochs=1, adapt_epochs=1, warmup_epochs=0, precision="bfloat16")
    run = method_run(
        "full", tiny.BASE, dataset, parts["training"], (0,), adaptation=parts["adaptation"]
    )
    (outcome,) = run.run()
    assert np.isfinite(outcome.result.test_loss)
    assert outcome.variables["params"]["classifier"]["kernel"].shape[1] == 3
    assert {leaf.dtype for leaf in jax.tree.leaves(outcome.variables)} == {jnp.dtype("float32")}

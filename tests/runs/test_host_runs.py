"""Runs whose images stay on the host: bitwise those whose images are on the device."""

import dataclasses

import numpy as np
import pytest

from jaxnas.runs.adaptation_run import method_run
from jaxnas.runs.config import ConfigError, Training
from jaxnas.runs.flags.self_supervision import SelfSupervision
from jaxnas.runs.search_run import SearchImages
from jaxnas.storage import RunDirectory
from support import tiny


def hosted(dataset, **augmentation):
    pytest.importorskip("grain")
    changed = dataclasses.replace(dataset.augmentation, **augmentation)
    return dataclasses.replace(dataset, host_workers=0, augmentation=changed)


def run_of(dataset, seeds=(0,), method="cell", **changes):
    parts = tiny.settings(**{"epochs": 3, **changes})
    fields = {"adaptation": parts["adaptation"]}
    return method_run(method, tiny.BASE, dataset, parts["training"], seeds, **fields)


def told(outcomes):
    return [(each.result.digest, each.result.test_loss) for each in outcomes]


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes",
    [
        {"method": "original", "epochs": 2, "adapt_epochs": 0, "cutout": 2},
        {"arch_data": "holdout"},
        {"seeds": (0, 3)},
        {"method": "original", "epochs": 3, "adapt_epochs": 0, "early_stopping": 1},
    ],
)
def test_a_run_is_bitwise_that_on_the_device(changes):
    dataset = tiny.dataset()
    on_device, on_host = (run_of(each, **changes) for each in (dataset, hosted(dataset)))
    assert told(on_device.run()) == told(on_host.run())


class Killed(BaseException):
    """Ends a run as nothing in it expects."""


@pytest.mark.slow
def test_a_run_with_random_crops_goes_on_bitwise_after_a_kill(tmp_path):
    crops = hosted(tiny.dataset(), pad=0, crop_area=0.3)
    changes = {"method": "original", "adapt_epochs": 0}
    expected = told(run_of(crops, **changes).run())
    assert expected != told(run_of(hosted(tiny.dataset()), **changes).run())
    steps = []

    class Watcher:
        def tell(self, line):
            pass

        say = on_epoch = tell

        def progress(self):
            steps.append(1)
            if len(steps) == 8:
                raise Killed

    with RunDirectory(tmp_path, {}) as folder, pytest.raises(Killed):
        run_of(crops, **changes).run(folder, Watcher())
    with RunDirectory(tmp_path, {}, resume=True) as folder:
        assert told(run_of(crops, **changes).run(folder)) == expected


@pytest.mark.slow
def test_a_wide_seed_crops_as_it_does_alone():
    crops = hosted(tiny.dataset(), pad=0, crop_area=0.3)
    changes = {"method": "original", "epochs": 2, "adapt_epochs": 0}
    wide = run_of(crops, (0, 3), **changes).run()
    alone = run_of(crops, (3,), **changes).run()
    assert wide[1].result.test_loss == pytest.approx(alone[0].result.test_loss, rel=1e-3)


def test_what_needs_all_images_is_refused():
    dataset = hosted(tiny.dataset())
    settings = Training(epochs=1, batch_size=16)
    learning = SelfSupervision(neighbours=5)
    with pytest.raises(ConfigError, match="--data-on host is for training with labels"):
        method_run("original", tiny.BASE, dataset, settings, (0,), supervision=learning)
    with pytest.raises(ConfigError, match="a search holds its images on the device"):
        SearchImages(dataset, 0.5, 0)


def test_the_test_images_are_judged_as_on_the_device():
    """Of more images than a batch of the test has, where the last one is filled up."""
    pytest.importorskip("grain")
    import jax
    import jax.numpy as jnp

    from jaxnas import training
    from jaxnas.data.host.stream import HostData
    from jaxnas.tasks import supervised

    images, labels = tiny.images(23, 1)
    labels = labels.astype(np.int32)
    half = np.full(1, 0.5, np.float32)
    task = supervised(4, half, half, tiny.dataset().augmentation)
    weights = jax.random.normal(jax.random.key(0), (64, 4))

    def apply(variables, inputs, gates, train):
        return inputs.reshape(len(inputs), -1) @ variables, None

    evaluate = training.evaluator(apply, task, batch_size=10)
    on_device = evaluate(weights, None, jnp.asarray(images), jnp.asarray(labels))
    on_host = evaluate(weights, None, HostData({"all": (images, labels)}), labels)
    for name, value in on_device.items():
        assert float(value) == float(on_host[name])

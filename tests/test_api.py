"""The one call of the first pages."""

import functools
import re
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxnas
from jaxnas import data, nn
from jaxnas.commands.inputs import load_data
from jaxnas.runs.config import ConfigError
from jaxnas.runs.flags.data import DataFlags
from jaxnas.spaces import Genotype, zoo
from support import networks
from support.tiny import BASE, FLAGS, dataset, images, run

README = Path(__file__).parent.parent / "README.md"
STARTING = README.parent / "docs" / "getting_started.md"
ARCHITECTURES = README.parent / "docs" / "architectures.md"


@pytest.mark.slow
def test_adapt_gives_the_network_that_it_measured():
    digits = dataset()
    adapted = jaxnas.adapt(BASE, digits, seed=3, **FLAGS)
    inputs = data.normalise(
        jnp.asarray(digits.test_images), digits.channel_mean(), digits.channel_std()
    )
    logits = jax.jit(functools.partial(adapted.network.apply, train=False))(
        adapted.variables, inputs
    )
    accuracy = 100 * float((np.asarray(logits).argmax(-1) == digits.test_labels).mean())
    assert accuracy == pytest.approx(adapted.metrics["test_accuracy"], abs=1e-3)
    assert Genotype.from_json(adapted.genotype.to_json()) == adapted.genotype
    assert adapted.class_names == ("0", "1", "2", "3")
    assert adapted.theta is not None
    assert adapted.theta.shape == (FLAGS["adapt_epochs"] + 1, 2, 3, 3)


@pytest.mark.slow
def test_adapt_starts_from_given_weights():
    network = nn.build(BASE, 7)
    given = nn.Imported(network, networks.random_variables(network, shape=(8, 8, 1)))
    asked = {"granularity": "full", "target_cost": 0.8, "head_epochs": 1} | FLAGS
    adapted = jaxnas.adapt(BASE, dataset(), weights=given, **asked)
    assert adapted.notes[0].startswith("Training starts from the given network (tiny): ")
    assert adapted.notes[1] == "The head is new: the weights have 7 classes, the data 4."
    assert adapted.metrics["macs"] <= 0.8 * nn.cost(nn.build(BASE, 4), (8, 8, 1)).macs
    assert adapted.mean == dataset().channel_mean()
    assert adapted.std == dataset().channel_std()


@pytest.mark.slow
def test_adapt_is_what_the_experiment_runs():
    (outcome,) = run(method="full", seeds=(1,)).run()
    x_train, y_train = images(80, 0)
    x_test, y_test = images(40, 1)
    arrays = (x_train, y_train, x_test, y_test)
    told = []
    adapted = jaxnas.adapt(BASE, arrays, granularity="full", seed=1, on_epoch=told.append, **FLAGS)
    assert adapted.metrics["digest"] == outcome.result.digest
    assert [row["epoch"] for row in told] == [1, 2, 3, 4]
    assert told[-1]["test_accuracy"] == adapted.metrics["test_accuracy"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"granularity": "original"}, "granularity is one of cell, full, block, not 'original'"),
        ({"base": "resnet21"}, "base=resnet21 is neither a network of the zoo"),
        ({"epochs": 0}, "epochs= must be above 0"),
        ({"head_epochs": 1}, "head_epochs= is for training from weights="),
        ({"weights": 3}, "weights are the path of a file or of a run's folder, or a network"),
        ({"epochs": 10**30}, f"epochs= must be at most 1,000,000, not {10**30}"),
        ({"epochs": "3"}, "epochs= must be a whole number, not '3'"),
        ({"batch_size": 50.5}, "batch_size= must be a whole number, not 50.5"),
        ({"optimizer": "adam"}, "optimizer= must be one of 'sgd', 'lars', 'adamw', not 'adam'"),
        ({"precision": "float16"}, "precision= must be one of 'float32', 'bfloat16', not"),
        ({"cost": "money"}, "cost= must be one of 'macs', 'params', 'latency', not 'money'"),
        ({"seed": 2**40}, f"a seed is a whole number from 0 to 2**32 - 1, not {2**40}"),
        ({"seed": 1.5}, "a seed is a whole number from 0 to 2**32 - 1, not 1.5"),
        (
            {"base": None},
            "a base is a name of the zoo, the path of a file, or a Genotype, not None",
        ),
    ],
)
def test_what_cannot_be_is_told_in_a_sentence(arguments, message):
    given = {"base": BASE, "dataset": dataset()} | arguments
    with pytest.raises(ConfigError, match=re.escape(message)):
        jaxnas.adapt(**given)


@pytest.mark.parametrize(
    ("given", "described"), [((1, 2), "a tuple of 2"), ({"x": 1}, "a dict"), (None, "a NoneType")]
)
def test_what_is_no_data_set_is_told_in_a_sentence(given, described):
    with pytest.raises(data.DataError, match=f"x_test, y_test; got {described}"):
        jaxnas.adapt(BASE, given)


def test_a_setting_that_does_not_exist_is_named():
    with pytest.raises(TypeError, match="no setting 'epoch'; did you mean epochs"):
        jaxnas.adapt(BASE, dataset(), epoch=3)
    with pytest.raises(TypeError, match="no setting 'granularty'; did you mean granularity"):
        jaxnas.adapt(BASE, dataset(), granularty="full")
    with pytest.raises(TypeError, match=r"'image_size' is a setting of jaxnas\.data\.load; give"):
        jaxnas.adapt(BASE, "photos", image_size=32)


def test_errors_of_python_name_parameters_and_those_of_commands_flags(tmp_path):
    with pytest.raises(data.DataError, match=r"^crop_share= is a share of image_size=: give"):
        data.load("digits", crop_share=0.5)
    with pytest.raises(data.DataError, match=r"^--crop-share is a share of --image-size: give"):
        load_data(DataFlags(dataset="digits", crop_share=0.5))
    with pytest.raises(data.DataError, match=r"^workers= read for on_host=True: give"):
        data.load("digits", workers=2)
    for name in ("a/0.png", "a/1.png", "b/0.png", "b/1.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"no image")
    with pytest.raises(data.DataError, match=r"or leave out all such files by skip_broken=True\.$"):
        data.load(tmp_path, test_share=0.5)
    with pytest.raises(data.DataError, match=r"or leave out all such files by --skip-broken\.$"):
        load_data(DataFlags(dataset=str(tmp_path), test_share=0.5))


def test_a_genotype_says_its_own_size():
    with pytest.raises(ConfigError, match="says its own channels and cells"):
        jaxnas.adapt(BASE, dataset(), channels=4)


def test_importing_jaxnas_does_not_import_jax():
    code = "import sys, jaxnas, jaxnas.spaces; assert not {'jax', 'flax'} & set(sys.modules)"
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)


def run_briefly(page, base):
    """Runs the page's call for one epoch of another network; returns the names it leaves."""
    (code,) = re.findall(r"```python\n([^`]*jaxnas\.adapt.*?)```", page.read_text(), re.DOTALL)
    names: dict = {"base": base}
    for printed, here in (("epochs=30", "epochs=1"), ('"resnet20_cells"', "base")):
        assert printed in code
        code = code.replace(printed, here)
    exec(compile(code, page.name, "exec"), names)
    return names


@pytest.mark.parametrize(
    "base", [zoo.resnet(8), pytest.param("resnet20_cells", marks=pytest.mark.slow)]
)
def test_the_first_pages_call_runs_as_printed(base):
    """But for one epoch, and every day for a smaller network, which compiles faster."""
    names = run_briefly(STARTING, base)
    assert names["logits"].shape == (8, 10)
    assert np.isfinite(names["logits"]).all()


@pytest.mark.slow
def test_the_readmes_call_runs_as_printed(capsys):
    assert run_briefly(README, "resnet20_cells")["adapted"].genotype.name in capsys.readouterr().out


def test_the_guides_code_builds_and_trains_a_network():
    code = re.findall(r"```python\n(import jax\n.*?)```", ARCHITECTURES.read_text(), re.DOTALL)[0]
    names: dict = {}
    small = code.replace("channels=16, cells=8", "channels=4, cells=3")
    exec(compile(small, "architectures.md", "exec"), names)
    assert names["logits"].shape == (4, 10)
    key, images = jax.random.key(1), jnp.zeros((4, 32, 32, 3))
    logits, auxiliary, _ = names["train_logits"](names["variables"], images, key)
    assert logits.shape == auxiliary.shape == (4, 10)

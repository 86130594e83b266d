"""A run of any kind that is resumed with data other than it began with."""

import json

import numpy as np
import pytest

from jaxnas.commands import child_experiment, comparison, experiment, search_experiment
from support import scripts, tiny

KINDS = {
    "proxyless_cifar": (experiment, "do_all"),
    "proxyless_ssl_cifar": (experiment, "do_all"),
    "darts_cifar": (search_experiment, "do_all"),
    "enas_cifar": (search_experiment, "do_all"),
    "nasnet_cifar": (child_experiment, "_search"),
    "compare_cifar": (comparison, "do_in_folders"),
}
"""Commands, and what they begin to compute with."""

FLAGS = {
    "proxyless_cifar": ["--base", "base.json"],
    "proxyless_ssl_cifar": ["--base", "base.json", "--methods", "original", "--neighbours", "9"],
    "darts_cifar": ["--search-batch-size", "8", "--cutout", "0"],
    "enas_cifar": ["--search-batch-size", "8"],
    "nasnet_cifar": ["--child.batch-size", "8", "--cutout", "0"],
    "compare_cifar": ["--base", "base.json", "--method", "original", "--seeds", "1"],
}


class Killed(BaseException):
    """Ends a run as nothing in it expects."""


def killed(*_):
    raise Killed


@pytest.mark.parametrize("kind", KINDS)
def test_a_killed_run_goes_on_with_its_data_alone(kind, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tiny.write(tmp_path))
    own = [*FLAGS[kind], "--dataset", "tiny.npz", "--epochs", "3", "--batch-size", "16"]
    own += ["--run-dir", "run"]

    def resume():
        with monkeypatch.context() as patch:
            patch.setattr(*KINDS[kind], killed)
            scripts.run(monkeypatch, kind, *own, "--resume")

    with pytest.raises(Killed):
        resume()
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert len(config["data_sha256"]) == 64
    with pytest.raises(Killed):
        resume()
    arrays = dict(np.load("tiny.npz"))
    two = arrays["y_train"] < 2
    arrays["y_train"][two] = 1 - arrays["y_train"][two]  # as if names of folders were exchanged
    np.savez("tiny.npz", **arrays)
    with pytest.raises(SystemExit) as caught:
        resume()
    assert "run holds a run that began with another data set: its images" in str(caught.value)

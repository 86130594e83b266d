"""The report of an experiment, from the files of a run."""

import json

import numpy as np
import pytest

from jaxnas.reports.experiment_report import write_experiment
from jaxnas.spaces import AdaptationSpace, zoo
from jaxnas.storage.directory import OUTCOME
from support.results import result

BASE = zoo.inverted_chain("chain", "k3e1c4s1 k3e6c4s1 k3e6c8s2 k3e6c8s1", stem=4, head=8)


@pytest.mark.parametrize("granularity", ["block", "full"])
def test_it_says_what_the_choices_are_of(tmp_path, granularity):
    space = AdaptationSpace(BASE, granularity)
    theta = np.tile(np.eye(3)[space.base_choices()], (2, 1, 1, 1))
    row = result(0, 50.0, granularity, genotype=BASE)
    config = {"methods": [granularity], "seeds": [0], "width": 1}
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "base.json").write_text(BASE.to_json())
    folder = tmp_path / f"{granularity}_seed0"
    folder.mkdir()
    outcome = {"result": row.to_record(), "theta": theta.tolist(), "notes": []}
    (folder / OUTCOME).write_text(json.dumps([outcome]))
    (folder / "metrics.jsonl").write_text(
        json.dumps({"epoch": 1, "seed": 0, "train_loss": 1.0}) + "\n"
    )
    write_experiment(tmp_path)
    text = (tmp_path / "report.md").read_text()
    assert ("The last operation of a block's branch chooses" in text) == (granularity == "block")
    assert ("Every edge of the network chooses" in text) == (granularity == "full")

"""What a command says of the data that it reads."""

import pytest

from jaxnas.commands import search_experiment
from jaxnas.commands.comparison import run_comparison
from jaxnas.commands.comparison_config import Comparison
from jaxnas.commands.experiment import run_experiment
from jaxnas.commands.inputs import load_data
from jaxnas.errors import UserError
from jaxnas.runs.config import Experiment, RunFlags, Training
from jaxnas.runs.flags.data import DataFlags
from jaxnas.runs.flags.pretrained import PretrainedFlags
from jaxnas.runs.search_config import SearchExperiment
from jaxnas.storage import RunDirectory


def test_a_command_prints_once_what_it_has_read(capsys):
    dataset = load_data(DataFlags(dataset="digits", train_limit=100))
    assert capsys.readouterr().out == f"{dataset.described}\n"
    assert dataset.described == (
        "digits: 100 training and 360 test images of 8x8 pixels in 1 channel, 10 classes "
        "(0, 1, 2, ..., 9)."
    )


class ReadData(Exception):
    """Ends a command where it reads its data."""


@pytest.fixture
def begin(tmp_path, monkeypatch):
    """Runs a command until it reads its data."""

    def read(*_):
        raise ReadData

    for module in ("inputs", "experiment", "comparison"):
        monkeypatch.setattr(f"jaxnas.commands.{module}.load_data", read)

    def begin(kind=Experiment, resume=True, epochs=3, weights=None):
        run = RunFlags(tmp_path / "run", resume=resume)
        if kind is Comparison:
            flags = Comparison(run=run, pretrained=PretrainedFlags(weights))
            return run_comparison(flags, {})
        if kind is SearchExperiment:
            flags = SearchExperiment(run=run, training=Training(epochs=epochs))
            return search_experiment.run_search(flags, "darts", lambda *_: None, {})
        pretrained = PretrainedFlags(weights)
        flags = Experiment(run=run, training=Training(epochs=epochs), pretrained=pretrained)
        return run_experiment(flags, "adapt")

    return begin


@pytest.mark.parametrize("kind", [Experiment, Comparison, SearchExperiment])
def test_what_needs_no_data_is_refused_before_they_are_read(tmp_path, begin, kind):
    with pytest.raises(ReadData):
        begin(kind)
    with RunDirectory(tmp_path / "run", {}):
        with pytest.raises(UserError, match="is in use by another run"):
            begin(kind)
    with pytest.raises(UserError, match="holds an earlier run"):
        begin(kind, resume=False)


def test_other_flags_of_a_resumed_run_and_missing_weights_are_refused_before_data(tmp_path, begin):
    recorded = Experiment(training=Training(epochs=3)).recorded() | {"base": "x", "width": 1}
    with RunDirectory(tmp_path / "run", recorded):
        pass
    with pytest.raises(ReadData):
        begin()
    with pytest.raises(UserError, match=r"configuration: training.epochs was 3 and is 4 \(--sched"):
        begin(epochs=4)
    (tmp_path / "weights.pth").touch()
    missing = tmp_path / "weigths.pth"
    for kind in (Experiment, Comparison):
        with pytest.raises(UserError, match=f"no file {missing}; did you mean .*/weights.pth"):
            begin(kind, weights=missing)


def test_a_run_that_is_not_there_to_be_resumed_is_told(tmp_path, begin, capsys):
    for name, config in (("runs", {"a": 1}), ("ruin", None)):
        if config:
            with RunDirectory(tmp_path / name, config):
                pass
        else:
            (tmp_path / name).mkdir()
    with pytest.raises(ReadData):
        begin()
    run = tmp_path / "run"
    told = f"{run} holds no run to go on with; it starts anew; did you mean {run}s?\n"
    assert capsys.readouterr().out == told

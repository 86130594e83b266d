"""Whoever trains the children, all outcomes come, each once, also where workers are killed."""

import functools
import itertools

import pytest

from jaxnas.runs.evaluators import MOST_DEATHS, InProcess, LocalProcesses
from jaxnas.runs.files import RunError

from .toy_children import SPACE, ToyTraining

CANDIDATES = [tuple(each) for each in itertools.islice(SPACE.enumerate(), 24)]


def outcomes(evaluator):
    with evaluator:
        return sorted(evaluator.evaluate(CANDIDATES, 3))


@pytest.fixture(scope="module")
def expected():
    return outcomes(InProcess(ToyTraining))


def test_processes_train_what_this_process_does(expected):
    assert [outcome.candidate for outcome in expected] == CANDIDATES
    assert outcomes(LocalProcesses(ToyTraining, 2)) == expected


def test_a_killed_workers_children_are_trained_again(tmp_path, expected):
    make = functools.partial(ToyTraining, str(tmp_path))
    assert outcomes(LocalProcesses(make, 2)) == expected
    assert (tmp_path / "died").exists(), "no worker died"


def test_a_child_that_always_kills_its_worker_stops_the_search(tmp_path):
    make = functools.partial(ToyTraining, str(tmp_path), always=True)
    with pytest.raises(RunError, match=f"died {MOST_DEATHS} times .* fewer --workers"):
        outcomes(LocalProcesses(make, 2))


def test_there_is_a_worker():
    with pytest.raises(ValueError, match="at least one worker, not 0"):
        LocalProcesses(ToyTraining, 0)

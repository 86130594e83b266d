"""The scripts of experiments/, run in this process."""

import runpy
import sys
from pathlib import Path

import pytest

EXPERIMENTS = Path(__file__).parents[2] / "experiments"


def run(monkeypatch, name, *arguments):
    """Runs a script as from the command line, and returns what it defines."""
    script = str(EXPERIMENTS / f"{name}.py")
    monkeypatch.setattr(sys, "argv", [script, *map(str, arguments)])
    return runpy.run_path(script, run_name="__main__")


def assert_refuses(monkeypatch, name, folder, arguments, message):
    """Asserts that a command ends with a line that holds the message, and leaves no run behind."""
    with pytest.raises(SystemExit) as caught:
        run(monkeypatch, name, "--run-dir", folder / "run", *arguments)
    assert caught.value.code == 2
    assert str(caught.value).startswith("error: ")
    assert message in str(caught.value)
    assert not (folder / "run").exists()

"""What `make` takes on other machines: made-up Pythons and drivers on a made-up PATH."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

FILES = [
    Path(__file__).parents[1] / name for name in ("Makefile", "pyproject.toml", "constraints.txt")
]
SHIM = "echo 'pyenv: command not found' >&2\nexit 127\n"


def _answering(version: str) -> str:
    """A Python of that version, as far as the Makefile asks."""
    return f"""case "$2" in *"!= '{version}'"*) ;; *">= (3, 11)"*) echo True;; *) exit 1;; esac\n"""


@pytest.fixture
def machine(tmp_path):
    """(programs, Pythons of pyenv) to what make says, its status and all that it would run."""
    tools = tmp_path / "bin"

    def write(path: Path, text: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("#!/bin/sh\n" + text)
        path.chmod(0o755)

    def make(programs: dict[str, str], pyenv: tuple[str, ...] = (), *arguments: str):
        tools.mkdir()
        for name in ("make", "awk"):
            found = shutil.which(name)
            assert found is not None
            (tools / name).symlink_to(found)
        for name, text in programs.items():
            write(tools / name, text)
        for version in pyenv:
            path = tmp_path / "pyenv/versions" / f"{version}.4" / "bin/python3"
            write(path, _answering(version))
        for file in FILES:
            shutil.copy(file, tmp_path)
        done = subprocess.run(
            ["make", *arguments, ".venv/bin/python"],
            cwd=tmp_path,
            env={"PATH": str(tools), "PYENV_ROOT": str(tmp_path / "pyenv"), "HOME": os.devnull},
            capture_output=True,
            text=True,
        )
        return done.returncode, done.stdout + done.stderr

    return make


def test_a_shim_that_stands_for_nothing_is_passed_over(machine):
    programs = {"python3.13": SHIM, "python3.12": SHIM, "python3.11": _answering("3.11")}
    status, said = machine(programs, ("3.13",), "-n")
    assert status == 0
    assert 'pyenv/versions/3.13.4/bin/python3" -m venv .venv' in said


@pytest.mark.parametrize(
    ("programs", "taken"),
    [
        ({"python3.11": "3.11", "python3.12": "3.12", "python3.13": "3.13"}, "python3.13"),
        ({"python3.11": "3.11", "python3.12": "3.12", "python3": "3.14"}, "python3.12"),
        ({"python3.14": "3.14", "python3": "3.11"}, "python3"),
    ],
)
def test_the_newest_supported_python_is_taken(machine, programs, taken):
    fakes = {name: _answering(version) for name, version in programs.items()}
    status, said = machine(fakes, (), "-n")
    assert status == 0
    assert f'"{taken}" -m venv .venv' in said


@pytest.mark.parametrize("programs", [{}, {"python3": "3.10"}, {"python3.14": "3.14"}])
def test_without_a_python_one_sentence_says_so(machine, programs):
    status, said = machine({name: _answering(version) for name, version in programs.items()})
    assert status != 0
    assert "Python 3.11, 3.12 or 3.13 with its venv module is needed" in said
    assert len(said.splitlines()) == 2  # the sentence, and make's own that the target failed


def test_a_python_that_does_not_answer_is_refused_by_name(machine):
    status, said = machine({"python3.13": SHIM}, (), "PYTHON=python3.13")
    assert status != 0
    assert "python3.13 does not answer or is older than Python 3.11" in said


def test_a_program_that_is_no_python_is_refused_by_name(machine):
    status, said = machine({"anything": "exit 0\n"}, (), "PYTHON=anything")
    assert status != 0
    assert "anything does not answer or is older than Python 3.11" in said


@pytest.mark.parametrize(
    ("driver", "extra"),
    [
        ("echo 580.65.06\necho 580.65.06\n", ".[cuda13]"),
        ("echo 575.57.08\n", ".[cuda12]"),
        ("echo 'NVIDIA-SMI has failed'\nexit 9\n", '-e "."'),
    ],
)
def test_the_cuda_build_is_that_of_the_driver(machine, driver, extra):
    programs = {"python3.13": _answering("3.13"), "nvidia-smi": driver}
    status, said = machine(programs, (), "-n", ".venv/.run")
    assert status == 0, said
    assert extra in said

"""The commands that the scripts show as examples: every one is understood."""

import ast
import re
import shlex

import pytest
import tyro

from jaxnas.storage.directory import RunDirectory
from support import scripts


def commands():
    """Of every script's docstring, as (name of the script, its arguments)."""
    found = []
    for path in sorted(scripts.EXPERIMENTS.glob("*.py")):
        text = ast.get_docstring(ast.parse(path.read_text())) or ""
        for line in re.sub(r"\\\n\s*", "", text).splitlines():
            if line.strip().startswith("python experiments/"):
                _, script, *arguments = shlex.split(line, comments=True)
                found.append((script.removeprefix("experiments/").removesuffix(".py"), arguments))
    return found


def show(command):
    """The command, as the name of its test."""
    return f"{command[0]} {shlex.join(command[1])}"


class Understood(BaseException):
    """Ends a script before it does anything."""


@pytest.fixture
def run(monkeypatch, tmp_path):
    """Runs a script in an empty folder, until it is understood."""
    monkeypatch.chdir(tmp_path)

    def run(name, arguments):
        with pytest.raises(Understood):
            scripts.run(monkeypatch, name, *arguments)

    return run


def test_every_script_has_an_example():
    assert {name for name, _ in commands()} == {
        path.stem for path in scripts.EXPERIMENTS.glob("*.py")
    }


@pytest.mark.parametrize("command", commands(), ids=show)
def test_flags_are_understood(run, monkeypatch, command):
    parse = tyro.cli

    def understand(*arguments, **options):
        found = parse(*arguments, **options)
        if options.get("return_unknown_args") and found[1]:
            return found  # which the script refuses
        raise Understood

    monkeypatch.setattr(tyro, "cli", understand)
    run(*command)


DIGITS = [command for command in commands() if "digits" in command[1]]


@pytest.mark.quick_cases(1)
@pytest.mark.parametrize("command", DIGITS, ids=show)
def test_digits_can_be_learned_as_shown(run, monkeypatch, command):
    """Up to where the run directory is made: all that is refused is refused before."""

    def understand(*_):
        raise Understood

    monkeypatch.setattr(RunDirectory, "__enter__", understand)
    run(*command)
    assert len(DIGITS) >= 3

import sys

import pytest

from jaxnas.cli import main


@pytest.fixture
def run(monkeypatch, capsys):
    """Runs a command in this process and returns what it printed."""

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["jaxnas", *map(str, words)])
        main()
        return capsys.readouterr().out

    return run


@pytest.fixture
def refused(monkeypatch, capsys):
    """Runs a command that must fail with one sentence, which is returned."""

    def refused(*words):
        monkeypatch.setattr(sys, "argv", ["jaxnas", *map(str, words)])
        with pytest.raises(SystemExit) as caught:
            main()
        sentence = str(caught.value)
        assert capsys.readouterr() == ("", f"{sentence}\n")
        assert caught.value.code == 2
        assert sentence.startswith("error: ")
        assert "\n" not in sentence
        return sentence.removeprefix("error: ")

    return refused

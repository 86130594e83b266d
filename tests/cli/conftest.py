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
        # Python prints such a code, and ends with status 1.
        sentence = str(caught.value.code)
        assert capsys.readouterr() == ("", "")
        assert sentence.startswith("error: ")
        assert "\n" not in sentence
        return sentence.removeprefix("error: ")

    return refused

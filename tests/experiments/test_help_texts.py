"""What --help says of every flag of every script and subcommand: a sentence that stands alone."""

import ast
import dataclasses
import inspect
import itertools
import textwrap
import typing

import pytest
import tyro

from jaxnas.cli import main as command_line
from support import scripts

SCRIPTS = sorted(path.stem for path in scripts.EXPERIMENTS.glob("*.py"))
OPENINGS = ("Of ", "As ", "By ", "So ", "Which")


class Read(BaseException):
    """Ends a program when its flags are known."""


@pytest.fixture
def texts(monkeypatch):
    """Help texts of the flags that a program reads, by name."""

    def texts(program):
        found = {}

        def read(kind, **options):
            # Now, while runpy's __main__ is the script.
            one = typing.get_origin(kind) in (None, typing.Annotated)
            for each in [kind] if one else typing.get_args(kind):
                found.update(help_texts(each))
            raise Read

        monkeypatch.setattr(tyro, "cli", read)
        with pytest.raises(Read):
            program()
        return found

    return texts


def help_texts(kind):
    """The text of each flag of a class by name, also of flags in groups."""
    kind = typing.get_args(kind)[0] if typing.get_args(kind) else kind
    types = typing.get_type_hints(kind)
    for field in dataclasses.fields(kind):
        if dataclasses.is_dataclass(types[field.name]):
            yield from help_texts(types[field.name])
        else:
            yield f"{kind.__name__}.{field.name}", help_text(kind, field.name)


def help_text(kind, name):
    """The text below a field of a class."""
    owner = next(each for each in kind.__mro__ if name in inspect.get_annotations(each))
    (tree,) = ast.parse(textwrap.dedent(inspect.getsource(owner))).body
    for node, text in itertools.pairwise(tree.body):
        if isinstance(node, ast.AnnAssign) and node.target.id == name:
            return inspect.cleandoc(ast.literal_eval(text.value))
    return ""


def stands_alone(text):
    """Whether it is a sentence, or several, that needs no other."""
    whole = text[:1].isupper() and text.endswith(".") and len(text.split()) >= 3
    return whole and not text.startswith(OPENINGS)


def assert_all_stand_alone(texts):
    assert texts
    assert {name: text for name, text in texts.items() if not stands_alone(text)} == {}


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_scripts_help_texts_are_sentences(texts, monkeypatch, name):
    assert_all_stand_alone(texts(lambda: scripts.run(monkeypatch, name)))


def test_the_subcommands_help_texts_are_sentences(texts):
    found = texts(command_line)
    assert_all_stand_alone(found)
    assert {name.split(".")[0] for name in found} > {"Zoo", "Show", "Count", "Convert", "Export"}

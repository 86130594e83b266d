"""Flags of the command line, read by tyro; what is wrong with them is told by their full names."""

from __future__ import annotations

import dataclasses
import functools
import re
import sys
import types
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple, Never, Union, get_args, get_origin, get_type_hints

import tyro
from tyro.constructors import (
    ConstructorRegistry,
    PrimitiveConstructorSpec,
    PrimitiveTypeInfo,
    StructConstructorSpec,
    StructTypeInfo,
)

from jaxnas import reading
from jaxnas.errors import UserError
from jaxnas.hints import alike
from jaxnas.runs.flags.checks import ConfigError


def parse_flags(flags: Any, **options: Any) -> Any:
    """The flags of the command line by `tyro.cli`, numbers read as those of files are.

    Args:
      flags: the dataclass of the flags, or a union of those of subcommands, which is for help.
      **options: of `tyro.cli`.

    Raises:
      ConfigError: of a word that is no flag.
      UserError: of what the flags cannot be, which names each as it is typed, such as
        ``--child.epochs``.
    """
    registry = ConstructorRegistry()
    registry.primitive_rule(_words)
    registry.struct_rule(_Handing())
    with registry:
        parsed, unknown = tyro.cli(flags, **options, return_unknown_args=True)
    if unknown:
        _refuse_unknown(unknown[0], flags, options.get("prog") or Path(sys.argv[0]).name)
    if isinstance(parsed, _Refused):
        omitted = tyro.conf.OmitArgPrefixes in getattr(flags, "__metadata__", ())
        raise type(parsed.error)(_renamed(parsed, omitted)) from parsed.error
    return parsed


def _refuse_unknown(word: str, flags: Any, program: str) -> Never:
    """Raises a ConfigError about a word of the command line, with the flags that are alike."""
    word = word.partition("=")[0]
    name = word.strip("-").replace("_", "-")
    known = list(_names(flags))
    last = name.rpartition(".")[2]
    near = [each for each in known if last in (_last(each), _initials(_last(each)))]
    hint = f"did you mean {', '.join(f'--{each}' for each in near)}?"
    if not near:
        hint = alike(word, [f"--{each}" for each in known], "", most=2, least=0.6)
    what = f"there is no flag {word}" if word.startswith("-") else f"{word!r} is of no flag"
    raise ConfigError(f"{what}; {hint}{' ' * bool(hint)}`{program} --help` lists the flags")


def _names(hint: Any, group: str = "", omitted: bool = False) -> Iterator[str]:
    """Flags of a dataclass, perhaps an annotated one, in full and without dashes."""
    kind, marks = _unmarked(hint)
    if not _is_ours(kind):
        return
    omitted = omitted or tyro.conf.OmitArgPrefixes in marks
    for name, field in get_type_hints(kind, include_extras=True).items():
        inner, its_marks = _unmarked(field)
        if _is_ours(inner):
            hidden = omitted or tyro.conf.OmitArgPrefixes in its_marks
            yield from _names(field, group if hidden else f"{group}{_word(name)}.", hidden)
        elif tyro.conf.Positional not in its_marks:
            yield f"{group}{_word(name)}"


def _unmarked(hint: Any) -> tuple[Any, tuple[Any, ...]]:
    """A type without its annotations, and these."""
    marks = getattr(hint, "__metadata__", ())
    return (get_args(hint)[0] if marks else hint), marks


def _last(flag: str) -> str:
    return flag.rpartition(".")[2]


def _initials(flag: str) -> str:
    return "".join(part[0] for part in flag.split("-"))


def _words(info: PrimitiveTypeInfo) -> PrimitiveConstructorSpec[Any] | None:
    """How numbers, choices, either or None, and tuples of them are read; None for all else."""
    kinds = get_args(info.type)
    if get_origin(info.type) is tuple and kinds[1:] == (...,):
        item = _Word.of(kinds[0])
        again = f"{item.metavar} " if item and len(item.metavar) < 32 else ""
        return item and PrimitiveConstructorSpec(
            nargs="*",
            metavar=f"[{item.metavar} [{again}...]]",
            instance_from_str=lambda words: tuple(map(item.read, words)),
            is_instance=lambda value: isinstance(value, tuple) and all(map(item.fits, value)),
            str_from_instance=lambda value: list(map(str, value)),
        )
    item = _Word.of(info.type)
    return item and PrimitiveConstructorSpec(
        nargs=1,
        metavar=item.metavar,
        instance_from_str=lambda words: item.read(words[0]),
        is_instance=item.fits,
        str_from_instance=lambda value: [str(value)],
    )


class _Word(NamedTuple):
    """One word of the command line.

    Attributes:
      metavar: what stands for it in help texts.
      read: the word to what it means; raises a ValueError that says what it must be.
      fits: whether a value is such a meaning.
    """

    metavar: str
    read: Callable[[str], Any]
    fits: Callable[[Any], bool]

    @classmethod
    def of(cls, kind: Any) -> _Word | None:
        """A number, one of some choices, or one of these or None; None for another type."""
        if kind in (int, float):
            return cls(
                kind.__name__.upper(),
                lambda word: reading.number(word, kind),
                lambda value: type(value) in (int, kind),
            )
        if get_origin(kind) is Literal:
            known = {str(each): each for each in get_args(kind)}
            return cls(
                f"{{{','.join(known)}}}",
                lambda word: known[word] if word in known else _refuse_other(word, known),
                lambda value: value in known.values(),
            )
        kinds = get_args(kind)
        if get_origin(kind) not in (Union, types.UnionType) or type(None) not in kinds:
            return None
        others = [each for each in kinds if each is not type(None)]
        word = cls.of(others[0]) if len(others) == 1 else None
        return word and cls(
            f"{{None}}|{word.metavar}".replace("}|{", ","),
            lambda text: None if text == "None" else word.read(text),
            lambda value: value is None or word.fits(value),
        )


def _refuse_other(word: str, known: Iterable[str]) -> Never:
    hint = alike(word, known, "", most=1)
    parts = word.split(",")
    if len(parts) > 1 and set(parts) <= set(known):
        hint = f"give several with spaces between, {' '.join(parts)}"
    raise ValueError(f"{word!r} is none of {', '.join(known)}{'; ' * bool(hint)}{hint}")


class _Refused(NamedTuple):
    """What stands in place of flags that cannot be.

    Attributes:
      error: says why.
      path: dataclasses and their fields that lead to the flags, outermost first.
      names: of the flags' fields.
    """

    error: UserError
    path: tuple[tuple[type, str], ...]
    names: frozenset[str]


class _Handing:
    """The rule of dataclasses, which hand up what they refuse: who has them knows their group."""

    def __init__(self) -> None:
        self._asking = False

    def __call__(self, info: StructTypeInfo) -> Any:
        if self._asking or not _is_ours(info.type):
            return None
        self._asking = True  # for what tyro itself makes of it
        try:
            spec = ConstructorRegistry.get_struct_spec(info)
        finally:
            self._asking = False
        if not isinstance(spec, StructConstructorSpec):
            return spec
        kind: Any = info.type
        names = frozenset(field.name for field in dataclasses.fields(kind))

        @functools.wraps(kind, updated=())
        def instantiate(**fields: Any) -> Any:
            for name, value in fields.items():
                if isinstance(value, _Refused):
                    return value._replace(path=((kind, name), *value.path))
            try:
                return spec.instantiate(**fields)
            except UserError as error:
                return _Refused(error, (), names)

        return dataclasses.replace(spec, instantiate=instantiate)


def _is_ours(kind: Any) -> bool:
    """Whether it is a dataclass, and none that tyro wraps a union of commands in."""
    return dataclasses.is_dataclass(kind) and kind.__module__.partition(".")[0] != "tyro"


def _renamed(refused: _Refused, omitted: bool) -> str:
    """What was refused, with the names of its group's flags, or bare names of fields, in full."""
    prefix = ""
    for kind, name in refused.path:
        hint = get_type_hints(kind, include_extras=True)[name]
        omitted = omitted or tyro.conf.OmitArgPrefixes in getattr(hint, "__metadata__", ())
        prefix += "" if omitted else f"{_word(name)}."
    flags = {_word(name): f"--{prefix}{_word(name)}" for name in refused.names}
    flags |= {name: flags[_word(name)] for name in refused.names if "_" in name}
    return re.sub(
        r"--([a-z][\w-]*)\b(?!\.\w)|\b([a-z]\w*_\w+)|^([a-z]+)(?= must )",
        lambda found: flags.get(next(filter(None, found.groups())), found[0]),
        str(refused.error),
    )


def _word(name: str) -> str:
    return name.replace("_", "-")

"""Whether the fields of a dataclass hold what their types say."""

from __future__ import annotations

import dataclasses
import numbers
import types
import typing
from typing import Any

_WORDS = {
    bool: "True or False",
    int: "a whole number",
    float: "a number",
    str: "text",
    type(None): "None",
    dict: "a dict",
}


def other_type(instance: Any) -> tuple[str, str, Any] | None:
    """The first field of another type: its name, what it must be, and what it is; else None."""
    hints = typing.get_type_hints(type(instance))
    for field in dataclasses.fields(instance):
        value = getattr(instance, field.name)
        if not _fits(value, hints[field.name]):
            return field.name, _described(hints[field.name]), value
    return None


def _fits(value: Any, hint: Any) -> bool:
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Literal:
        return any(type(value) is type(each) and value == each for each in inner)
    if origin in (typing.Union, types.UnionType):
        return any(_fits(value, each) for each in inner)
    if origin is dict:
        return isinstance(value, dict) and all(
            _fits(key, inner[0]) and _fits(each, inner[1]) for key, each in value.items()
        )
    if origin is not None or hint is Any or not isinstance(hint, type):
        return True  # said elsewhere
    if hint in (int, float):
        number = numbers.Integral if hint is int else numbers.Real
        return isinstance(value, number) and not isinstance(value, bool)
    return isinstance(value, hint)


def _described(hint: Any) -> str:
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Literal:
        return "one of " + ", ".join(map(repr, inner))
    if origin in (typing.Union, types.UnionType):
        return " or ".join(map(_described, inner))
    return _WORDS.get(origin or hint, getattr(hint, "__name__", str(hint)))

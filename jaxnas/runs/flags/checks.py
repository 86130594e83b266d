"""Checks of flags, and the error that names the flag."""

from __future__ import annotations

import math
from typing import Any

from jaxnas.errors import UserError
from jaxnas.field_types import other_type


class ConfigError(UserError, RuntimeError):
    """A setting that cannot be; the message names the flag."""


_MOST = 1_000_000
"""The largest whole number of a setting: an epoch costs some bytes before it begins."""


def flag(name: str) -> str:
    """The command-line flag of a field."""
    return "--" + name.replace("_", "-")


def refuse_wrong_fields(flags: Any) -> None:
    """Raises a ConfigError naming the first field of another type, not finite or too large."""
    if wrong := other_type(flags):
        raise ConfigError(f"{flag(wrong[0])} must be {wrong[1]}, not {wrong[2]!r}")
    for name, value in vars(flags).items():
        if isinstance(value, float) and not math.isfinite(value):
            raise ConfigError(f"{flag(name)} must be finite, not {value}")
        if isinstance(value, int) and value > _MOST:
            raise ConfigError(f"{flag(name)} must be at most {_MOST:,}, not {value}")


def refuse_zero(flags: Any, *names: str) -> None:
    """Raises a ConfigError that names the first of these fields that is not above 0."""
    for name in names:
        if not getattr(flags, name) > 0:
            raise ConfigError(f"{flag(name)} must be above 0, not {getattr(flags, name)}")


def refuse_negative(flags: Any, *names: str) -> None:
    """Raises a ConfigError that names the first of these fields that is below 0."""
    for name in names:
        if getattr(flags, name) < 0:
            raise ConfigError(f"{flag(name)} must not be negative, not {getattr(flags, name)}")


def refuse_below_one(flags: Any, *names: str) -> None:
    """Raises a ConfigError that names the first of these fields that is below 1."""
    for name in names:
        if getattr(flags, name) < 1:
            raise ConfigError(f"{flag(name)} must be at least 1, not {getattr(flags, name)}")

"""What a field's type says, of values that come from Python or a file."""

import dataclasses
from typing import Any, Literal

import numpy as np
import pytest

from jaxnas.field_types import other_type


@dataclasses.dataclass
class Fields:
    number: float = 1.0
    count: int | None = None
    kind: Literal["a", "b"] = "a"
    flag: bool = False
    scores: dict[str, float] = dataclasses.field(default_factory=dict)
    anything: Any = None


@pytest.mark.parametrize(
    "fitting",
    [{}, {"number": 3}, {"number": np.float32(2)}, {"count": np.int64(4)}, {"scores": {"a": 1}}],
)
def test_what_fits_passes(fitting):
    assert other_type(Fields(**fitting)) is None


@pytest.mark.parametrize(
    ("name", "value", "kind"),
    [
        ("number", "3", "a number"),
        ("number", True, "a number"),
        ("count", 1.5, "a whole number or None"),
        ("count", True, "a whole number or None"),
        ("kind", "c", "one of 'a', 'b'"),
        ("flag", "no", "True or False"),
        ("flag", 1, "True or False"),
        ("scores", {"a": "b"}, "a dict"),
        ("scores", [1], "a dict"),
    ],
)
def test_what_does_not_is_named(name, value, kind):
    assert other_type(Fields(**{name: value})) == (name, kind, value)

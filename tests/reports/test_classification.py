"""Numbers and picture of how well a network classifies."""

import numpy as np
import pytest

from jaxnas.errors import SettingsError
from jaxnas.reports.classification import classification

NAMES = tuple("abcdefg")
LOGITS = np.zeros((5, 7), np.float32)
LOGITS[0, 0] = 1  # a, told right
LOGITS[1, :6] = np.arange(6, 0, -1)  # a to f in this order: g, its class, is last
LOGITS[2, :6] = np.arange(6, 0, -1)  # likewise: e is the fifth
LOGITS[3, 1:3] = 1  # b and c alike, and c it is: the first counts as the likelier
LABELS = np.array([0, 6, 4, 2, 0])  # the last image says nothing: its first class, a, it is


def test_ranks_losses_and_classes_are_counted():
    judged = classification(LOGITS, LABELS, NAMES)
    assert judged.ranks.tolist() == [0, 6, 4, 1, 0]
    assert judged.accuracy() == pytest.approx(40)
    assert judged.accuracy(5) == pytest.approx(80)
    picked = LOGITS[range(5), LABELS] - np.log(np.exp(LOGITS.astype(float)).sum(1))
    assert judged.loss == pytest.approx(-picked.mean())
    rows = {row["name"]: row for row in judged.rows}
    assert rows["a"] == {
        "name": "a",
        "images": 2,
        "accuracy": 100.0,
        "precision": 50.0,
        "mostly_taken_for": None,
    }
    assert (rows["c"]["accuracy"], rows["c"]["mostly_taken_for"]) == (0, "b")
    assert (rows["d"]["accuracy"], rows["d"]["precision"]) == (None, None)
    assert judged.mean_class_accuracy == pytest.approx((100 + 0 + 0 + 0) / 4)
    assert judged.as_json()["top5_accuracy"] == pytest.approx(80)


def test_nonsense_is_refused():
    with pytest.raises(SettingsError, match="not one for each of 6 classes"):
        classification(LOGITS, LABELS, NAMES[:6])


@pytest.mark.parametrize("classes", [7, 45])
def test_the_picture_has_the_same_bytes_every_time(tmp_path, classes):
    draws = np.random.default_rng(0)
    names = tuple(f"${each}" for each in range(classes))
    labels = draws.integers(0, classes, 99)
    judged = classification(draws.normal(size=(99, classes)), labels, names)
    for name in ("one", "two"):
        judged.draw(tmp_path / name)
    for form in ("svg", "png"):
        assert (tmp_path / f"one.{form}").read_bytes() == (tmp_path / f"two.{form}").read_bytes()
    text = (tmp_path / "one.svg").read_text()
    assert ("$6" in text) == (classes == 7)  # more have no room for names

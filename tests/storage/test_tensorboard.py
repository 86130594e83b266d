"""Metrics for TensorBoard."""

import sys

import pytest

from jaxnas.errors import UserError
from jaxnas.runs.config import RunFlags
from jaxnas.storage.tensorboard import TensorBoard
from support.event_files import read_scalars


def test_the_numbers_of_a_row_are_scalars_of_its_epoch_and_seed(tmp_path):
    pytest.importorskip("tensorboardX", reason="needs jaxnas[dev]")
    for epoch in (1, 2):  # the second as after an interruption
        board = TensorBoard(tmp_path)
        for seed in (0, 3):
            row = {"epoch": epoch, "seed": seed, "phase": "fixed", "test_loss": 0.5 * seed + epoch}
            board.log(row | {"trained": 7, "best_accuracy": None})
        board.log({"epoch": epoch, "children": 4 * epoch})
        board.close()
    for seed in (0, 3):
        assert read_scalars(tmp_path / f"seed{seed}") == {
            ("test_loss", 1): 0.5 * seed + 1,
            ("test_loss", 2): 0.5 * seed + 2,
            ("trained", 1): 7,
            ("trained", 2): 7,
        }
    assert read_scalars(tmp_path / "search") == {("children", 1): 4, ("children", 2): 8}


def test_without_tensorboardx_one_sentence_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(UserError, match=r'pip install "jaxnas\[tensorboard\]"'):
        RunFlags(tensorboard=True)
    assert RunFlags().tensorboard is False

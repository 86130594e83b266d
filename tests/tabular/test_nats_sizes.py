"""The table of the size search space, from invented records in the form of the official ones."""

from pathlib import Path

import numpy as np
import pytest

from jaxnas.spaces import NATSSizeSpace
from jaxnas.tabular import TabularError, load_nats_sizes
from support.official_table import pack

SPACE = NATSSizeSpace(widths=(8, 16))
CANDIDATES = np.array(list(SPACE.enumerate()), np.int32)
LAST = {"01": 0, "12": 11, "90": 89}


def accuracy(code, last, place, seed):
    return code + last / 7 + place / 10 + seed / 1000


def record(code):
    """Of two seeds, in the order of the evaluations' names."""
    names = {
        "cifar10-valid": ["x-valid"],
        "cifar10": ["ori-test"],
        "cifar100": ["x-valid", "x-test"],
    }
    return {
        key: {
            "arch_str": SPACE.arch_string(CANDIDATES[code]),
            "all_results": {
                (training, seed): {
                    "eval_acc1es": {
                        f"{name}@{last}": np.float64(accuracy(code, last, place, seed))
                        for place, name in enumerate(evaluations)
                    }
                }
                for training, evaluations in names.items()
                for seed in (777, 888)
            },
        }
        for key, last in LAST.items()
    }


@pytest.fixture
def folder(tmp_path: Path):
    for code in range(SPACE.size):
        index = (7 * code + 3) % SPACE.size  # as the official order is another one
        (tmp_path / f"{index:06d}.pickle.pbz2").write_bytes(pack(record(code)))
    (tmp_path / "meta.pickle.pbz2").write_bytes(pack({}))
    return tmp_path


@pytest.mark.parametrize(
    ("dataset", "split", "place"),
    [("cifar10", "valid", 0), ("cifar10", "test", 0), ("cifar100", "test", 1)],
)
@pytest.mark.parametrize("epochs", [1, 12, 90])
def test_accuracies_are_in_the_order_of_codes(folder, dataset, split, place, epochs):
    found = load_nats_sizes(folder, dataset, split, epochs, SPACE)
    expected = [accuracy(code, epochs - 1, place, 832.5) for code in range(SPACE.size)]
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_what_is_no_table_is_told(folder):
    with pytest.raises(TabularError, match=r"has 32 of 32768 records NNNNNN\.pickle\.pbz2:"):
        load_nats_sizes(folder)
    with pytest.raises(TabularError, match="is no record of NATS-Bench's size search space"):
        load_nats_sizes(folder, "imagenet16_120", space=SPACE)
    (folder / "000003.pickle.pbz2").write_bytes(pack(record(1)))
    with pytest.raises(TabularError, match="has a network twice"):
        load_nats_sizes(folder, space=SPACE)

"""The table: what it tells of which architecture."""

import re
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnas import tabular
from jaxnas.spaces import NASBench201Space
from jaxnas.tabular import MeasuredTable, TabularError
from jaxnas.tabular.nasbench201 import arch_strings
from support import official_table

GUIDE = Path(__file__).parents[2] / "docs" / "tabular.md"
CODES = np.arange(15625)
SPACE = NASBench201Space()


def test_every_number_is_at_its_architectures_code(table: MeasuredTable):
    assert [table.index[code] for code in CODES] == [official_table.index(code) for code in CODES]
    column = 0
    for epochs in (200, 12):
        for dataset in tabular.DATASETS:
            for split in tabular.SPLITS:
                accuracy = table.accuracy(dataset, split, epochs)
                expected = [official_table.accuracy(code, column) for code in CODES.tolist()]
                assert accuracy.dtype == np.float32
                np.testing.assert_array_equal(accuracy, np.float32(expected))
                column += 1
    for dataset, head in zip(tabular.DATASETS, (0, 5850, 7150), strict=True):
        assert table.parameters(dataset).dtype == np.int32
        np.testing.assert_array_equal(table.parameters(dataset), 1000 + CODES + head)


def test_seconds_are_nan_where_unknown(table: MeasuredTable):
    fractions = {("cifar10", 12): 0.125, ("cifar10", 200): 0.25, ("imagenet16_120", 200): 0.5}
    for dataset in tabular.DATASETS:
        for epochs in tabular.EPOCHS:
            known = CODES + fractions.get((dataset, epochs), np.nan)
            expected = np.where(CODES % 5, np.nan, known)
            seconds = table.train_seconds(dataset, epochs)
            assert seconds.dtype == np.float32
            np.testing.assert_array_equal(seconds, np.float32(expected))


def test_codes_and_strings_are_the_spaces():
    for code in (0, 1, 3125, 9876, 15624):
        candidate = SPACE.from_arch_string(official_table.arch(official_table.candidates()[code]))
        assert SPACE.codes(candidate) == code
        assert SPACE.arch_string(candidate) == arch_strings()[code]


def test_codes_are_traced(table: MeasuredTable):
    accuracy = jnp.asarray(table.accuracy("cifar100", "test", 12))
    candidates = jax.random.randint(jax.random.key(0), (50, 6), 0, 5)
    found = jax.jit(jax.vmap(lambda each: accuracy[SPACE.codes(each)]))(candidates)
    expected = [
        official_table.accuracy(official_table.candidates().index(tuple(each)), 9)
        for each in candidates.tolist()
    ]
    np.testing.assert_array_equal(found, np.float32(expected))


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda t: t.accuracy("cifar", "test", 12), "^dataset must be cifar10, cifar100 or imagen"),
        (lambda t: t.accuracy("cifar10", "val", 12), "^split must be valid or test, not 'val'"),
        (lambda t: t.accuracy("cifar10", "test", 90), "^epochs must be 12 or 200, not 90"),
        (lambda t: t.parameters("svhn"), "^dataset must be .*, not 'svhn'"),
        (lambda t: t.train_seconds("cifar10", 1), "^epochs must be 12 or 200, not 1"),
    ],
)
def test_a_column_that_does_not_exist_is_told(table: MeasuredTable, ask, message: str):
    with pytest.raises(TabularError, match=message):
        ask(table)


def test_importing_the_tables_does_not_import_jax():
    code = "import sys, jaxnas.tabular; assert not {'jax', 'flax'} & set(sys.modules)"
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)


def test_the_guides_code_finds_the_best(
    csv_path: Path, table: MeasuredTable, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    (tmp_path / "nasbench201").symlink_to(csv_path.parent)
    monkeypatch.setenv("JAXNAS_DATA_DIR", str(tmp_path))
    (code,) = re.findall(r"```python\n(import jax\n.*?)```", GUIDE.read_text(), re.DOTALL)
    names: dict = {}
    exec(compile(code, "tabular.md", "exec"), names)
    drawn = SPACE.codes(np.asarray(names["candidates"]))
    best = drawn[table.accuracy("cifar10", "valid", 12)[drawn].argmax()]
    np.testing.assert_array_equal(names["best"], official_table.candidates()[best])

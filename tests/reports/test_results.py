import csv
import dataclasses
import math

import pytest

from jaxnas.reports import Result, read_results, results_table, summaries, write_results
from jaxnas.reports.experiment_report import notes
from jaxnas.reports.method_folder import Finished
from jaxnas.reports.results import results_section
from jaxnas.storage import RunError
from support.results import result

PUBLISHED = [result(seed, acc) for seed, acc in enumerate([91.74, 91.74, 91.65, 91.76, 91.39])]


def test_mean_and_sample_standard_deviation_of_five_seeds():
    (row,) = summaries(PUBLISHED)
    assert len(row.results) == 5
    assert row.accuracy.mean == pytest.approx(91.656, abs=1e-9)
    # Squared deviations by hand: 0.007056 twice, 0.000036, 0.010816, 0.070756; sum 0.09572.
    assert row.accuracy.std == pytest.approx(math.sqrt(0.09572 / 4), abs=1e-9)
    assert f"{row.accuracy:.2f}" == "91.66 ± 0.15"
    assert (row.mean("params"), row.mean("macs"), row.mean("seconds")) == (272_478, 40_551_424, 102)


def test_a_single_seed_has_no_standard_deviation():
    (row,) = summaries(PUBLISHED[:1])
    assert row.accuracy == (91.74, None)
    assert f"{row.accuracy:.2f}" == "91.74"


def test_a_mean_is_of_the_seeds_that_have_the_number():
    (row,) = summaries([PUBLISHED[0], result(1, 10.0, params=None)])
    assert row.mean("params") == PUBLISHED[0].params
    assert summaries([result(1, 10.0, params=None)])[0].mean("params") is None


def test_groups_are_method_base_and_dataset():
    rows = [
        result(0, 90.0),
        result(0, 80.0, method="base"),
        result(1, 92.0),
        result(0, 70.0, base="plain20"),
        result(0, 60.0, dataset="digits"),
    ]
    assert [(*row[:3], len(row.results), row.accuracy.mean) for row in summaries(rows)] == [
        ("adaptation", "resnet20", "cifar10", 2, 91.0),
        ("base", "resnet20", "cifar10", 1, 80.0),
        ("adaptation", "plain20", "cifar10", 1, 70.0),
        ("adaptation", "resnet20", "digits", 1, 60.0),
    ]


def test_results_round_trip(tmp_path):
    probed = result(8, 50.0, scores={"feature_std": 0.5, "knn_accuracy": 40.0})
    searched = result(7, 100 / 3, vmap_width=8, search_seconds=20.0)
    rows = [*PUBLISHED, searched, probed]
    write_results(tmp_path, rows)
    assert read_results(tmp_path) == rows
    with open(tmp_path / "results.csv", newline="") as file:
        table = list(csv.DictReader(file))
    fields = [field.name for field in dataclasses.fields(Result)]
    own = [name for name in fields if name not in ("genotype", "scores")]
    assert list(table[0]) == [*own, "accelerator_seconds", "knn_accuracy", "feature_std"]
    assert [row["knn_accuracy"] for row in table] == [""] * 6 + ["40.0"]
    assert float(table[5]["test_accuracy"]) == 100 / 3
    # 20 of search, 107 of eight seeds side by side.
    assert table[5]["accelerator_seconds"] == "33.375"
    assert [row["seed"] for row in table] == ["0", "1", "2", "3", "4", "7", "8"]


def test_results_that_cannot_be_read_or_written_are_named(tmp_path):
    with pytest.raises(RunError, match=r"there is no .*results\.json"):
        read_results(tmp_path)
    with pytest.raises(RunError, match=r"results.json: \[0\].test_accuracy = nan has no JSON form"):
        write_results(tmp_path, [result(0, math.nan)])
    assert not list(tmp_path.iterdir())
    write_results(tmp_path, PUBLISHED)
    path = tmp_path / "results.json"
    text = path.read_text()
    path.write_text(text.replace('"macs"', '"flops"', 1))
    with pytest.raises(RunError, match="row 0: missing or unknown fields flops, macs"):
        read_results(tmp_path)
    path.write_text(text[:200])
    with pytest.raises(RunError, match=r"results\.json is damaged"):
        read_results(tmp_path)
    path.write_text("{}")
    with pytest.raises(RunError, match="holds no list of results"):
        read_results(tmp_path)


def test_markdown_table():
    rows = [result(0, 90.0), result(1, 91.0), result(0, 88.5, method="base")]
    assert results_table(rows).markdown().splitlines()[:6] == [
        "| method | seed | test accuracy % | parameters | multiply-adds | seconds | digest |",
        "| --- | ---: | ---: | ---: | ---: | ---: | --- |",
        "| adaptation | 0 | 90.00 | 272,474 | 40,551,424 | 100.0 | 000000000000 |",
        "| adaptation | 1 | 91.00 | 272,476 | 40,551,424 | 101.0 | 111111111111 |",
        "| base | 0 | 88.50 | 272,474 | 40,551,424 | 100.0 | 000000000000 |",
        "| **adaptation, mean of 2** |  | **90.50 ± 0.71** | **272,475** | **40,551,424** "
        "| **100.5** |  |",
    ]


SCORES = {
    "knn_accuracy": 38.33,
    "ridge_accuracy": 42.76,
    "untrained_knn_accuracy": 28.66,
    "untrained_ridge_accuracy": 31.69,
    "feature_rank": 16.44,
    "feature_std": 0.36,
}
WITHOUT_LABELS = [result(seed, 43.39 + seed, scores=SCORES) for seed in range(3)]


def test_accuracy_without_labels_is_called_a_linear_probes():
    assert "| linear probe % |" in results_table(WITHOUT_LABELS).markdown()
    mixed = [*WITHOUT_LABELS, *PUBLISHED]
    stopped = [result(0, 90.0, scores={"validation_accuracy": 88.0})]
    for rows in (PUBLISHED, mixed, stopped):
        assert "| test accuracy % |" in results_table(rows).markdown()


def test_a_section_of_results_tells_differences_to_the_original_where_there_are_seeds():
    seeds = (0, 1, 2)
    adapted = [result(seed, 91.0 + seed) for seed in seeds]
    original = [result(seed, 89.0 + seed, "original") for seed in seeds]
    table, _, listed = results_section([*original, *adapted]).blocks
    assert table == results_table([*original, *adapted])
    assert (
        listed == "- test accuracy, adaptation less original: +2.00 [+2.00, +2.00] higher (n = 3)"
    )
    assert len(results_section(adapted).blocks) == len(results_section(original[:1]).blocks) == 1


@pytest.mark.parametrize(
    ("seeds", "said"), [((0,), "from one seed a difference is no evidence"), ((0, 1), "intervals")]
)
def test_notes_say_what_to_compare_without_labels_where_there_are_methods(seeds, said):
    def finished(*methods, **changes):
        return [
            Finished(result(seed, 50.0, method, **changes), [], None, [f"Of seed {seed}."])
            for method in methods
            for seed in seeds
        ]

    own = [f"Of seed {seed}." for seed in seeds]
    assert notes(finished("original", scores=SCORES)) == own
    assert notes(finished("original", "cell")) == own * 2
    *others, last = notes(finished("original", "cell", scores=SCORES))
    assert others == own * 2
    assert last.startswith("Compare methods by linear probe, kNN and ridge accuracy")
    assert said in last

import csv
import dataclasses
import io
import math

import pytest
import rich.console

from jaxnas.reports import (
    Result,
    markdown_table,
    print_results,
    read_results,
    summary,
    write_report,
    write_results,
)
from jaxnas.reports.finished import Finished, notes
from jaxnas.storage import RunDirectory, RunError
from support.results import result

PUBLISHED = [result(seed, acc) for seed, acc in enumerate([91.74, 91.74, 91.65, 91.76, 91.39])]


def test_mean_and_sample_standard_deviation_of_five_seeds():
    (row,) = summary(PUBLISHED)
    assert row.n == 5
    assert row.mean == pytest.approx(91.656, abs=1e-9)
    # Squared deviations by hand: 0.007056 twice, 0.000036, 0.010816, 0.070756; sum 0.09572.
    assert row.std == pytest.approx(math.sqrt(0.09572 / 4), abs=1e-9)
    assert row.accuracy == "91.66 ± 0.15"
    assert (row.params, row.macs, row.seconds) == (272_478.0, 40_551_424.0, 102.0)


def test_a_single_seed_has_no_standard_deviation():
    (row,) = summary(PUBLISHED[:1])
    assert row.std is None
    assert row.accuracy == "91.74"


def test_groups_are_method_base_and_dataset():
    rows = [
        result(0, 90.0),
        result(0, 80.0, method="base"),
        result(1, 92.0),
        result(0, 70.0, base="plain20"),
        result(0, 60.0, dataset="digits"),
    ]
    assert [(r.method, r.base, r.dataset, r.n, r.mean) for r in summary(rows)] == [
        ("adaptation", "resnet20", "cifar10", 2, 91.0),
        ("base", "resnet20", "cifar10", 1, 80.0),
        ("adaptation", "plain20", "cifar10", 1, 70.0),
        ("adaptation", "resnet20", "digits", 1, 60.0),
    ]


def test_results_round_trip(tmp_path):
    probed = result(8, 50.0, scores={"feature_std": 0.5, "knn_accuracy": 40.0})
    rows = [*PUBLISHED, result(7, 100 / 3, vmap_width=8), probed]
    write_results(tmp_path, rows)
    assert read_results(tmp_path) == rows
    with open(tmp_path / "results.csv", newline="") as file:
        table = list(csv.DictReader(file))
    fields = [field.name for field in dataclasses.fields(Result)]
    own = [name for name in fields if name not in ("genotype", "scores")]
    assert list(table[0]) == [*own, "knn_accuracy", "feature_std"]
    assert [row["knn_accuracy"] for row in table] == [""] * 6 + ["40.0"]
    assert float(table[5]["test_accuracy"]) == 100 / 3
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
    assert markdown_table(rows).splitlines() == [
        "| method | seed | test accuracy % | parameters | multiply-adds | seconds | digest |",
        "| --- | ---: | ---: | ---: | ---: | ---: | --- |",
        "| adaptation | 0 | 90.00 | 272,474 | 40,551,424 | 100.0 | 000000000000 |",
        "| adaptation | 1 | 91.00 | 272,476 | 40,551,424 | 101.0 | 111111111111 |",
        "| base | 0 | 88.50 | 272,474 | 40,551,424 | 100.0 | 000000000000 |",
        "| **adaptation, mean of 2** |  | **90.50 ± 0.71** | **272,475** | **40,551,424** "
        "| **100.5** |  |",
    ]


def printed(rows, width, terminal=True):
    """What is printed of the rows, as lines."""
    console = rich.console.Console(
        width=width, force_terminal=terminal, color_system=None, file=io.StringIO()
    )
    print_results(console, rows)
    return console.file.getvalue().splitlines()


def test_the_terminal_shows_the_same_numbers():
    text = "\n".join(
        printed(PUBLISHED, 120) + printed([result(0, 90.0), result(0, 80.0, base="plain20")], 120)
    )
    assert "resnet20 on cifar10" in text
    assert "91.66 ± 0.15" in text
    assert "91.39" in text
    assert "4" * 12 in text
    assert "4" * 13 not in text
    assert "adaptation, plain20, cifar10" in text
    assert "no room" not in text


SCORES = {
    "knn_accuracy": 38.33,
    "ridge_accuracy": 42.76,
    "untrained_knn_accuracy": 28.66,
    "untrained_ridge_accuracy": 31.69,
    "feature_rank": 16.44,
    "feature_std": 0.36,
}
WITHOUT_LABELS = [result(seed, 43.39 + seed, scores=SCORES) for seed in range(3)]


@pytest.mark.parametrize("width", [60, 80, 100, 120, 140])
def test_a_narrow_terminal_leaves_out_columns_and_breaks_no_number(width):
    lines = printed(WITHOUT_LABELS, width)
    assert max(map(len, lines)) <= width
    text = "\n".join(lines)
    assert "44.39 ± 1.00" in text
    assert ("38.33 ± 0.00" in text) or width < 80
    assert "40,551,424" not in text
    left_out = " ".join(text.split("no room for")[1].split())
    assert left_out.endswith("parameters, multiply-adds, seconds, digest")
    assert ("feature std" in left_out) == (width < 140)


def test_a_pipe_gets_the_whole_table_whatever_its_width():
    lines = printed(WITHOUT_LABELS, 80, terminal=False)
    (header,) = [line for line in lines if "digest" in line]
    for name in ("linear probe %", "untrained ridge accuracy %", "feature std", "multiply-adds"):
        assert name in header
    (mean,) = [line for line in lines if "mean of 3" in line]
    assert "40,551,424" in mean
    assert "no room" not in "".join(lines)


def test_accuracy_without_labels_is_called_a_linear_probes():
    assert "| linear probe % |" in markdown_table(WITHOUT_LABELS)
    mixed = [*WITHOUT_LABELS, *PUBLISHED]
    for rows in (PUBLISHED, mixed):
        assert "| test accuracy % |" in markdown_table(rows)


@pytest.mark.parametrize(
    ("seeds", "said"), [((0,), "from one seed a difference is no evidence"), ((0, 1), "intervals")]
)
def test_notes_say_what_to_compare_without_labels_where_there_are_methods(seeds, said):
    def finished(*methods, **changes):
        return [
            Finished("", result(seed, 50.0, method, **changes), [], None, [f"Of seed {seed}."])
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


def test_report_tells_the_run(tmp_path):
    with RunDirectory(tmp_path, {"lr": 0.1, "optimizer": {"momentum": 0.9}}):
        (tmp_path / "curves.svg").write_text("<svg/>")
        write_report(
            tmp_path,
            title="Adapting ResNet-20",
            command="python run.py --seeds 5",
            rows=PUBLISHED,
            pictures=[("Learning curves", "curves.svg", "A line for each.")],
            notes=["The data are those of the wheel."],
        )
        text = (tmp_path / "report.md").read_text()
        assert text.startswith("# Adapting ResNet-20\n\n```\npython run.py --seeds 5\n```\n")
        assert markdown_table(PUBLISHED) in text
        assert "![Learning curves](curves.svg)\n\nA line for each." in text
        assert "## Notes\n\nThe data are those of the wheel.\n" in text
        assert "- optimizer.momentum: `0.9`" in text
        assert "- versions.jax: `" in text
        with pytest.raises(RunError, match=r"there is no picture .*theta\.svg"):
            write_report(
                tmp_path, title="", command="", rows=[], pictures=[("θ", "theta.svg", "")], notes=[]
            )
        assert (tmp_path / "report.md").read_text() == text

"""Methods side by side: what runs, what is kept, and what the table says."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from jaxnas.commands import comparison
from jaxnas.commands.comparison import run_comparison
from jaxnas.commands.comparison_config import Comparison
from jaxnas.commands.search_experiment import SearchMethod
from jaxnas.jobs.job import Watcher
from jaxnas.reports import read_results
from jaxnas.reports.comparison_report import compare, comparison_table, write_comparison
from jaxnas.reports.results import ORIGINAL
from jaxnas.runs.config import ConfigError, RunFlags
from jaxnas.runs.flags.data import DataFlags
from jaxnas.runs.flags.pretrained import PretrainedFlags
from jaxnas.runs.training_run import TrainingRun
from jaxnas.search.shared.supernet import Found
from jaxnas.spaces import Genotype, zoo
from jaxnas.spaces.cells import CellSpace
from jaxnas.storage.directory import InUseError, RunDirectory
from jaxnas.storage.files import RunError
from support import tiny, toy_search
from support.results import result


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """A network of cells, one of residual blocks, and the tiny data, as files."""
    folder = tiny.write(tmp_path_factory.mktemp("inputs"))
    space = CellSpace(("null", "skip_connect", "conv_3x3"), 4, 3, nodes=2)
    edges = [
        ("null", 0, 2),
        ("conv_3x3", 1, 2),
        ("skip_connect", 2, 3),
        ("skip_connect", 1, 3),
    ]
    cells = space.genotype("cells", edges, edges, outputs=((3,), (3,)))
    (folder / "cells.json").write_text(cells.to_json())
    return folder


def flags(inputs, folder, **changes):
    fields = {
        "base": (str(inputs / "base.json"),),
        "method": ("original",),
        "seeds": 1,
        "data": tiny.taken(DataFlags, changes, dataset=str(inputs / "tiny.npz")),
        "run": tiny.taken(RunFlags, changes, run_dir=folder),
        "epochs": 1,
        "batch_size": 16,
    }
    return Comparison(**(fields | changes))


def stand_in(monkeypatch, genotype):
    """NAT's search replaced by one that costs nothing and answers `genotype`."""
    found = Found(genotype, ("A note.",))
    search = toy_search.search()._replace(found=lambda state, data, key: found)
    monkeypatch.setattr(
        comparison, "make_nat", lambda *_: SearchMethod(search, lambda key: genotype)
    )


def test_every_method_runs_once_and_random_stands_beside(inputs, tmp_path, monkeypatch):
    base = inputs / "cells.json"
    small = {"nat_epochs": 1, "nat_channels": 2, "nat_cells": 3, "base": (str(base),)}
    method = ("original", "nat")
    with pytest.raises(ConfigError, match="more than the 32 images"):
        run_comparison(flags(inputs, tmp_path / "run", method=method, **small), {})
    assert not (tmp_path / "run").exists()
    stand_in(monkeypatch, Genotype.from_json(base.read_text()))
    x, y = tiny.images(192, 0)  # NAT's batches are of 64, of 40% of the images
    x_test, y_test = tiny.images(40, 1)
    np.savez(tmp_path / "more.npz", x_train=x, y_train=y, x_test=x_test, y_test=y_test)
    small |= {"dataset": str(tmp_path / "more.npz")}
    first = flags(inputs, tmp_path / "run", method=method, **small)
    report = run_comparison(first, {("cells", "nat"): "91.97 ± 5.10"})
    entries = json.loads((tmp_path / "run" / "results.json").read_text())
    assert [each["method"] for each in entries] == [*method, "random_cell"]
    original, nat = entries[:2]
    assert nat["search_seconds"] > 0
    assert nat["seconds"] > 0
    # What NAT answers is trained as the base is: here they are the same.
    assert nat["digest"] == original["digest"]
    assert nat["test_accuracy"] == original["test_accuracy"]
    text = report.read_text()
    assert "| 91.97 ± 5.10 |" in text
    assert "- cells, nat, seed 0: A note." in text
    assert "budget)" not in text  # whose epochs are not these
    assert "no interval" in text
    assert (tmp_path / "run" / "comparison.svg").exists()

    # Again with one seed more: what is done is not done again.
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "run").glob("*/*/outcome.json")}
    assert len(kept) == 3
    more = tiny.with_run(dataclasses.replace(first, seeds=2, method=("original",)), resume=True)
    run_comparison(more, {})
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    again = json.loads((tmp_path / "run" / "results.json").read_text())
    assert [(each["method"], each["seed"]) for each in again] == [("original", 0), ("original", 1)]
    assert again[0] == entries[0]


def test_a_dead_answer_is_chance_and_is_not_trained(inputs, tmp_path, monkeypatch):
    base = Genotype.from_json((inputs / "cells.json").read_text())
    dead = [dataclasses.replace(cell, edges=()) for cell in base.cells]
    stand_in(monkeypatch, dataclasses.replace(base, cells=tuple(dead)))
    run = {"method": ("nat",), "base": (str(inputs / "cells.json"),), "seeds": 1}
    comparing = comparison._Comparing(flags(inputs, tmp_path, **run), [base], tiny.dataset(192))
    nat = comparing.cells()[0][0]
    comparing.run(nat, tmp_path, Watcher())
    (entry,) = json.loads((tmp_path / nat.name / "outcome.json").read_text())
    assert entry["result"]["test_accuracy"] == 25.0
    assert entry["result"]["params"] is None
    assert entry["notes"] == ["A note."]
    assert not (tmp_path / nat.name / "nat_seed0").exists()


@pytest.mark.slow
def test_what_another_process_holds_is_left_to_it(inputs, tmp_path, capsys):
    run = tmp_path / "run"
    both = flags(inputs, run, seeds=2)
    held = run / "tiny" / "original_seed0"
    run_comparison(dataclasses.replace(both, seeds=1), {})
    (held / "outcome.json").unlink()
    config = json.loads((held / "config.json").read_text())
    del config["environment"]
    with RunDirectory(held, config, resume=True):
        report = run_comparison(tiny.with_run(both, resume=True), {})
        with pytest.raises(InUseError, match="in use by another run"):
            run_comparison(tiny.with_run(both, overwrite=True), {})
    assert "1 runs are in the hands of other processes" in " ".join(capsys.readouterr().out.split())
    assert "tiny/original_seed0: not done." in report.read_text()
    run_comparison(tiny.with_run(both, resume=True), {})
    assert "not done" not in report.read_text()
    assert len(json.loads((run / "results.json").read_text())) == 2


@pytest.mark.slow  # an adaptation and a random network are compiled
def test_a_damaged_cell_is_named_and_made_anew(inputs, tmp_path, monkeypatch):
    adapted = flags(inputs, tmp_path, method=("adapt_full",))
    run_comparison(adapted, {})
    entries = json.loads((tmp_path / "results.json").read_text())
    assert [each["method"] for each in entries] == ["adapt_full", "random_full"]
    assert all(each["params"] < 2000 for each in entries)
    assert (tmp_path / "report.md").read_text().count("of 2 blocks and their 5 edges, ") == 2
    damaged = tmp_path / "tiny" / "adapt_full_seed0" / "outcome.json"
    resumed = tiny.with_run(adapted, resume=True)
    for text in ("[{}]", "[{"):
        damaged.write_text(text)
        with pytest.raises(RunError, match=r"outcome.json is damaged.* delete that file, and"):
            run_comparison(resumed, {})
    # As advised, and nothing trains again.
    damaged.unlink()
    monkeypatch.setattr(TrainingRun, "run", None)
    run_comparison(resumed, {})
    assert json.loads((tmp_path / "results.json").read_text()) == entries


def test_networks_of_one_name_are_told_apart(inputs, tmp_path):
    text = (inputs / "base.json").read_text()
    other = text.replace("conv_1x1", "conv_3x3")
    assert other != text
    for name, content in (("twin", text), ("other", other)):
        (tmp_path / f"{name}.json").write_text(content)
    run = tmp_path / "run"
    for name, kind in (("twin", "the same network"), ("other", "different networks")):
        both = flags(inputs, run, base=(str(inputs / "base.json"), str(tmp_path / f"{name}.json")))
        with pytest.raises(ConfigError, match=rf"base.json and .*{name}.json are {kind} by the na"):
            run_comparison(both, {})
    assert not run.exists()
    # What another network of the name came to is not taken for this one's.
    first = flags(inputs, run, resume=True)
    run_comparison(first, {})
    with pytest.raises(RunError, match="holds runs of another network by the name of 'tiny'"):
        run_comparison(dataclasses.replace(first, base=(str(tmp_path / "other.json"),)), {})
    run_comparison(dataclasses.replace(first, base=(str(tmp_path / "twin.json"),)), {})
    config = run / "tiny" / "original_seed0" / "config.json"
    config.write_text("{")
    with pytest.raises(RunError, match=r"config.json is damaged.* delete .*original_seed0, and"):
        run_comparison(first, {})


@pytest.mark.parametrize(
    ("method", "rows"),
    [
        (("original",), ["original"]),
        (("adapt_cell",), ["adapt_cell", "random_cell"]),
        (("adapt_full", "original"), ["original", "adapt_full", "random_full"]),
        (("nat_faithful", "random"), ["nat_faithful", "random_cell"]),
        (("random",), ["random_cell", "random_full"]),
        (("original", "random"), ["original", "random_cell", "random_full"]),
        (
            ("adapt_full", "nat", "adapt_cell"),
            ["nat", "adapt_cell", "adapt_full", "random_cell", "random_full"],
        ),
    ],
)
def test_random_stands_beside_every_search(method, rows):
    assert list(Comparison(method=method).methods) == rows


def test_what_a_base_cannot_have_is_said():
    base = zoo.named("proxyless_mobile")
    comparing = comparison._Comparing(Comparison(base=(base.name,)), [base], tiny.dataset())
    cells, reasons = comparing.cells()
    assert {cell.method for cell in cells} == {"original", "adapt_full", "random_full"}
    assert any("nat: NAT transforms cells" in reason for reason in reasons)
    assert any("adapt_cell: every block has a cell of its own" in reason for reason in reasons)
    # By cell is the same as in full, and is left out only where the other is there.
    alone = Comparison(base=(base.name,), method=("original", "adapt_cell", "random"))
    cells, reasons = comparison._Comparing(alone, [base], tiny.dataset()).cells()
    assert {cell.method for cell in cells} == {"original", "adapt_cell", "random_cell"}
    assert not reasons


def test_what_is_left_out_is_told_before_training(inputs, tmp_path, monkeypatch, capsys):
    class Training(Exception):
        """It starts."""

    def start(*arguments):
        raise Training

    monkeypatch.setattr(comparison._Comparing, "run", start)
    monkeypatch.setenv("COLUMNS", "500")
    methods = ("adapt_cell", "adapt_full")  # tiny's blocks have a cell of their own
    with pytest.raises(Training):
        run_comparison(flags(inputs, tmp_path / "run", method=methods), {})
    told = capsys.readouterr().out
    assert "left out: tiny, adapt_cell: every block has a cell of its own" in told
    assert "left out: tiny, random_cell: every block has a cell of its own" in told


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seeds": 0}, "--seeds must be at least 1"),
        ({"nat_channels": 0}, "--nat-channels must be at least 1"),
        ({"base": ()}, "--base must name at least one"),
        ({"method": ("nat", "nat")}, "--method must name at least one, each once"),
        (
            {"base": ("resnet20", "plain20"), "pretrained": PretrainedFlags(Path("a.safetensors"))},
            "--weights are of one network; give one --base",
        ),
    ],
)
def test_impossible_flags_are_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        Comparison(**changes)


def test_a_budget_is_named_where_nothing_of_it_was_changed():
    assert Comparison().title == " (small budget)"
    assert Comparison(budget="paper", seeds=3).title == " (paper budget)"
    for changes in ({"data": DataFlags(train_limit=5000)}, {"epochs": 2}, {"nat_cells": 3}):
        assert Comparison(**changes).title == ""


def test_recipes_are_those_of_the_networks():
    paper = Comparison(budget="paper")
    darts = paper.training(zoo.named("darts_v2"))
    assert (darts.epochs, darts.batch_size, darts.auxiliary_weight) == (600, 96, 0.4)
    residual = paper.training(zoo.named("resnet20_cells"))
    assert (residual.epochs, residual.batch_size, residual.auxiliary_weight) == (200, 128, 0.0)
    assert comparison.load_sized("darts_v2", paper) == zoo.named("darts_v2")
    assert comparison.load_sized("darts_v2", Comparison()).blocks[0].channels == 16


def row(method, seed, accuracy, **changes):
    fields = {"params": 1000 + seed, "macs": 2000, "seconds": 30.0, "vmap_width": 3}
    return result(seed, accuracy, method, **(fields | {"search_seconds": 10.0} | changes))


DEAD = dataclasses.replace(
    zoo.named("resnet20"),
    cells=tuple(dataclasses.replace(cell, edges=()) for cell in zoo.named("resnet20").cells),
)
ACCURACIES, NAT = [91.74, 91.74, 91.65, 91.76, 91.39], [10.0, 75.14, 91.05, 10.0, 92.68]
PUBLISHED = [
    *(row("original", seed, value) for seed, value in enumerate(ACCURACIES)),
    *(
        row("nat", seed, value, **({"genotype": DEAD, "params": None} if value == 10 else {}))
        for seed, value in enumerate(NAT)
    ),
    *(row("random_cell", seed, 50.0 + seed) for seed in range(5)),
]


def test_the_table_is_the_published_one():
    original, nat, random = compare(PUBLISHED)
    assert f"{original.summary.accuracy:.2f}" == "91.66 ± 0.15"  # the paper rounds 0.155 up
    assert f"{nat.summary.accuracy:.2f}" == "55.77 ± 42.34"
    assert set(nat.against) == {"original", "random_cell"}
    assert set(random.against) == {"original"}
    assert not nat.against["original"].shown
    published = {("resnet20", "nat"): "55.78 ± 42.34"}
    table = comparison_table([original, nat, random], published).markdown()
    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()[:5]]
    assert len({len(line) for line in lines}) == 1
    header, nat_line = lines[0], lines[3]
    named = dict(zip(header, nat_line, strict=True))
    assert named["seed 0"] == "10.00†"
    assert named["parameters"] == "1,002"  # of the connected ones, seeds 1, 2 and 4
    assert named["accelerator-seconds"] == "20"  # 10 of search, 30 of three seeds side by side
    assert named["against original"].endswith("not shown")
    assert named["published"] == "55.78 ± 42.34"
    assert "† disconnected: not trained, counted as chance." in table


def test_everything_is_written(tmp_path):
    with RunDirectory(tmp_path, {}):
        write_comparison(
            tmp_path,
            PUBLISHED,
            title="Title",
            settings=["A setting."],
            unfinished=["proxyless, nat: no cells."],
            notes=[],
            published={},
        )
    assert read_results(tmp_path) == PUBLISHED
    text = (tmp_path / "report.md").read_text()
    assert "A setting." in text
    assert "proxyless, nat: no cells." in text
    assert "published" not in text
    assert ORIGINAL in text
    assert "## Environment" in text
    for name in ("comparison.svg", "comparison.png"):
        assert (tmp_path / name).stat().st_size > 1000

"""Methods side by side on known networks: the tables of PNAA's paper from this code alone.

Every cell of the table (a base, a method, a seed) is a folder of its own that is finished, can be
resumed, or is being worked on. So several processes may share one comparison: each takes what no
other holds.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import rich.console

from jaxnas.commands.comparison_config import Comparison
from jaxnas.commands.experiment import run_method
from jaxnas.commands.inputs import load_data, run_folder
from jaxnas.commands.methods.nat_method import cell_form, make_nat
from jaxnas.commands.search_experiment import FOLDERS, FOUND, run_only
from jaxnas.data import Dataset
from jaxnas.reports.comparison_report import Entry, write
from jaxnas.reports.finished import Finished, folder_name, read_method
from jaxnas.runs.bases import load_base
from jaxnas.runs.config import ConfigError
from jaxnas.runs.method import MethodRun
from jaxnas.runs.search_run import SearchRun, search_task
from jaxnas.runs.stages import Stages, Watcher
from jaxnas.spaces import AdaptationSpace, Genotype
from jaxnas.storage import files
from jaxnas.storage.directory import InUseError, RunDirectory, refuse_while_used

# What `runs.method` calls them.
_METHODS = {
    "original": "original",
    "adapt_cell": "cell",
    "adapt_full": "full",
    "random_cell": "random_cell",
    "random_full": "random_full",
}
_SMALL_IMAGES = 5000
_NAT_BATCH, _NAT_SHARE = 64, 0.4
_ENTRY = "entry.json"


class Cell(NamedTuple):
    """A cell of the table; of several seeds where they train side by side."""

    base: Genotype
    method: str
    seeds: tuple[int, ...]

    @property
    def name(self) -> str:
        """Of its bar and, but for the base, of its folder."""
        return f"{self.base.name}/{folder_name(self.method, self.seeds)}"

    def recorded(self) -> dict[str, Any]:
        """What its folder must agree on."""
        return {"base": json.loads(self.base.to_json()), "cell": self.name}


@dataclasses.dataclass(frozen=True)
class _Comparing:
    """A comparison under way."""

    flags: Comparison
    bases: list[Genotype]
    dataset: Dataset

    def cells(self) -> tuple[list[Cell], list[str]]:
        """What is to be run, seed by seed, and why some of it is not."""
        cells, reasons = [], []
        width = 1 if jax.default_backend() == "cpu" else self.flags.seeds
        for start in range(0, self.flags.seeds, width):
            seeds = tuple(range(start, start + width))
            for base in self.bases:
                for method in self.flags.methods:
                    if reason := self._refusal(base, method):
                        reasons.append(reason)
                    elif method.startswith("nat"):
                        cells += [Cell(base, method, (seed,)) for seed in seeds]
                    else:
                        cells.append(Cell(base, method, seeds))
        return cells, list(dict.fromkeys(reasons))

    def _refusal(self, base: Genotype, method: str) -> str | None:
        if method.startswith("nat") and cell_form(base) is None:
            return (
                f"{base.name}, {method}: NAT transforms cells of DARTS's family, and "
                f"{base.name} is not made of them."
            )
        full = method.replace("cell", "full")
        by_cell = AdaptationSpace(base, "cell").shape[0] == len(base.blocks)
        if full != method and full in self.flags.methods and by_cell:
            return (
                f"{base.name}, {method}: every block has a cell of its own, so that {full} is the "
                "same."
            )
        return None

    def method_run(self, cell: Cell) -> MethodRun:
        return self._trained(cell, _METHODS[cell.method], cell.base)

    def _trained(self, cell: Cell, method: Any, genotype: Genotype) -> MethodRun:
        """A method on `genotype`, by the recipe of the cell's base."""
        settings = self.flags.training(cell.base)
        every = max(1, settings.epochs // 4)
        return MethodRun(method, genotype, self.dataset, settings, cell.seeds, every)

    def search_run(self, cell: Cell) -> SearchRun:
        base = cell_form(cell.base)
        assert base is not None
        dtype = jnp.dtype(self.flags.training(cell.base).precision)
        task = search_task(self.dataset, dtype)
        settings = self.flags.nat(cell.method == "nat_faithful")
        search = make_nat(base, settings, task, self.dataset, _NAT_BATCH, dtype).search
        (seed,) = cell.seeds
        epochs = self.flags.nat_search_epochs
        return SearchRun(search, cell.method, self.dataset, seed, epochs, _NAT_BATCH, _NAT_SHARE)

    def steps(self, cell: Cell) -> int:
        if not cell.method.startswith("nat"):
            return self.method_run(cell).total_steps
        trained = self.method_run(cell._replace(method="original"))
        return self.search_run(cell).total_steps + trained.total_steps

    def run(self, cell: Cell, folder: RunDirectory, watcher: Watcher) -> None:
        """Runs a cell into its folder, and says there what came of it."""
        if cell.method.startswith("nat"):
            entries = self._run_nat(cell, folder, watcher)
        else:
            run_method(self.method_run(cell), cell.method, folder, watcher)
            finished = read_method(folder.path / folder_name(cell.method, cell.seeds))
            entries = [_entry(each, cell) for each in finished]
        # Last: a folder that has it is done.
        folder.write_json(_ENTRY, [dataclasses.asdict(each) for each in entries])

    def _run_nat(self, cell: Cell, folder: RunDirectory, watcher: Watcher) -> list[Entry]:
        searched = run_only(self.search_run(cell), folder, watcher, FOLDERS[FOUND])
        genotype = searched.found.genotype
        (seed,) = cell.seeds
        form = cell_form(cell.base)
        assert form is not None
        notes = searched.found.notes
        if form.name != cell.base.name:
            notes += (f"NAT transformed {form.name}, its own form of {cell.base.name}.",)
        if not genotype.connected():
            return [
                Entry(
                    base=cell.base.name,
                    method=cell.method,
                    seed=seed,
                    test_accuracy=100 / self.dataset.num_classes,
                    params=None,
                    macs=None,
                    search_seconds=searched.seconds,
                    seconds=0.0,
                    vmap_width=1,
                    connected=False,
                    digest=searched.digest,
                    notes=notes,
                )
            ]
        run_method(self._trained(cell, "original", genotype), "found", folder, watcher)
        (trained,) = read_method(folder.path / folder_name("found", cell.seeds))
        return [
            dataclasses.replace(_entry(trained, cell), search_seconds=searched.seconds, notes=notes)
        ]


def _entry(finished: Finished, cell: Cell) -> Entry:
    result = finished.result
    who = f"{cell.method}, seed {result.seed}: "
    return Entry(
        base=cell.base.name,
        method=cell.method,
        seed=result.seed,
        test_accuracy=result.test_accuracy,
        params=result.params,
        macs=result.macs,
        search_seconds=0.0,
        seconds=result.seconds,
        vmap_width=result.vmap_width,
        connected=True,
        digest=result.digest,
        notes=tuple(note.removeprefix(who) for note in finished.notes),
    )


def run_comparison(flags: Comparison, published: Mapping[tuple[str, str], str]) -> Path:
    """Runs what is not done yet and writes the table of all that is.

    Args:
      flags: what to compare.
      published: by base and method, the published accuracy as text.

    Returns:
      the path of the report.

    Raises:
      UserError: if flags, data or files do not allow it.
    """
    console = rich.console.Console(markup=False)  # names and paths may hold brackets
    bases = [load_sized(name, flags) for name in flags.base]
    _refuse_same_names(flags.base, bases)
    dataset = load_data(flags.data)
    if flags.data.train_limit is None and flags.small:
        dataset = dataset.limit(min(_SMALL_IMAGES, len(dataset.train_images)))
    comparing = _Comparing(flags, bases, dataset)
    cells, reasons = comparing.cells()
    name = f"compare-{flags.data.label}-{flags.budget}"
    folder = run_folder(flags.run, name, flags.recorded())
    path = folder.path
    if flags.run.overwrite:
        refuse_while_used(path)
    else:
        for cell in cells:
            _refuse_other_base(path, cell)
            _entries(path, cell)
    steps = {cell.name: comparing.steps(cell) for cell in cells}  # and refuses what cannot be
    for reason in reasons:
        console.print(f"left out: {reason}", highlight=False, soft_wrap=True)
    with folder as top:
        command = top.read_json("config.json")["environment"]["command"]
    busy: list[Cell] = []
    with Stages(console, steps) as stages:
        for cell in cells:
            if _entries(path, cell) is not None:
                stages.skip(cell.name)
                continue
            try:
                with RunDirectory(path / cell.name, cell.recorded(), resume=True) as own:
                    with stages.watch(cell.name, cell.name) as watcher:
                        comparing.run(cell, own, watcher)
            except InUseError:
                busy.append(cell)
                continue
            _report(path, flags, command, dataset, cells, reasons, published)
    rows, report = _report(path, flags, command, dataset, cells, reasons, published)
    for row in rows:
        differences = "; ".join(f"against {name} {each}" for name, each in row.against.items())
        console.print(f"{row.base}, {row.method}: {row.accuracy} {differences}", highlight=False)
    if busy:
        console.print(
            f"{len(busy)} runs are in the hands of other processes; the same command with --resume "
            "makes the table of all once they are done",
            highlight=False,
        )
    console.print(f"Report: {report}", highlight=False, soft_wrap=True)
    return report


def load_sized(name: str, flags: Comparison) -> Genotype:
    """A base network at the budget's size.

    Raises:
      ConfigError: see `load_base`.
    """
    base = load_base(name)
    big = base.family == "darts" and base.blocks[0].channels > 16
    return load_base(name, 16, 8) if flags.small and big and not name.endswith(".json") else base


def _refuse_same_names(flags: Sequence[str], bases: Sequence[Genotype]) -> None:
    """A ConfigError for two bases of one name, whose folders and rows would be the same."""
    known: dict[str, tuple[str, Genotype]] = {}
    for flag, base in zip(flags, bases, strict=True):
        other, twin = known.setdefault(base.name, (flag, base))
        if other != flag:
            kind = "the same network" if twin == base else "different networks"
            raise ConfigError(
                f"--base {other} and --base {flag} are {kind} by the name of {base.name!r}; "
                "leave one out or change its name in the file"
            )


def _refuse_other_base(path: Path, cell: Cell) -> None:
    """A RunError where a cell's folder is about another network of the same name."""
    file = path / cell.name / "config.json"
    if not file.exists():
        return
    advice = f"delete {file.parent}, and --resume runs it anew"
    config = files.from_json(files.read_text(file, advice), file, advice)
    if config["base"] != cell.recorded()["base"]:
        raise files.RunError(
            f"{path} holds runs of another network by the name of {cell.base.name!r} than the "
            "--base that is given; give that one, change the name in the file, or use another "
            "--run-dir"
        )


def _entries(path: Path, cell: Cell) -> list[Entry] | None:
    """What a cell came to, None while it is not done.

    Raises:
      RunError: if its file is damaged.
    """
    file = path / cell.name / _ENTRY
    if not file.exists():
        return None
    advice = "delete that file, and --resume makes it anew from what was trained"
    try:
        records = files.from_json(files.read_text(file, advice), file, advice)
        return [Entry(**{**each, "notes": tuple(each["notes"])}) for each in records]
    except (KeyError, TypeError) as error:
        raise files.RunError(
            f"{file} is damaged or of another version ({error!r}); {advice}"
        ) from error


def _report(
    path: Path,
    flags: Comparison,
    command: str,
    dataset: Dataset,
    cells: list[Cell],
    reasons: list[str],
    published: Mapping[tuple[str, str], str],
) -> tuple[list[Any], Path]:
    """Writes the table of all cells that are done."""
    done = {cell: _entries(path, cell) for cell in cells}
    finished = [entry for entries in done.values() for entry in entries or ()]
    missing = [f"{cell.name}: not done." for cell, entries in done.items() if entries is None]
    if not finished:
        return [], path / "report.md"
    bases = dict.fromkeys(cell.base.name for cell in cells)
    order = [(base, method) for base in bases for method in flags.methods]
    finished.sort(key=lambda entry: (order.index((entry.base, entry.method)), entry.seed))
    device = jax.devices()[0]
    settings = [
        f"{dataset.name}, {len(dataset.train_images):,} training images, "
        f"{len(dataset.test_images):,} test images; device {device.platform}: "
        f"{device.device_kind}; jax {jax.__version__}.",
        *(
            f"{base.name}: {flags.training(base).epochs} epochs, batch "
            f"{flags.training(base).batch_size}."
            for base in dict.fromkeys(cell.base for cell in cells)
        ),
    ]
    rows = write(
        path,
        finished,
        title=f"Methods compared on {dataset.name}{flags.title}",
        command=command,
        settings=settings,
        unfinished=[*reasons, *missing],
        published=published,
    )
    return rows, path / "report.md"

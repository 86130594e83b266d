"""Methods side by side on known networks: the tables of PNAA's paper from this code alone.

Every cell of the table (a base, a method, a seed) is a folder of its own that is finished, can be
resumed, or is being worked on. So several processes may share one comparison: each takes what no
other holds.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import rich.console

from jaxnas.commands.comparison_config import Comparison
from jaxnas.commands.inputs import fit_stem, load_data, load_start, refuse_early, run_folder
from jaxnas.commands.methods.nat_method import cell_form, make_nat
from jaxnas.commands.search_experiment import FOLDERS, FOUND, run_only
from jaxnas.commands.training_jobs import run_method
from jaxnas.data import Dataset
from jaxnas.jobs.folders import FolderJob, do_in_folders
from jaxnas.jobs.job import Watcher, Work
from jaxnas.reports.comparison_report import Compared, write_comparison
from jaxnas.reports.method_folder import folder_name, read_method
from jaxnas.reports.page import told_pages
from jaxnas.reports.results import Result
from jaxnas.runs.adaptation_run import method_run
from jaxnas.runs.config import ConfigError, Method
from jaxnas.runs.genotype_files import load_base
from jaxnas.runs.progress import ProgressBars
from jaxnas.runs.search_run import Searched, SearchImages, SearchRun
from jaxnas.runs.starting.start import Start
from jaxnas.runs.training_run import TrainingRun
from jaxnas.spaces import AdaptationSpace, Genotype
from jaxnas.storage import files
from jaxnas.storage.directory import (
    DATA,
    OUTCOME,
    WEIGHTS,
    RunDirectory,
    refuse_while_used,
    run_once,
)

# What `method_run` calls them.
_METHODS: dict[str, Method] = {
    "original": "original",
    "adapt_cell": "cell",
    "adapt_full": "full",
    "random_cell": "random_cell",
    "random_full": "random_full",
}
_SMALL_IMAGES = 5000
_NAT_BATCH, _NAT_SHARE = 64, 0.4

Told = tuple[Result, list[str]]
"""What a seed of a cell came to, and what a reader of that should know."""


class TableCell(NamedTuple):
    """A cell of the table; of several seeds where they train side by side."""

    base: Genotype
    method: str
    seeds: tuple[int, ...]

    @property
    def name(self) -> str:
        """Name of its bar and, but for the base, of its folder."""
        return f"{self.base.name}/{folder_name(self.method, self.seeds)}"

    @property
    def searches(self) -> bool:
        """Whether its network is found by a search first."""
        return self.method not in _METHODS

    def recorded(self) -> dict[str, Any]:
        """What its folder must agree on."""
        return {"base": json.loads(self.base.to_json()), "cell": self.name}


@dataclasses.dataclass(frozen=True)
class _Comparing:
    """A comparison under way."""

    flags: Comparison
    bases: list[Genotype]
    dataset: Dataset
    start: Start | None = None

    def cells(self) -> tuple[list[TableCell], list[str]]:
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
                        cells += [TableCell(base, method, (seed,)) for seed in seeds]
                    else:
                        cells.append(TableCell(base, method, seeds))
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

    def training_run(self, cell: TableCell, genotype: Genotype | None = None) -> TrainingRun:
        """The training of the base, or of what a search found of it, by the base's recipe."""
        settings = self.flags.training(cell.base)
        every = max(1, settings.epochs // 4)
        method = _METHODS.get(cell.method, "original")
        network = genotype or cell.base
        start = None if cell.searches else self.start
        run = method_run(method, network, self.dataset, settings, cell.seeds, every, start=start)
        return dataclasses.replace(run, method=cell.method)

    def search_run(self, cell: TableCell) -> SearchRun:
        base = cell_form(cell.base)
        assert base is not None
        (seed,) = cell.seeds
        dtype = jnp.dtype(self.flags.training(cell.base).precision)
        images = SearchImages(self.dataset, _NAT_SHARE, seed)
        task = images.task(dtype)
        settings = self.flags.nat(cell.method == "nat_faithful")
        search = make_nat(base, settings, task, self.dataset, _NAT_BATCH, dtype).search
        return SearchRun(search, cell.method, images, self.flags.nat_search_epochs, _NAT_BATCH)

    def steps(self, cell: TableCell) -> int:
        trained = self.training_run(cell).total_steps
        return trained + (self.search_run(cell).total_steps if cell.searches else 0)

    def run(self, cell: TableCell, path: Path, watcher: Watcher) -> None:
        """Runs a cell in its folder below `path`, and says there what came of it."""

        def work(folder: RunDirectory) -> list[dict[str, Any]]:
            told = (
                [self._run_nat(cell, folder.path, watcher)]
                if cell.searches
                else self._train(cell, cell.base, folder.path, watcher)
            )
            return [{"result": result.to_record(), "notes": notes} for result, notes in told]

        config = cell.recorded() | {DATA: self.dataset.fingerprint}
        if self.start is not None:
            config[WEIGHTS] = self.start.fingerprint
        run_once(path / cell.name, config, work)

    def _train(
        self, cell: TableCell, genotype: Genotype, path: Path, watcher: Watcher
    ) -> list[Told]:
        run_method(self.training_run(cell, genotype), path, watcher)
        return _trained(path / folder_name(cell.method, cell.seeds), cell)

    def _run_nat(self, cell: TableCell, path: Path, watcher: Watcher) -> Told:
        searched = run_only(self.search_run(cell), path / FOLDERS[FOUND], watcher)
        genotype = searched.found.genotype
        form = cell_form(cell.base)
        assert form is not None
        notes = list(searched.found.notes)
        if form.name != cell.base.name:
            notes.append(f"NAT transformed {form.name}, its own form of {cell.base.name}.")
        if not genotype.connected():
            return self._by_chance(cell, searched), notes
        ((result, _),) = self._train(cell, genotype, path, watcher)
        return dataclasses.replace(result, search_seconds=searched.seconds), notes

    def _by_chance(self, cell: TableCell, searched: Searched) -> Result:
        """What a search came to whose network is disconnected, and is not trained."""
        device = jax.devices()[0]
        return Result(
            method=cell.method,
            base=cell.base.name,
            dataset=self.dataset.name,
            seed=cell.seeds[0],
            test_accuracy=100 / self.dataset.num_classes,
            test_loss=math.log(self.dataset.num_classes),
            params=None,
            macs=None,
            seconds=0.0,
            epochs=0,
            device=f"{device.platform}: {device.device_kind}",
            vmap_width=1,
            digest=searched.digest,
            genotype=searched.found.genotype,
            search_seconds=searched.seconds,
        )


def _trained(folder: Path, cell: TableCell) -> list[Told]:
    """What the folder of a method tells of a cell's seeds."""
    told = []
    for each in read_method(folder):
        result = dataclasses.replace(each.result, base=cell.base.name)
        who = f"{cell.method}, seed {result.seed}: "
        told.append((result, [note.removeprefix(who) for note in each.notes]))
    return told


def _runner(comparing: _Comparing, path: Path) -> Work:
    """Runs cells in folders below `path`."""
    return lambda cell, watcher: comparing.run(cell, path, watcher)


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
    executor = flags.jobs.executor()  # before a device is used
    bases = [load_sized(name, flags) for name in flags.base]
    _refuse_same_names(flags.base, bases)
    name = f"compare-{flags.data.label}-{flags.budget}"
    refuse_early(flags.run, name, flags.recorded(), weights=flags.pretrained.weights)
    dataset = load_data(flags.data)
    if flags.data.train_limit is None and flags.small:
        dataset = dataset.limit(min(_SMALL_IMAGES, len(dataset.train_images)))
    bases = [
        fit_stem(base, name, flags.stem, dataset)
        for name, base in zip(flags.base, bases, strict=True)
    ]
    flags.pretrained.refuse_beyond(flags.training(bases[0]).epochs, flags.pretrained.weights)
    if start := load_start(flags.pretrained, bases[0], dataset):
        dataset = start.normalised(dataset)
    comparing = _Comparing(flags, bases, dataset, start)
    cells, reasons = comparing.cells()
    folder = run_folder(flags.run, name, flags.recorded(), dataset, start=start)
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
    with folder:  # its config.json is written
        pass
    jobs = [FolderJob(cell.name, cell, path / cell.name) for cell in cells]
    busy = 0
    with ProgressBars(console, steps, flags.run.board(path)) as bars, executor:
        make = functools.partial(_runner, comparing, path.resolve())
        for _, error in do_in_folders(
            executor, make, path, jobs, lambda job: bars.watch(job.name, job.name), bars.skip
        ):
            busy += error is not None
            if error is None:
                _report(path, flags, dataset, cells, reasons, published)
    rows, report = _report(path, flags, dataset, cells, reasons, published)
    for group, against in rows:
        accuracy = f"{group.base}, {group.method}: {group.accuracy:.2f}"
        differences = "; ".join(f"against {name} {each}" for name, each in against.items())
        console.print(f"{accuracy} {differences}", highlight=False)
    if busy:
        console.print(
            f"{busy} runs are in the hands of other processes; the same command with --resume "
            "makes the table of all once they are done",
            highlight=False,
        )
    console.print(told_pages(report), highlight=False, soft_wrap=True)
    return report


def load_sized(name: str, flags: Comparison) -> Genotype:
    """A base network at the budget's size.

    Raises:
      ConfigError: see `load_base`.
    """
    base = load_base(name, stem=flags.stem)
    big = base.family == "darts" and base.blocks[0].channels > 16
    return (
        load_base(name, 16, 8, flags.stem)
        if flags.small and big and not name.endswith(".json")
        else base
    )


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


def _refuse_other_base(path: Path, cell: TableCell) -> None:
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


def _entries(path: Path, cell: TableCell) -> list[Told] | None:
    """What a cell came to, None while it is not done.

    Raises:
      RunError: if its file is damaged.
    """
    file = path / cell.name / OUTCOME
    if not file.exists():
        return None
    advice = "delete that file, and --resume makes it anew from what was trained"
    try:
        records = files.from_json(files.read_text(file, advice), file, advice)
        return [(Result.from_record(each["result"]), each["notes"]) for each in records]
    except (KeyError, TypeError, ValueError) as error:
        raise files.RunError(
            f"{file} is damaged or of another version ({error!r}); {advice}"
        ) from error


def _report(
    path: Path,
    flags: Comparison,
    dataset: Dataset,
    cells: list[TableCell],
    reasons: list[str],
    published: Mapping[tuple[str, str], str],
) -> tuple[list[Compared], Path]:
    """Writes the table of all cells that are done."""
    done = {cell: _entries(path, cell) for cell in cells}
    told = [each for entries in done.values() for each in entries or ()]
    missing = [f"{cell.name}: not done." for cell, entries in done.items() if entries is None]
    if not told:
        return [], path / "report.md"
    bases = dict.fromkeys(cell.base.name for cell in cells)
    order = [(base, method) for base in bases for method in flags.methods]
    told.sort(key=lambda each: (order.index((each[0].base, each[0].method)), each[0].seed))
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
    rows = write_comparison(
        path,
        [result for result, _ in told],
        title=f"Methods compared on {dataset.name}{flags.title}",
        settings=settings,
        unfinished=[*reasons, *missing],
        notes=[
            f"{result.base}, {result.method}, seed {result.seed}: {' '.join(notes)}"
            for result, notes in told
            if notes
        ],
        published=published,
    )
    return rows, path / "report.md"

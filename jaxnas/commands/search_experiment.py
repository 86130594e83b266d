"""A whole experiment with a search: the search, its answer trained anew, tables and report."""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import rich.console

from jaxnas.commands.final_training import final_run, network_section, read_finals
from jaxnas.commands.inputs import search_inputs
from jaxnas.commands.training_jobs import refuse_exhaustion, trainer, training_job
from jaxnas.data import Dataset
from jaxnas.jobs.folders import FolderJob, do_all
from jaxnas.jobs.job import Job, Watcher, Work
from jaxnas.randomness import stream
from jaxnas.reports.method_folder import Finished, folder_name
from jaxnas.reports.page import Section, told_pages, write_page
from jaxnas.reports.plots import learning_curves, search_curves
from jaxnas.reports.results import results_section, results_table, write_results
from jaxnas.runs.progress import ProgressBars
from jaxnas.runs.search_config import SearchExperiment
from jaxnas.runs.search_run import Searched, SearchImages, SearchRun
from jaxnas.search.shared.supernet import Found, SharedWeightSearch
from jaxnas.spaces import Genotype
from jaxnas.storage import files
from jaxnas.storage.directory import DATA, OUTCOME, RunDirectory, run_once
from jaxnas.storage.files import RunError
from jaxnas.storage.metrics import Metrics
from jaxnas.tasks import Task

FOUND, RANDOM, CONTROL = "found", "random", "control"
"""The rows of the table: the search's answer, a random network, and the answer of its control."""

FOLDERS = {FOUND: "search", CONTROL: "control_search"}
"""Where the searches are."""

_SEARCH = (
    "What the search measured, by its epochs: means over the steps of an epoch, and what the "
    "architecture parameters were at its end."
)
_CURVES = (
    "Loss and accuracy at the end of each epoch of training anew: the network that the search "
    "found, a random one of the same space, and what the control found where there is one."
)


class SearchMethod(NamedTuple):
    """A search and its space, as an experiment runs them.

    Attributes:
      search: the search.
      random: typed key to a network drawn from the search's space, the control.
      control: a search that should find less, another control; its answer is trained as well.
    """

    search: SharedWeightSearch
    random: Callable[[jax.Array], Genotype]
    control: SharedWeightSearch | None = None


MakeSearch = Callable[[Task, Dataset, dict[str, int]], SearchMethod]
"""(task, data set, batches in one pass through each part of the images) to the method."""


def run_search(
    experiment: SearchExperiment, name: str, make: MakeSearch, settings: dict[str, Any]
) -> Path:
    """Searches, trains what was found and the controls alike, and prints the table.

    Args:
      experiment: the flags.
      name: of the method, and part of the default directory's name.
      make: makes the method.
      settings: of the method, JSON-able; with `experiment` they say all that the result depends on.

    Returns:
      the path of the report.

    Raises:
      UserError: if flags, data or files do not allow it.
    """
    console = rich.console.Console(markup=False)  # names and paths may hold brackets
    executor = experiment.jobs.executor()  # before a device is used
    dataset, folder = search_inputs(experiment, name, settings)
    seed = experiment.seed
    images = SearchImages(dataset, experiment.train_share, seed)
    method = _method(experiment, make, images)
    # Made now, so that flags that no search and no network of the space can have are told of.
    runs = {
        row: _search_run(experiment, method, row, name, images)
        for row in (FOUND, CONTROL)
        if row == FOUND or method.control
    }
    drawn = method.random(stream(jax.random.key(seed), "random"))
    random = final_run(experiment, dataset, drawn, RANDOM)
    with folder as directory:
        path = directory.path
        rows = (FOUND, RANDOM, CONTROL) if method.control else (FOUND, RANDOM)
        searches = [FolderJob(FOLDERS[row], row, path / FOLDERS[row]) for row in runs]
        folders = {row: folder_name(row, (seed,)) for row in rows}
        steps = {FOLDERS[row]: run.total_steps for row, run in runs.items()}
        steps |= dict.fromkeys(folders.values(), random.total_steps)
        titles = {FOLDERS[row]: f"{run.name}, seed {seed}" for row, run in runs.items()}
        titles |= {folders[row]: f"{row}, seed {seed}" for row in rows}
        with ProgressBars(console, steps, experiment.run.board(path)) as bars, executor:

            def watch(job: Job) -> AbstractContextManager[Watcher]:
                return bars.watch(job.name, titles[job.name])

            searching = functools.partial(_searcher, experiment, make, name, images, path.resolve())
            do_all(executor, searching, path, searches, watch, bars.skip)
            searched = {row: read_answer(path / FOLDERS[row]) for row in runs}
            genotypes = {row: searched[row].found.genotype for row in runs} | {RANDOM: drawn}
            finals = [
                training_job(final_run(experiment, dataset, genotypes[row], row), path)
                for row in rows
            ]
            training = functools.partial(trainer, dataset)
            do_all(executor, training, path, finals, watch, bars.skip)
        finished = [
            each._replace(result=dataclasses.replace(each.result, search_seconds=own.seconds))
            if (own := searched.get(each.result.method))
            else each
            for each in read_finals(path, rows, name, seed)
        ]
        notes = _notes(name, searched, finished)
        metrics = Metrics(directory.path / FOLDERS[FOUND]).rows()
        _write(directory.path, name, metrics, finished, notes)
    report = directory.path / "report.md"
    results_table([each.result for each in finished]).print(console)
    for note in notes:
        console.print(note, highlight=False, soft_wrap=True)
    console.print(told_pages(report), highlight=False, soft_wrap=True)
    return report


def _method(experiment: SearchExperiment, make: MakeSearch, images: SearchImages) -> SearchMethod:
    batch_size = experiment.search_batch_size
    images.refuse_few("train", batch_size)  # a method is made for some steps
    task = images.task(jnp.dtype(experiment.training.precision))
    return make(task, images.dataset, images.steps(batch_size))


def _search_run(
    experiment: SearchExperiment, method: SearchMethod, row: str, name: str, images: SearchImages
) -> SearchRun:
    """The search that ends in a row of the table."""
    search = method.search if row == FOUND else method.control
    assert search is not None
    return SearchRun(
        search,
        name if row == FOUND else f"{name}'s {row}",
        images,
        experiment.search_epochs,
        experiment.search_batch_size,
    )


def _searcher(
    experiment: SearchExperiment,
    make: MakeSearch,
    name: str,
    images: SearchImages,
    path: Path,
) -> Work:
    """Runs searches, by the rows of the table that they end in, in folders of `path`."""
    method = _method(experiment, make, images)

    def search(row: str, watcher: Watcher) -> None:
        run = _search_run(experiment, method, row, name, images)
        run_only(run, path / FOLDERS[row], watcher)

    return search


def run_only(run: SearchRun, path: Path, watcher: Watcher) -> Searched:
    """Searches in a folder, unless it was done before an interruption.

    Raises:
      RunError: if an answer that is there is damaged.
      TrainingError: if something is no longer finite, or the memory does not suffice.
    """

    def work(folder: RunDirectory) -> dict[str, Any]:
        with refuse_exhaustion("search", "--search-batch-size"):
            searched = run.run(folder, watcher)
        genotype = searched.found.genotype.to_json()
        folder.write_text("genotype.json", genotype + "\n")
        rest = {name: value for name, value in searched._asdict().items() if name != "found"}
        return rest | {"genotype": json.loads(genotype), "notes": searched.found.notes}

    run_once(path, {"search": run.name, DATA: run.images.dataset.fingerprint}, work)
    return read_answer(path)


def read_answer(path: Path) -> Searched:
    """What the search in a folder came to.

    Raises:
      RunError: if its file is missing or damaged.
    """
    file = path / OUTCOME
    fields = files.from_json(files.read_text(file), file)
    try:
        genotype = Genotype.from_json(json.dumps(fields.pop("genotype")))
        return Searched(found=Found(genotype, tuple(fields.pop("notes"))), **fields)
    except (AttributeError, KeyError, TypeError) as error:
        raise RunError(f"{file} is damaged or of another version ({error!r})") from error


def _notes(name: str, searched: dict[str, Searched], finished: list[Finished]) -> list[str]:
    """What a reader of the table should know."""
    seconds = ", ".join(f"{each.result.method} {each.result.seconds:.0f} s" for each in finished)
    main = searched[FOUND]
    notes = [
        f"{name}: the search took {main.seconds:.0f} s ({main.epochs} epochs), training "
        f"anew {seconds}; the table's seconds are those of training.",
        *main.found.notes,
        f"digest of the search: {main.digest[:12]}",
    ]
    if CONTROL in searched:
        control = searched[CONTROL]
        notes += [
            f"control: its search took {control.seconds:.0f} s, digest {control.digest[:12]}.",
            *(f"control: {note}" for note in control.found.notes),
        ]
    return [*notes, *(note for each in finished for note in each.notes)]


def _write(
    path: Path,
    name: str,
    rows: list[dict[str, Any]],
    finished: list[Finished],
    notes: list[str],
) -> None:
    """Writes tables, pictures and `report.md`."""
    results = [each.result for each in finished]
    write_results(path, results)
    learning_curves({each.result.method: each.rows for each in finished}, path / "curves")
    search_curves(rows, path / "search_curves")
    networks = (
        network_section(path, each.method, each.genotype, f"The {each.method} network")
        for each in results
    )
    sections = [
        results_section(results),
        Section.of_picture("The search", "search_curves.svg", _SEARCH),
        Section.of_picture("Learning curves", "curves.svg", _CURVES),
        *networks,
        Section("Notes", notes),
    ]
    write_page(path, f"{name} on {results[0].dataset}", sections)

"""A whole experiment of a search that trains real children, with random search beside it."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import rich.console

from jaxnas import search
from jaxnas.children.child_config import ChildExperiment
from jaxnas.children.child_networks import BuiltNetworks, Networks
from jaxnas.children.child_report import (
    failed_children,
    reward_curves,
    reward_table,
    seconds_table,
)
from jaxnas.children.child_search import ChildSearch, ChildStore, Evaluator, Reward
from jaxnas.children.child_searchers import (
    ChildSearcher,
    Trial,
    child_searcher,
    staged_searcher,
)
from jaxnas.children.child_training import Candidate, ChildrenFailed, ChildTraining, failures
from jaxnas.children.child_winners import (
    TRAINED,
    FullSize,
    as_array,
    winner_note,
    write_winner,
)
from jaxnas.commands.final_training import final_run, network_section, read_finals
from jaxnas.commands.inputs import search_inputs
from jaxnas.commands.training_jobs import trainer, training_job
from jaxnas.data import Dataset
from jaxnas.jobs.folders import do_all
from jaxnas.jobs.job import Executor
from jaxnas.reports.drawing.drawing import draw_network
from jaxnas.reports.page import Content, Picture, Section, told_pages, write_page
from jaxnas.reports.results import Result, results_section, results_table, write_results
from jaxnas.reports.tables import Table
from jaxnas.runs.config import Training
from jaxnas.runs.progress import ProgressBars
from jaxnas.runs.search_run import SearchImages
from jaxnas.spaces import Genotype, Space
from jaxnas.storage.directory import RunDirectory
from jaxnas.storage.metrics import Metrics
from jaxnas.training import warn_of_few_steps

RANDOM = "random"
_REWARDS = (
    "Accuracy of each child on held-out training images (dots), the mean of the last twenty (line) "
    "and the best so far (dashed), by the number of children asked for."
)


class Searches(NamedTuple):
    """What was searched, for those who have more to tell of it.

    Attributes:
      path: of the run's folder; a search's own is in it, by its name.
      trials: of each search.
      networks: as what children were trained.
      full_size: what is made of a winner.
      examples: that a child was trained on, all epochs together.
    """

    path: Path
    trials: Mapping[str, Sequence[Trial]]
    networks: Networks
    full_size: FullSize
    examples: int


More = Callable[[Searches], tuple[list[Section], list[Content]]]
"""Sections of a report, whose pictures it draws, and notes."""


def beside_random(
    name: str, algorithm: search.Algorithm, space: Space, children: int
) -> dict[str, ChildSearcher]:
    """A searcher, and random search of the same space in batches of the same size."""
    control = search.random(space, batch=algorithm.batch or 1)
    return {
        each: child_searcher(space, one, children)
        for each, one in ((name, algorithm), (RANDOM, control))
    }


def stages_beside_random(
    name: str, stages: Sequence[search.Stage], children: int
) -> dict[str, ChildSearcher]:
    """A searcher of one space after the other, and random search likewise."""
    control = [
        stage._replace(algorithm=search.random(stage.space, batch=stage.algorithm.batch or 1))
        for stage in stages
    ]
    return {
        each: staged_searcher(parts, children)
        for each, parts in ((name, stages), (RANDOM, control))
    }


def run_space(
    experiment: ChildExperiment,
    name: str,
    space: Space,
    child: Training,
    algorithm: search.Algorithm,
    settings: dict[str, Any],
) -> Path:
    """`run_children` of a searcher and of random search over any space that decodes.

    Every candidate's network is built and compiled for itself, its reward is the accuracy, 0 to 1,
    and what is found is trained as it is.
    """
    return run_children(
        experiment,
        name,
        BuiltNetworks((space,)),
        child,
        beside_random(name, algorithm, space, experiment.children),
        lambda candidate: {TRAINED: space.decode(as_array(candidate))},
        lambda outcome: outcome.accuracies[-1] / 100,
        settings,
    )


def run_children(
    experiment: ChildExperiment,
    name: str,
    networks: Networks,
    child: Training,
    searchers: Mapping[str, ChildSearcher],
    full_size: FullSize,
    reward: Reward,
    settings: dict[str, Any],
    more: More = lambda searches: ([], []),
) -> Path:
    """Searches, trains the best children of each search longer and the best of these at full size.

    The test images are read by the networks of full size alone.

    Args:
      experiment: the flags.
      name: of the run, and part of the default directory's name.
      networks: as what children are trained.
      child: how they are trained.
      searchers: by name; the last one is what the others are compared with, such as random search.
      full_size: what is made of a winner.
      reward: what a searcher is told of a child.
      settings: of the method, JSON-able; with `experiment` they say all that the result depends on.
      more: what else there is to tell.

    Returns:
      the path of the report.

    Raises:
      UserError: if flags, data or files do not allow it.
    """
    console = rich.console.Console(markup=False)  # names and paths may hold brackets
    executor = experiment.jobs.executor()  # before a device is used
    dataset, folder = search_inputs(experiment, name, settings)
    path = folder.path
    # Made now, so that flags that cannot be are told of before anything trains.
    make = functools.partial(
        ChildTraining,
        networks,
        SearchImages(dataset, experiment.train_share, experiment.seed),
        child,
        experiment.judged,
        max(child.epochs, experiment.finalist_epochs),
    )
    steps = child.epochs * make().steps_per_epoch
    warn_of_few_steps("children", steps)
    examples = steps * child.batch_size
    some = (0,) * len(next(iter(searchers.values())).space.options)
    full = final_run(experiment, dataset, full_size(some)[TRAINED], name)
    searches = {
        each: ChildSearch(each, searcher, child.epochs, reward, experiment.seed)
        for each, searcher in searchers.items()
    }
    bars = {
        **{each: searcher.children for each, searcher in searchers.items()},
        **{f"{each}, finals": experiment.finalists for each in searches},
        **{f"{each}, full size": full.total_steps for each in searches},
    }
    with folder as directory, ProgressBars(console, bars, experiment.run.board(path)) as progress:
        store = ChildStore(directory)
        with executor:
            trainers = Evaluator(executor, make)
            searched = {
                each: _search(one, networks, directory, store, trainers, progress)
                for each, one in searches.items()
            }
            with RunDirectory(path / "finals", {"finals": name}, resume=True) as own:
                finals = ChildStore(own)
                winners = {
                    each: _winner(
                        each,
                        searchers[each].finalists(*of_search, experiment.finalists),
                        experiment.finalist_epochs,
                        finals,
                        trainers,
                        progress,
                    )
                    for each, of_search in searched.items()
                }
            sizes = {each: full_size(winner) for each, winner in winners.items()}
            _train_winners(experiment, executor, dataset, directory, sizes, progress)
        results = [each.result for each in read_finals(path, searches, name, experiment.seed)]
        trials = {each: of_search for each, (of_search, _) in searched.items()}
        rewards = reward_table(trials, store)
        told, notes = more(Searches(path, trials, networks, full_size, examples))
        notes = [
            *notes,
            "Seconds of the children's training, by part:",
            seconds_table(store.outcomes()),
            f"Seconds that the searchers took to ask and to be told, their compiling included: "
            f"{', '.join(f'{each} {_thinking(path / each):.1f}' for each in searches)}.",
            *(winner_note(each, finals, winners[each], sizes[each]) for each in searches),
        ]
        report = _write(path, f"{name} on {dataset.name}", trials, results, rewards, told, notes)
    rewards.print(console)
    results_table(results).print(console)
    console.print(told_pages(report), highlight=False, soft_wrap=True)
    return report


def _train_winners(
    experiment: ChildExperiment,
    executor: Executor,
    dataset: Dataset,
    directory: RunDirectory,
    winners: Mapping[str, dict[str, Genotype]],
    progress: ProgressBars,
) -> None:
    """Trains the winners at full size, a job for each search."""
    jobs = []
    for name, genotypes in winners.items():
        write_winner(directory, name, genotypes)
        run = final_run(experiment, dataset, genotypes[TRAINED], name)
        job = training_job(run, directory.path)
        jobs.append(job._replace(name=f"{name}, full size"))
    do_all(
        executor,
        functools.partial(trainer, dataset),
        directory.path,
        jobs,
        lambda job: progress.watch(job.name, job.name),
        progress.skip,
    )


def _thinking(folder: Path) -> float:
    """Seconds of a searcher."""
    return sum(row["searcher_seconds"] for row in Metrics(folder).rows())


def _search(
    one: ChildSearch,
    networks: Networks,
    directory: RunDirectory,
    store: ChildStore,
    trainers: Evaluator,
    progress: ProgressBars,
) -> tuple[list[Trial], Any]:
    """Runs a search in a folder of its own."""
    with (
        RunDirectory(directory.path / one.name, {"search": one.name}, resume=True) as own,
        progress.watch(one.name, f"{one.name}, seed {one.seed}", "children") as watcher,
    ):

        def improved(trial: Trial) -> None:
            draw_network(networks.genotype(as_array(trial.candidate)), own.path / "best")

        trials, state = one.run(own, store, trainers, watcher, improved)
        asked = dict.fromkeys(trial.candidate for trial in trials)
        check_trained(one.name, list(asked), store, watcher.say)
    return trials, state


def check_trained(
    name: str,
    candidates: Sequence[Candidate],
    store: ChildStore,
    say: Callable[[str], None] = lambda text: None,
) -> None:
    """Says so if more than half of some children failed.

    Raises:
      ChildrenFailed: if all did.
    """
    outcomes = [store[each] for each in candidates]
    failed = failures(outcomes)
    told = f"{name}: of {len(outcomes)} children {failed_children(outcomes)}"
    remedy = "a lower --child.learning-rate or a --child.grad-clip may help"
    if failed == len(outcomes):
        raise ChildrenFailed(f"{told}; there is none to choose from: {remedy}")
    if 2 * failed > len(outcomes):
        say(f"{told}, more than half: {remedy}")


def _winner(
    name: str,
    candidates: list[Candidate],
    epochs: int,
    finals: ChildStore,
    trainers: Evaluator,
    progress: ProgressBars,
) -> Candidate:
    """The best of a search's finalists, when they are trained longer."""
    title = f"{name}, the best trained longer"
    with progress.watch(f"{name}, finals", title, "children") as watcher:
        finals.train(candidates, epochs, trainers, watcher.progress)
        check_trained(title, candidates, finals, watcher.say)
        winner = max(
            (each for each in candidates if not finals[each].failure),
            key=lambda each: finals[each].accuracies[-1],
        )
        accuracy = finals[winner].accuracy
        watcher.tell(f"{title}: the winner has {accuracy:.2f}% of held-out images")
    return winner


def _write(
    path: Path,
    title: str,
    trials: dict[str, list[Trial]],
    results: list[Result],
    rewards: Table,
    told: list[Section],
    notes: list[Content],
) -> Path:
    """Writes tables, pictures and `report.md`, whose path it returns."""
    write_results(path, results)
    reward_curves(trials, path / "rewards")
    networks = []
    for each in results:
        genotype = dataclasses.replace(each.genotype, name=each.method)
        networks.append(
            network_section(path, each.method, genotype, f"The network of {each.method}")
        )
    sections = [
        results_section(results),
        Section("Searches", [Picture("Searches", "rewards.svg"), _REWARDS, rewards]),
        *told,
        *networks,
        Section("Notes", notes),
    ]
    return write_page(path, title, sections)

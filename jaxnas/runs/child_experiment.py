"""A whole experiment of a search that trains real children, with random search beside it."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import rich.console

from jaxnas import data, search
from jaxnas.data import Dataset
from jaxnas.runs import files
from jaxnas.runs.child_config import ChildExperiment
from jaxnas.runs.child_report import reward_curves, reward_table, seconds_table
from jaxnas.runs.child_search import ChildSearch, ChildStore, Reward, Trial, accuracy
from jaxnas.runs.child_training import Candidate, ChildTraining
from jaxnas.runs.config import WeightTraining
from jaxnas.runs.directory import RunDirectory
from jaxnas.runs.drawing import draw_network
from jaxnas.runs.evaluators import Evaluator, InProcess, LocalProcesses
from jaxnas.runs.experiment import run_method
from jaxnas.runs.finished import folder_name, read_method
from jaxnas.runs.method import MethodRun
from jaxnas.runs.report import write_report
from jaxnas.runs.results import print_results, write_results
from jaxnas.runs.stages import Stages
from jaxnas.search.blackbox import Algorithm
from jaxnas.spaces import Genotype
from jaxnas.spaces.block_cells import BlockCellSpace
from jaxnas.spaces.zoo.nasnet import nasnet_network

RANDOM = "random"
_REWARDS = (
    "Accuracy of each child on held-out training images (dots), the mean of the last twenty (line) "
    "and the best so far (dashed), by the number of children asked for."
)


def run_children(
    experiment: ChildExperiment,
    name: str,
    space: BlockCellSpace,
    child: WeightTraining,
    make: Callable[[], Algorithm],
    reward: Reward,
    settings: dict[str, Any],
) -> Path:
    """Searches, trains the best children longer and the best of these at full size.

    Random search does the same beside it, with as many children. The test images are read once, by
    the two networks of full size.

    Args:
      experiment: the flags.
      name: of the method, and part of the default directory's name.
      space: of the children, as they are trained in the search.
      child: how they are trained.
      make: makes the searcher.
      reward: what it is told of a child.
      settings: of the method, JSON-able; with `experiment` they say all that the result depends on.

    Returns:
      the path of the report.

    Raises:
      one of `experiment.USER_ERRORS`.
    """
    console = rich.console.Console(markup=False)  # names and paths may hold brackets
    label = experiment.dataset.replace(":", "-").replace("/", "-")
    path = experiment.run_dir or Path("runs") / f"{name}-{label}-seed{experiment.seed}"
    recorded = experiment.recorded() | {"search": name, "settings": settings}
    folder = RunDirectory(path, recorded, resume=experiment.resume, overwrite=experiment.overwrite)
    folder.check()  # what follows may take long
    dataset = load_dataset(experiment)
    # Made now, so that flags that cannot be are told of before anything trains.
    make_training(experiment, space, child, dataset)
    searches = {
        each: ChildSearch(
            each, algorithm, space, experiment.children, child.epochs, reward, experiment.seed
        )
        for each, algorithm in (
            (name, make()),
            (RANDOM, search.random(space, batch=experiment.random_batch)),
        )
    }
    full = {
        each: final_run(experiment, dataset, space, (0,) * len(space.options)) for each in searches
    }
    finalists = min(experiment.finalists, experiment.children)
    bars: dict[str, int] = {}
    for each in searches:
        bars |= {each: experiment.children, f"{each}, finals": finalists}
    bars |= {f"{each}, full size": full[each].total_steps for each in searches}
    with folder as directory, Stages(console, bars) as stages:
        trials: dict[str, list[Trial]] = {}
        winners: dict[str, Candidate] = {}
        with evaluator(experiment, space, child) as workers:
            store = ChildStore(directory)
            for each, one in searches.items():
                with (
                    RunDirectory(path / each, {"search": each}, resume=True) as own,
                    stages.watch(each, f"{each}, seed {experiment.seed}") as watcher,
                ):

                    def improved(trial: Trial, own: RunDirectory = own) -> None:
                        draw_network(space.decode(_array(trial.candidate)), own.path / "best")

                    trials[each] = one.run(
                        own,
                        store,
                        workers,
                        progress=watcher.progress,
                        say=watcher.say,
                        tell=watcher.tell,
                        improved=improved,
                    )
            with RunDirectory(path / "finals", {"finals": name}, resume=True) as own:
                finals = ChildStore(own)
                for each in searches:
                    title = f"{each}, the best trained longer"
                    with stages.watch(f"{each}, finals", title) as watcher:
                        winners[each] = train_finalists(
                            best(trials[each], finalists),
                            experiment.finalist_epochs,
                            finals,
                            workers,
                            watcher.progress,
                        )
        for each, winner in winners.items():
            write_winner(directory, each, space, experiment, winner)
            run = final_run(experiment, dataset, space, winner)
            with stages.watch(f"{each}, full size", f"{each}, full size") as watcher:
                run_method(run, each, directory, watcher)
        results = [
            dataclasses.replace(finished.result, method=each, base=name)
            for each in searches
            for finished in read_method(path / folder_name(each, (experiment.seed,)))
        ]
        write_results(path, results)
        reward_curves(trials, path / "rewards")
        table = reward_table(trials, store)
        seconds = seconds_table(store.outcomes())
        pictures = [("Search and random search", "rewards.svg", f"{_REWARDS}\n\n{table}")]
        for each in searches:
            genotype = Genotype.from_json(files.read_text(path / f"genotype_{each}.json"))
            draw_network(genotype, path / f"network_{each}")
            text = f"```\n{genotype}\n```"
            pictures.append((f"The network of {each}", f"network_{each}.svg", text))
        config = files.from_json(files.read_text(path / "config.json"), path / "config.json")
        notes = [
            f"Seconds of the children's training, by part:\n\n{seconds}",
            *(_winner_note(each, finals, winner) for each, winner in winners.items()),
        ]
        write_report(
            path,
            title=f"{name} on {dataset.name}",
            command=config["environment"]["command"],
            rows=results,
            pictures=pictures,
            notes=notes,
        )
    console.print(table, soft_wrap=True)
    print_results(console, results)
    report = path / "report.md"
    console.print(f"Report: {report}", highlight=False, soft_wrap=True)
    return report


def load_dataset(experiment: ChildExperiment) -> Dataset:
    """The data set of an experiment."""
    dataset = data.load(experiment.dataset, experiment.data_dir, download=experiment.download)
    return dataset if experiment.train_limit is None else dataset.limit(experiment.train_limit)


def make_training(
    experiment: ChildExperiment,
    space: BlockCellSpace,
    child: WeightTraining,
    dataset: Dataset | None = None,
) -> ChildTraining:
    """How children are trained, in the search and longer; a worker calls it too."""
    return ChildTraining(
        space,
        dataset or load_dataset(experiment),
        child,
        experiment.train_share,
        experiment.judged,
        max(child.epochs, experiment.finalist_epochs),
        experiment.seed,
    )


def evaluator(
    experiment: ChildExperiment, space: BlockCellSpace, child: WeightTraining
) -> Evaluator:
    """Who trains the children."""
    make = functools.partial(make_training, experiment, space, child)
    if experiment.workers:
        return LocalProcesses(make, experiment.workers)
    return InProcess(make)


def best(trials: Sequence[Trial], count: int) -> list[Candidate]:
    """The different children of highest reward, the first of equals first."""
    ranked = sorted(trials, key=lambda trial: -trial.reward)
    return list(dict.fromkeys(trial.candidate for trial in ranked))[:count]


def train_finalists(
    candidates: list[Candidate],
    epochs: int,
    store: ChildStore,
    workers: Evaluator,
    progress: Callable[[], None],
) -> Candidate:
    """The best of the candidates when trained longer."""
    missing = [each for each in candidates if each not in store]
    for _ in range(len(candidates) - len(missing)):
        progress()
    for outcome in workers.evaluate(missing, epochs):
        store.add(outcome)
        progress()
    return max(candidates, key=lambda each: accuracy(store[each]))


def full_size(experiment: ChildExperiment, space: BlockCellSpace, candidate: Candidate) -> Genotype:
    """A candidate's cells in the network of full size."""
    normal, reduction = space.cells(_array(candidate))
    return nasnet_network(
        space.name,
        normal,
        reduction,
        filters=experiment.channels,
        normal_cells=experiment.cells,
        stack="cifar",
        stem=3 * experiment.channels,
        in_place=len(space.tables) == 1,
    )


def final_run(
    experiment: ChildExperiment, dataset: Dataset, space: BlockCellSpace, candidate: Candidate
) -> MethodRun:
    """The training of a winner at full size, on all training images."""
    return MethodRun(
        "original",
        full_size(experiment, space, candidate),
        dataset,
        experiment.plain_training,
        (experiment.seed,),
        experiment.eval_every,
    )


def write_winner(
    directory: RunDirectory,
    name: str,
    space: BlockCellSpace,
    experiment: ChildExperiment,
    winner: Candidate,
) -> None:
    """Writes a winner's genotypes: at full size, and in the stack for large images."""
    normal, reduction = space.cells(_array(winner))
    large = nasnet_network(
        f"{space.name}_imagenet",
        normal,
        reduction,
        filters=44,
        normal_cells=12,
        stack="mobile",
        stem=32,
        in_place=len(space.tables) == 1,
    )
    genotype = dataclasses.replace(full_size(experiment, space, winner), name=name)
    directory.write_text(f"genotype_{name}.json", genotype.to_json() + "\n")
    directory.write_text(f"genotype_{name}_imagenet.json", large.to_json() + "\n")


def _array(candidate: Candidate) -> np.ndarray:
    return np.array(candidate, np.int32)


def _winner_note(name: str, finals: ChildStore, winner: Candidate) -> str:
    return (
        f"{name}: the winner had {accuracy(finals[winner]):.2f}% of the held-out images after the "
        f"longer training; genotype_{name}.json is it at full size, genotype_{name}_imagenet.json "
        "in the stack for large images (`--base` of the other commands)."
    )

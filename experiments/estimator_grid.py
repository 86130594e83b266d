"""Which reading of PNAA's architecture parameters measures best: the grid behind the defaults.

    python experiments/estimator_grid.py --part 0 --parts 1

Trains on the first images of CIFAR-10's training set and scores on other images of it, never on the
test set. Writes one row a trial to `trials-PART.csv`. `--part` of `--parts` splits the trials over
processes. A trial takes 2 to 3 minutes on one CPU core to itself.
"""

from __future__ import annotations

import csv
import dataclasses
import itertools
from pathlib import Path

from jaxnas.commands.script import run_script
from jaxnas.data import load
from jaxnas.runs.adaptation_run import method_run
from jaxnas.runs.config import Training
from jaxnas.runs.flags.adaptation import AdaptationFlags
from jaxnas.spaces import zoo
from jaxnas.storage import files


@dataclasses.dataclass(frozen=True)
class Grid:
    """Trials of every estimator."""

    data_dir: Path | None = None
    """The folder of data sets; by default $JAXNAS_DATA_DIR, or ./data."""
    bases: tuple[str, ...] = ("plain20", "resnet20")
    """The networks to adapt."""
    seeds: tuple[int, ...] = (0,)
    """Seeds of the trials."""
    estimators: tuple[str, ...] = ("original", "mixed", "raw")
    """Estimators to try, and the network left alone."""
    arch_learning_rates: tuple[float, ...] = (0.01, 0.03)
    """Learning rates of the architecture parameters."""
    arch_data: tuple[str, ...] = ("train",)
    """Images that move the architecture parameters."""
    warmup_epochs: tuple[int, ...] = (1,)
    """Numbers of epochs before the architecture parameters move."""
    method: str = "cell"
    """Granularity of the adaptation: cell or full."""
    images: int = 2000
    """Number of training images; as many others are the validation set."""
    epochs: int = 6
    """Number of epochs of a trial, two thirds of which adapt."""
    part: int = 0
    """Number of this process's part of the trials, from 0."""
    parts: int = 1
    """Number of processes that share the trials."""
    out: Path = Path("runs/estimator_grid")
    """The folder of the tables."""


def main(grid: Grid) -> None:
    """Runs this part's trials."""
    cifar = load("cifar10", grid.data_dir)
    images = slice(0, grid.images)
    held_out = slice(len(cifar.train_images) - grid.images, None)
    dataset = dataclasses.replace(
        cifar,
        train_images=cifar.train_images[images],
        train_labels=cifar.train_labels[images],
        test_images=cifar.train_images[held_out],
        test_labels=cifar.train_labels[held_out],
    )
    trials = []
    for base, seed, estimator in itertools.product(grid.bases, grid.seeds, grid.estimators):
        choices = itertools.product(grid.arch_learning_rates, grid.arch_data, grid.warmup_epochs)
        for rate, arch_data, warmup in choices:
            trials.append((base, seed, estimator, rate, arch_data, warmup))
            if estimator == "original":
                break
    files.make_folder(grid.out)
    with (grid.out / f"trials-{grid.part}.csv").open("a", newline="") as file:
        writer = csv.writer(file)
        for trial in trials[grid.part :: grid.parts]:
            base, seed, estimator, rate, arch_data, warmup = trial
            adapts = estimator != "original"
            adaptation = AdaptationFlags(
                adapt_epochs=2 * grid.epochs // 3,
                warmup_epochs=warmup,
                estimator=estimator if adapts else "raw",  # pyright: ignore[reportArgumentType]
                arch_learning_rate=rate,
                arch_data=arch_data,  # pyright: ignore[reportArgumentType]
            )
            run = method_run(
                grid.method if adapts else "original",  # pyright: ignore[reportArgumentType]
                zoo.named(base),
                dataset,
                Training(epochs=grid.epochs, batch_size=64, learning_rate=0.05),
                (seed,),
                grid.epochs,
                adaptation=adaptation,
            )
            (outcome,) = run.run()
            result = outcome.result
            edges = "; ".join(
                f"{cell.name}: {', '.join(str(edge) for edge in cell.edges)}"
                for cell in outcome.result.genotype.cells
            )
            row = [*trial, f"{result.test_accuracy:.2f}", result.macs, f"{result.seconds:.0f}"]
            writer.writerow([*row, edges, " ".join(outcome.notes)])
            file.flush()
            print(*row, edges, flush=True)
            if outcome.theta is not None:
                print(outcome.theta[-1].round(2).tolist(), flush=True)


if __name__ == "__main__":
    run_script(Grid, __doc__, main)

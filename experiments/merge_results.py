"""One table of several runs: seeds that ran on different machines, or methods run apart.

    python experiments/merge_results.py runs/seed0 runs/seed1 --out runs/all

Prints the table, rows sorted by base, method and seed, and writes `results.json`, `results.csv` and
`table.md` into `--out`. Runs on other images, labels or class names by the same name are refused.
"""

from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path
from typing import Annotated, get_args

import rich.console
import tyro

from jaxnas.commands.script import run_script
from jaxnas.reports import Result, read_results, results_table, write_results
from jaxnas.runs.config import ConfigError, Method
from jaxnas.storage import RunError, files
from jaxnas.storage.directory import DATA

METHODS = (*get_args(Method), "found", "random")


@dataclasses.dataclass(frozen=True)
class Merge:
    """Merges results."""

    runs: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Run directories whose results are merged."""
    out: Path = Path("runs/merged")
    """The folder of the merged results."""

    def __post_init__(self) -> None:
        if not self.runs:
            raise ConfigError("name at least one run directory")
        if self.out.resolve() in [run.resolve() for run in self.runs]:
            raise ConfigError(f"--out {self.out} is one of the runs; choose another folder")


def _place(method: str) -> int:
    """Of a method among the rows; those of searches come last."""
    return METHODS.index(method) if method in METHODS else len(METHODS)


def refuse_other_data(read: list[tuple[Path, list[Result]]]) -> list[Path]:
    """Refuses runs on different data by one name; returns those that do not say which they had.

    Args:
      read: each run's folder and rows.

    Raises:
      RunError: naming two runs whose fingerprints differ.
    """
    known: dict[str, tuple[Path, str]] = {}
    unknown = []
    for run, rows in read:
        file = run / "config.json"
        config = files.from_json(files.read_text(file), file) if file.exists() else None
        if not isinstance(config, dict) or DATA not in config:
            unknown.append(run)
            continue
        for name in dict.fromkeys(row.dataset for row in rows):
            other, data = known.setdefault(name, (run, config[DATA]))
            if data != config[DATA]:
                raise RunError(
                    f"{other} and {run} have results on different data by the name of {name} "
                    f"({DATA} {data!s:.12} and {config[DATA]!s:.12}); merge runs on the same"
                )
    return unknown


def main(merge: Merge) -> None:
    """Reads, checks that no row stands twice, prints and writes."""
    read = [(run, read_results(run)) for run in merge.runs]
    unknown = refuse_other_data(read)
    rows = [row for _, each in read for row in each]
    rows.sort(key=lambda row: (row.base, row.dataset, _place(row.method), row.method, row.seed))
    for one, next_ in itertools.pairwise(rows):
        if (one.base, one.dataset, one.method, one.seed) == (
            next_.base,
            next_.dataset,
            next_.method,
            next_.seed,
        ):
            raise RunError(
                f"{one.method} of {one.base} with seed {one.seed} stands in two of the runs; "
                "give each once"
            )
    files.make_folder(merge.out)
    write_results(merge.out, rows)
    table = results_table(rows)
    files.write_bytes(merge.out / "table.md", table.markdown().encode("utf-8"))
    table.print(rich.console.Console())
    if unknown:
        print(f"Not recorded which images these had: {', '.join(map(str, unknown))}.")


if __name__ == "__main__":
    run_script(Merge, __doc__, main)

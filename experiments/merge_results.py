"""One table of several runs: seeds that ran on different machines, or methods run apart.

    python experiments/merge_results.py runs/seed0 runs/seed1 --out runs/all

Prints the table, rows sorted by base, method and seed, and writes `results.json`, `results.csv` and
`table.md` into `--out`.
"""

from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path
from typing import Annotated, get_args

import rich.console
import tyro

from jaxnas.commands.script import run_script
from jaxnas.reports import read_results, results_table, write_results
from jaxnas.runs.config import Method
from jaxnas.storage import RunError, files

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
            raise RunError("name at least one run directory")
        if self.out.resolve() in [run.resolve() for run in self.runs]:
            raise RunError(f"--out {self.out} is one of the runs; choose another folder")


def _place(method: str) -> int:
    """Of a method among the rows; those of searches come last."""
    return METHODS.index(method) if method in METHODS else len(METHODS)


def main(merge: Merge) -> None:
    """Reads, checks that no row stands twice, prints and writes."""
    rows = [row for run in merge.runs for row in read_results(run)]
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
    merge.out.mkdir(parents=True, exist_ok=True)
    write_results(merge.out, rows)
    table = results_table(rows)
    files.write_bytes(merge.out / "table.md", table.markdown().encode("utf-8"))
    table.print(rich.console.Console())


if __name__ == "__main__":
    run_script(Merge, __doc__, main)

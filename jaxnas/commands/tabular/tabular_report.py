"""What searchers found on a table, as rows, a table to read and curves of regret."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from jaxnas.commands.tabular.tabular_search import Regrets
from jaxnas.reports import style
from jaxnas.reports.statistics import CONFIDENCE, Spread, paired_difference, wins
from jaxnas.reports.tables import Column, Table
from jaxnas.storage import files


def result_rows(
    found: Sequence[Regrets], valid: np.ndarray, test: np.ndarray | None
) -> list[dict[str, Any]]:
    """A row for each algorithm: mean and standard deviation of the last incumbents over seeds.

    Args:
      found: what was found.
      valid: float [size]: the accuracy that was the reward, percent.
      test: float [size]: the accuracy to report, percent; None for `valid`.
    """
    rows = []
    for each in found:
        last = each.incumbents[:, -1]
        row: dict[str, Any] = {
            "algorithm": each.algorithm,
            "seeds": len(last),
            "queries": each.incumbents.shape[1],
        }
        for name, accuracies in (("valid", valid), ("test", test)):
            if accuracies is None:
                continue
            values = accuracies[last]
            row[f"{name}_mean"] = round(float(values.mean()), 4)
            row[f"{name}_std"] = round(float(values.std(ddof=1)), 4) if len(last) > 1 else None
        rows.append(
            row
            | {"seconds": round(each.seconds, 3), "compile_seconds": round(each.compile_seconds, 3)}
        )
    return rows


def search_table(
    found: Sequence[Regrets],
    valid: np.ndarray,
    test: np.ndarray | None,
    headings: Sequence[str] = ("validation", "test"),
) -> Table:
    """The rows with what random search found to compare with; see `result_rows`.

    Args:
      found: what was found, by random search too.
      valid: float [size]: the accuracy that was the reward, percent.
      test: float [size]: the accuracy to report, percent; None for `valid`.
      headings: what the table calls those there are.

    Raises:
      ValueError: if none of `found` is of the algorithm "random".
    """
    random = next((each for each in found if each.algorithm == "random"), None)
    if random is None:
        raise ValueError('found must hold random search, by the name "random", to compare with')
    judged = valid if test is None else test
    baseline = judged[random.incumbents[:, -1]]
    columns = [
        Column("algorithm", left=True),
        Column("seeds"),
        Column("queries"),
        *(Column(heading, ".2f") for heading in headings),
        Column("minus random"),
        Column("above random"),
        Column("seconds", ".2f"),
        Column("compilation", ".1f"),
    ]
    lines = []
    for each, row in zip(found, result_rows(found, valid, test), strict=True):
        values = judged[each.incumbents[:, -1]]
        compared: list[Any] = [None, None]
        if each is not random:
            ours, theirs = (dict(enumerate(of.tolist())) for of in (values, baseline))
            compared = [paired_difference(ours, theirs), wins(values, baseline)]
        spreads = [
            Spread(row[f"{of}_mean"], row[f"{of}_std"])
            for of in ("valid", "test")
            if f"{of}_mean" in row
        ]
        seconds = [row["seconds"], row["compile_seconds"]]
        lines.append([each.algorithm, row["seeds"], row["queries"], *spreads, *compared, *seconds])
    return Table(columns, lines)


def write_found(
    path: Path,
    found: Sequence[Regrets],
    names: Sequence[str],
    accuracy: np.ndarray,
    split: str = "test",
) -> None:
    """Writes a CSV with a row for each algorithm and seed: the architecture and its accuracy.

    Args:
      path: the file.
      found: what was found.
      names: names of the architectures, by code.
      accuracy: float [size], percent.
      split: of the images that it is of.
    """
    columns = ["algorithm", "seed", "architecture"]
    rows = [
        [each.algorithm, seed, names[code], accuracy[code]]
        for each in found
        for seed, code in enumerate(each.incumbents[:, -1].tolist())
    ]
    table = Table([*map(Column, columns), Column(f"{split}_accuracy", ".5g")], rows)
    files.write_bytes(path, table.csv().encode())


def regret_curves(
    path: Path, found: Sequence[Regrets], accuracy: np.ndarray, title: str, split: str = "test"
) -> None:
    """Draws to `path`.svg and .png what the incumbents lack of the best accuracy, percent.

    Lines are means over the seeds, bands their 95% confidence interval.
    """
    best = float(accuracy.max())
    half = float(stats.norm.ppf((1 + CONFIDENCE) / 2))
    with style.picture(path, 5.6, 3.4) as figure:
        axes = figure.add_subplot()
        for each, colour in zip(found, style.LINES, strict=False):
            regret = best - accuracy[each.incumbents]
            queries = np.arange(1, regret.shape[1] + 1)
            mean = regret.mean(0)
            axes.plot(queries, mean, color=colour, linewidth=1.4, label=each.algorithm)
            if len(regret) > 1:
                error = half * regret.std(0, ddof=1) / math.sqrt(len(regret))
                low = np.maximum(mean - error, 1e-3)  # the axis is logarithmic
                axes.fill_between(queries, low, mean + error, color=colour, alpha=0.25, linewidth=0)
        axes.set_yscale("log")
        axes.set_xlabel("queries")
        axes.set_ylabel(f"regret: {best:.2f} less {split} accuracy, %")
        axes.set_title(title)
        axes.legend()

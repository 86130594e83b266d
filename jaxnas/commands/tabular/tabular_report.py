"""What searchers found on a table, as rows, a table to read and curves of regret."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from jaxnas.commands.tabular.tabular_search import Found
from jaxnas.reports import style
from jaxnas.reports.statistics import CONFIDENCE, paired_difference, spread, wins
from jaxnas.storage import files


def result_rows(
    found: Sequence[Found], valid: np.ndarray, test: np.ndarray
) -> list[dict[str, Any]]:
    """A row for each algorithm: of the last incumbents, mean and standard deviation over seeds.

    Args:
      found: what was found.
      valid: float [size]: the accuracy that was the reward, percent.
      test: float [size]: the accuracy to report, percent.
    """
    rows = []
    for each in found:
        last = each.incumbents[:, -1]
        row: dict[str, Any] = {
            "algorithm": each.algorithm,
            "seeds": len(last),
            "queries": each.incumbents.shape[1],
        }
        for name, values in (("valid", valid[last]), ("test", test[last])):
            row[f"{name}_mean"] = round(float(values.mean()), 4)
            row[f"{name}_std"] = round(float(values.std(ddof=1)), 4) if len(last) > 1 else None
        rows.append(
            row
            | {"seconds": round(each.seconds, 3), "compile_seconds": round(each.compile_seconds, 3)}
        )
    return rows


def markdown(found: Sequence[Found], valid: np.ndarray, test: np.ndarray) -> str:
    """The rows as a table, with what random search found to compare with; see `result_rows`.

    Raises:
      ValueError: if none of `found` is of the algorithm "random".
    """
    random = next((each for each in found if each.algorithm == "random"), None)
    if random is None:
        raise ValueError('found must hold random search, by the name "random", to compare with')
    baseline = test[random.incumbents[:, -1]]
    lines = [
        "| algorithm | seeds | queries | validation, 12 epochs | test, 200 epochs | minus random | "
        "above random | seconds | compilation |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for each, row in zip(found, result_rows(found, valid, test), strict=True):
        values = test[each.incumbents[:, -1]]
        cells = ["", ""]
        if each is not random:
            less = paired_difference(
                dict(enumerate(values.tolist())), dict(enumerate(baseline.tolist()))
            )
            cells = [str(less), str(wins(values, baseline))]
        lines.append(
            f"| {each.algorithm} | {row['seeds']} | {row['queries']} "
            f"| {spread(row['valid_mean'], row['valid_std'])} "
            f"| {spread(row['test_mean'], row['test_std'])} | {cells[0]} | {cells[1]} "
            f"| {row['seconds']:.2f} | {row['compile_seconds']:.1f} |"
        )
    return "\n".join(lines) + "\n"


def write_found(path: Path, found: Sequence[Found], names: Sequence[str], test: np.ndarray) -> None:
    """Writes a CSV with a row for each algorithm and seed: the architecture and its accuracy.

    Args:
      path: of the file.
      found: what was found.
      names: of the architectures, by code.
      test: float [size], percent.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["algorithm", "seed", "architecture", "test_accuracy"])
    for each in found:
        for seed, code in enumerate(each.incumbents[:, -1].tolist()):
            writer.writerow([each.algorithm, seed, names[code], f"{test[code]:.5g}"])
    files.write_bytes(path, text.getvalue().encode())


def regret_curves(path: Path, found: Sequence[Found], test: np.ndarray, title: str) -> None:
    """Draws to `path`.svg and .png what the incumbents lack of the best test accuracy.

    Lines are means over the seeds, bands their 95% confidence interval.
    """
    best = float(test.max())
    half = float(stats.norm.ppf((1 + CONFIDENCE) / 2))
    with style.style():
        figure = style.figure(5.6, 3.4)
        axes = figure.add_subplot()
        for each, colour in zip(found, style.LINES, strict=False):
            regret = best - test[each.incumbents]
            queries = np.arange(1, regret.shape[1] + 1)
            mean = regret.mean(0)
            axes.plot(queries, mean, color=colour, linewidth=1.4, label=each.algorithm)
            if len(regret) > 1:
                error = half * regret.std(0, ddof=1) / math.sqrt(len(regret))
                low = np.maximum(mean - error, 1e-3)  # the axis is logarithmic
                axes.fill_between(queries, low, mean + error, color=colour, alpha=0.25, linewidth=0)
        axes.set_yscale("log")
        axes.set_xlabel("queries")
        axes.set_ylabel(f"regret: {best:.2f} less test accuracy, %")
        axes.set_title(title)
        axes.legend()
        figure.tight_layout()
        style.save(figure, path)

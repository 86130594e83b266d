"""The experiment over a table: searchers, their results, and what is written of them."""

from __future__ import annotations

from pathlib import Path

import rich.console

from jaxnas import tabular
from jaxnas.commands.tabular.tabular_report import (
    regret_curves,
    result_rows,
    search_table,
    write_found,
)
from jaxnas.commands.tabular.tabular_search import (
    SEARCHERS,
    TabularSearch,
    rewards_of,
    run_searcher,
)
from jaxnas.reports.page import Picture, Section, write_page
from jaxnas.spaces import NASBench201Space
from jaxnas.storage.directory import checked_directory
from jaxnas.tabular.nasbench201 import arch_strings


def run_tabular(settings: TabularSearch) -> Path:
    """Runs the searchers and writes everything into the run directory.

    Returns:
      the path of `report.md`.

    Raises:
      RunError: if the run directory cannot be used.
      TabularError: if the table is not there or damaged.
    """
    console = rich.console.Console(markup=False)
    directory = checked_directory(settings)
    table = tabular.load_nasbench201(settings.table)
    space = NASBench201Space()
    rewards = rewards_of(table, settings.dataset)
    valid, test, judged, split = rewards.valid, rewards.test, rewards.judged, rewards.split
    console.print(f"Table: {table.source}", highlight=False, soft_wrap=True)
    with directory as run:
        found = []
        for name in settings.algorithms:
            console.print(f"{name}: compiling, then searching")
            searcher = SEARCHERS[name]
            found.append(
                run_searcher(name, searcher, space, valid / 100, settings.seeds, settings.queries)
            )
            (row,) = result_rows(found[-1:], valid, test)
            console.print(
                f"{name}: {split} {row[f'{split}_mean']:.2f}%, {found[-1].seconds:.1f} s after "
                f"{found[-1].compile_seconds:.1f} s of compilation"
            )
        names = arch_strings()
        title = f"NAS-Bench-201, {settings.dataset}, {settings.seeds} seeds"
        run.write_json("results.json", result_rows(found, valid, test))
        write_found(run.path / "found.csv", found, names, judged, split)
        regret_curves(run.path / "regret", found, judged, title, split)
        text = (
            f"Each search looks up {settings.queries} architectures. {rewards.text} "
            f"The best of the table is {float(judged.max()):.2f}. Mean ± standard "
            f"deviation over {settings.seeds} seeds; *minus random*: mean difference, seed by "
            "seed, with Student's 95% interval; *above random*: how often a search's answer is "
            "better than one of random search, all pairs, ties half, with a 95% interval. Seconds "
            "are of all seeds together, compilation apart."
        )
        files = (
            "`found.csv` names each seed's architecture; `results.json` has the table's numbers."
        )
        drawn = Picture("Regret over queries", "regret.svg")
        compared = search_table(found, valid, test, rewards.headings)
        report = write_page(run.path, title, [Section("Results", [text, compared, drawn, files])])
    compared.print(console)
    console.print(f"{report} says more; regret.svg is the picture")
    return report

"""What a run found, told: rows of results, tables, curves, pages, and networks as pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jaxnas.lazy import at_first_use

if TYPE_CHECKING:
    from jaxnas.reports.drawing.drawing import draw_adaptation, draw_network
    from jaxnas.reports.plots import learning_curves, theta_heatmap
    from jaxnas.reports.report import write_report
    from jaxnas.reports.results import (
        Result,
        Summary,
        markdown_table,
        print_results,
        read_results,
        summary,
        write_results,
    )

__all__ = [
    "Result",
    "Summary",
    "draw_adaptation",
    "draw_network",
    "learning_curves",
    "markdown_table",
    "print_results",
    "read_results",
    "summary",
    "theta_heatmap",
    "write_report",
    "write_results",
]

_MODULES = {
    "Result": "results",
    "Summary": "results",
    "draw_adaptation": "drawing.drawing",
    "draw_network": "drawing.drawing",
    "learning_curves": "plots",
    "markdown_table": "results",
    "print_results": "results",
    "read_results": "results",
    "summary": "results",
    "theta_heatmap": "plots",
    "write_report": "report",
    "write_results": "results",
}

__getattr__ = at_first_use(__name__, _MODULES)

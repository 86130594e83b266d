"""What a run found, told: rows of results, tables, curves, pages, and networks as pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jaxnas.lazy import at_first_use

if TYPE_CHECKING:
    from jaxnas.reports.drawing.drawing import draw_adaptation, draw_network
    from jaxnas.reports.page import Picture, Section, write_page
    from jaxnas.reports.plots import learning_curves, theta_heatmap
    from jaxnas.reports.results import (
        Result,
        Summary,
        read_results,
        results_table,
        summaries,
        write_results,
    )
    from jaxnas.reports.tables import Column, Table

__all__ = [
    "Column",
    "Picture",
    "Result",
    "Section",
    "Summary",
    "Table",
    "draw_adaptation",
    "draw_network",
    "learning_curves",
    "read_results",
    "results_table",
    "summaries",
    "theta_heatmap",
    "write_page",
    "write_results",
]

_MODULES = {
    "Column": "tables",
    "Picture": "page",
    "Result": "results",
    "Section": "page",
    "Summary": "results",
    "Table": "tables",
    "draw_adaptation": "drawing.drawing",
    "draw_network": "drawing.drawing",
    "learning_curves": "plots",
    "read_results": "results",
    "results_table": "results",
    "summaries": "results",
    "theta_heatmap": "plots",
    "write_page": "page",
    "write_results": "results",
}

__getattr__ = at_first_use(__name__, _MODULES)

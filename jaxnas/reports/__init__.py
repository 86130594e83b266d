"""What a run found, told: rows of results, tables, curves, pages, and networks as pictures."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

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
    "draw_adaptation": "drawing.drawing",
    "draw_network": "drawing.drawing",
    "learning_curves": "plots",
    "theta_heatmap": "plots",
    "write_report": "report",
}


def __getattr__(name: str) -> Any:
    # Looked up when first used, so that drawings and results come without JAX.
    if name in __all__:
        module = importlib.import_module(f"jaxnas.reports.{_MODULES.get(name, 'results')}")
        return getattr(module, name)
    raise AttributeError(f"module 'jaxnas.reports' has no attribute {name!r}")

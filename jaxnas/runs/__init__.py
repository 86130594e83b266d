"""What a run leaves behind: a folder with its configuration, metrics, checkpoints and results."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jaxnas.runs.checkpoints import Checkpoints
    from jaxnas.runs.digest import run_digest
    from jaxnas.runs.directory import RunDirectory
    from jaxnas.runs.drawing import draw_adaptation, draw_network
    from jaxnas.runs.files import RunError
    from jaxnas.runs.plots import learning_curves, theta_heatmap
    from jaxnas.runs.report import write_report
    from jaxnas.runs.results import (
        Result,
        Summary,
        markdown_table,
        print_results,
        read_results,
        summary,
        write_results,
    )

__all__ = [
    "Checkpoints",
    "Result",
    "RunDirectory",
    "RunError",
    "Summary",
    "draw_adaptation",
    "draw_network",
    "learning_curves",
    "markdown_table",
    "print_results",
    "read_results",
    "run_digest",
    "summary",
    "theta_heatmap",
    "write_report",
    "write_results",
]

_MODULES = {
    "Checkpoints": "checkpoints",
    "RunDirectory": "directory",
    "RunError": "files",
    "draw_adaptation": "drawing",
    "draw_network": "drawing",
    "learning_curves": "plots",
    "run_digest": "digest",
    "theta_heatmap": "plots",
    "write_report": "report",
}


def __getattr__(name: str) -> Any:
    # Looked up when first used, so that flags, drawings and results come without JAX.
    if name in __all__:
        module = importlib.import_module(f"jaxnas.runs.{_MODULES.get(name, 'results')}")
        return getattr(module, name)
    raise AttributeError(f"module 'jaxnas.runs' has no attribute {name!r}")

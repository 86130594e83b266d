"""What a run leaves behind: a folder with its configuration, metrics, checkpoints and results."""

from jaxnas.runs.checkpoints import Checkpoints
from jaxnas.runs.digest import digest, run_digest
from jaxnas.runs.directory import RunDirectory
from jaxnas.runs.drawing import draw_adaptation, draw_network
from jaxnas.runs.files import RunError
from jaxnas.runs.plots import learning_curves, theta_heatmap
from jaxnas.runs.report import write_report
from jaxnas.runs.results import (
    Result,
    Summary,
    markdown_table,
    read_results,
    results_table,
    summary,
    write_results,
)

__all__ = [
    "Checkpoints",
    "Result",
    "RunDirectory",
    "RunError",
    "Summary",
    "digest",
    "draw_adaptation",
    "draw_network",
    "learning_curves",
    "markdown_table",
    "read_results",
    "results_table",
    "run_digest",
    "summary",
    "theta_heatmap",
    "write_report",
    "write_results",
]

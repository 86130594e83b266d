"""`report.md`: a run told on one page."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jaxnas.reports.results import Result, markdown_table, without_labels
from jaxnas.storage import files

_ACCURACY = (
    "Accuracy: test accuracy of the final network; mean ± sample standard deviation (n - 1)."
)
_FROZEN = (
    "Mean ± sample standard deviation (n - 1). Nothing was trained with labels but classifiers of "
    "the frozen features: the linear probe is logistic regression by SGD, ridge accuracy that of "
    "least squares, kNN accuracy that of the nearest training images, each on all training images, "
    "in percent of the test images.\n\nUntrained numbers are of the network before its first step, "
    "its batch norms' statistics estimated on the training images."
)
_DIFFERENCES = (
    "Differences in points, means over pairs of equal seeds with Student's 95% interval; *not "
    "shown* is an interval that holds 0:"
)


def write_report(
    folder: str | os.PathLike[str],
    *,
    title: str,
    command: str,
    rows: Sequence[Result],
    pictures: Sequence[tuple[str, str, str]],
    notes: Sequence[str],
    differences: Sequence[str] = (),
) -> None:
    """Writes `report.md` into a run's folder, whole or not at all.

    Args:
      folder: holds the run's `config.json`.
      title: the heading.
      command: what made the run.
      rows: the results.
      pictures: caption, file name in the folder and explanation of each.
      notes: a paragraph each.
      differences: between methods, a line each.

    Raises:
      RunError: if `config.json` is missing or damaged, or a picture is not there.
    """
    folder = Path(folder)
    config = files.from_json(files.read_text(folder / "config.json"), folder / "config.json")
    for _, name, _ in pictures:
        if not (folder / name).is_file():
            raise files.RunError(f"there is no picture {folder / name}; draw it before the report")
    fields = {name: value for name, value in config.items() if name != "environment"}
    parts = [
        f"# {title}",
        f"```\n{command}\n```",
        "## Results",
        markdown_table(rows).rstrip(),
        _FROZEN if without_labels(rows) else _ACCURACY,
        *([_DIFFERENCES, "\n".join(f"- {line}" for line in differences)] if differences else []),
        *(
            f"## {caption}\n\n![{caption}]({name})\n\n{explanation}"
            for caption, name, explanation in pictures
        ),
        *(["## Notes", *notes] if notes else []),
        "## Configuration",
        _listing(fields),
        "## Environment",
        _listing(config.get("environment", {})),
    ]
    files.write_bytes(folder / "report.md", ("\n\n".join(parts) + "\n").encode("utf-8"))


def _listing(fields: dict[str, Any], prefix: str = "") -> str:
    """Nested fields as a Markdown list, one line each, under their dotted names."""
    lines = []
    for name, value in fields.items():
        if isinstance(value, dict) and value:
            lines.append(_listing(value, f"{prefix}{name}."))
        else:
            text = value if isinstance(value, str) else files.to_json(value, name)
            lines.append(f"- {prefix}{name}: `{text}`")
    return "\n".join(lines)

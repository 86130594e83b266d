"""Architecture parameters over the epochs as a slider."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping, Sequence

import numpy as np

from jaxnas.spaces.adaptation import CANDIDATES

_MOST_EPOCHS = 150  # that a slider has; more are thinned out, the last one stays


def theta_slider(
    theta: np.ndarray, tables: Mapping[str, Sequence[str]], possible: np.ndarray, *, raw: bool
) -> str:
    """What every edge chose after each epoch of adaptation, and how strongly, as HTML.

    Without a script it shows the last epoch. A share is a candidate's weight among those that are
    possible: softmax(θ), or θ over its sum where θ are weights themselves.

    Args:
      theta: float [epochs + 1, tables, edges, 3], the first row from before the first epoch.
      tables: name of each table and of its edges.
      possible: bool [tables, edges, 3], what an edge may become.
      raw: whether θ are weights themselves, as the estimator ``raw`` has them.
    """
    kept = np.unique(np.linspace(0, len(theta) - 1, min(len(theta), _MOST_EPOCHS)).astype(int))
    named = np.zeros(possible.shape[:2], bool)  # the rest is padding
    for table, edges in enumerate(tables.values()):
        named[table, : len(edges)] = True
    thousandths = np.rint(1000 * _shares(theta[kept], possible, raw)).astype(int)[:, named]
    data = {"epochs": kept.tolist(), "shares": thousandths.reshape(len(kept), -1).tolist()}
    last = iter(thousandths[-1].tolist())
    cells = "\n".join(
        f"<section><h3>{html.escape(name)}</h3>{''.join(_edge(each, next(last)) for each in edges)}"
        "</section>"
        for name, edges in tables.items()
    )
    legend = "".join(f'<span class="{name}">{name}</span>' for name in CANDIDATES)
    return (
        '<div class="theta">\n<p class="control" hidden><button type="button">Play</button>'
        f'<input type="range" min="0" max="{len(kept) - 1}" value="{len(kept) - 1}" '
        'aria-label="epoch of adaptation"></p>\n'
        f'<p class="legend"><output>after epoch {kept[-1]}</output>{legend}</p>\n'
        f'<div class="cells">\n{cells}\n</div>\n'
        f'<script type="application/json">{json.dumps(data, separators=(",", ":"))}</script>\n'
        "</div>"
    )


def _shares(theta: np.ndarray, possible: np.ndarray, raw: bool) -> np.ndarray:
    """Weights of the candidates, which sum to 1 over those that are possible."""
    if raw:
        weights = np.where(possible, theta, 0.0)
    else:
        peak = np.where(possible, theta, -np.inf).max(-1, keepdims=True, initial=-1e9)
        weights = np.where(possible, np.exp(np.minimum(theta - peak, 0.0)), 0.0)
    total = weights.sum(-1, keepdims=True)
    even = possible / np.maximum(possible.sum(-1, keepdims=True), 1)
    return np.where(total > 0, weights / np.where(total > 0, total, 1.0), even)


def _edge(name: str, shares: list[int]) -> str:
    best = int(np.argmax(shares))
    bars = "".join(
        f'<i class="{candidate}" style="width:{share / 10:g}%"></i>'
        for candidate, share in zip(CANDIDATES, shares, strict=True)
    )
    return (
        f'<div class="edge"><span>{html.escape(name)}</span><span class="bar">{bars}</span>'
        f"<b>{CANDIDATES[best]} {round(shares[best] / 10)}%</b></div>"
    )

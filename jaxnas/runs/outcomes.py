"""What the seeds of a run come to."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxnas import nn
from jaxnas.data import Dataset
from jaxnas.reports.results import Result
from jaxnas.runs.objectives import Judged
from jaxnas.spaces import Genotype
from jaxnas.storage.digest import run_digest


class SeedOutcome(NamedTuple):
    """What one seed of a run came to.

    Attributes:
      result: the row of the table.
      genotype: the final network.
      variables: its trained ``params`` and ``batch_stats``.
      theta: float32 [epochs of adaptation + 1, tables, edges, 3], θ over time, from the start on;
        None where nothing adapts.
      notes: what a reader of the result should know.
    """

    result: Result
    genotype: Genotype
    variables: Any
    theta: np.ndarray | None
    notes: tuple[str, ...]


class Architecture(NamedTuple):
    """The network that a seed ends with.

    Attributes:
      genotype: the network.
      changes: what became of the base's edges, in words; empty where it was left alone.
      notes: what a reader should know of it.
    """

    genotype: Genotype
    changes: str = ""
    notes: tuple[str, ...] = ()


def seed_outcome(
    architecture: Architecture,
    judged: Judged,
    dataset: Dataset,
    *,
    method: str,
    base: str,
    seed: int,
    epochs: int,
    seconds: float,
    vmap_width: int,
) -> SeedOutcome:
    """A seed's row and what goes with it; other arguments are those of `Result`."""
    genotype, scores = architecture.genotype, readable(judged.scores)
    size = nn.cost(nn.build(genotype, dataset.num_classes), dataset.input_shape)
    device = jax.devices()[0]
    result = Result(
        method=method,
        base=base,
        dataset=dataset.name,
        seed=seed,
        test_accuracy=scores.pop("test_accuracy"),
        test_loss=scores.pop("test_loss"),
        params=size.params,
        macs=size.macs,
        seconds=seconds,
        epochs=epochs,
        device=f"{device.platform}: {device.device_kind}",
        vmap_width=vmap_width,
        digest=run_digest(judged.variables["params"], genotype.to_json()),
        genotype=json.loads(genotype.to_json()),
        changes=architecture.changes,
        scores=scores,
    )
    notes = (f"{method}, seed {seed}: {n}" for n in (*judged.notes, *architecture.notes))
    return SeedOutcome(result, genotype, judged.variables, None, tuple(notes))


def as_lists(scores: dict[str, jax.Array]) -> dict[str, Any]:
    """Scores, scalar or [seeds], for JSON; exactly, since every float32 is a float64."""
    return {name: np.asarray(each).tolist() for name, each in scores.items()}


def of_seed(scores: dict[str, Any], index: int) -> dict[str, float]:
    """The scores of one seed, of scores that are scalar or [seeds]."""
    return {name: float(np.atleast_1d(each)[index]) for name, each in scores.items()}


def readable(scores: dict[str, float]) -> dict[str, float]:
    """Scores with accuracies in percent."""
    return {
        # float32 has no more digits
        name: round(100 * score, 4) if name.endswith("accuracy") else score
        for name, score in scores.items()
    }

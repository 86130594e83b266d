"""The folders that finished runs leave, of which the training is made up."""

import json

import jax
import numpy as np

from jaxnas import nn
from jaxnas.nn import save_safetensors
from jaxnas.reports.method_folder import folder_name
from jaxnas.spaces import AdaptationSpace

from . import tiny
from .results import result

SHAPE = (8, 8, 1)
CLASS_NAMES = ("2", "10", "bär", "cat")


def write_method(run_dir, method, seeds):
    """The folder of a method as `run_experiment` leaves it; the variables of each seed."""
    folder = run_dir / folder_name(method, seeds)
    folder.mkdir(parents=True)
    network = nn.build(tiny.BASE, 4)
    outcomes, rows, left = [], [], {}
    for seed in seeds:
        suffix = f"_seed{seed}" if len(seeds) > 1 else ""
        left[seed] = nn.init(network, jax.random.key(seed), SHAPE)
        weights = folder / f"weights{suffix}.safetensors"
        save_safetensors(left[seed], weights, tiny.BASE, CLASS_NAMES)
        row = result(seed, 90.0, method=method, genotype=tiny.BASE)
        adapts = method != "original"
        theta = np.zeros((3, *AdaptationSpace(tiny.BASE, "cell").shape)).tolist()
        outcomes.append(
            {
                "result": row.to_record(),
                "images": {"shape": SHAPE, "mean": [0.25], "std": [0.5]},
                "theta": theta if adapts else None,
                "notes": [f"A note on {method}, seed {seed}."],
            }
        )
        rows += [
            {"epoch": epoch, "seed": seed, "phase": "adaptation", "train_loss": 1.0 / epoch}
            for epoch in (1, 2)
        ]
    (folder / "metrics.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    (folder / "outcome.json").write_text(json.dumps(outcomes))
    return left

"""How weights are found: pure functions over optax, and the one loop that runs them."""

from jaxnas.training.evaluate import evaluator, extractor
from jaxnas.training.loop import (
    Epoch,
    data_parallel,
    default_loop,
    eager_loop,
    first_bad_step,
    python_loop,
    scan_loop,
)
from jaxnas.training.optimizer import sgd
from jaxnas.training.train import (
    Regularisation,
    Step,
    TrainState,
    batch_loss,
    flax_apply,
    init,
    train_step,
)

__all__ = [
    "Epoch",
    "Regularisation",
    "Step",
    "TrainState",
    "batch_loss",
    "data_parallel",
    "default_loop",
    "eager_loop",
    "evaluator",
    "extractor",
    "first_bad_step",
    "flax_apply",
    "init",
    "python_loop",
    "scan_loop",
    "sgd",
    "train_step",
]

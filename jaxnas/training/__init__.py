"""How weights are found: pure functions over optax, the one loop that runs them, and probes."""

from jaxnas.training.averaging import moving_average
from jaxnas.training.evaluate import (
    evaluator,
    extractor,
    statistics_estimator,
    warn_of_few_steps,
)
from jaxnas.training.loop import (
    Epoch,
    default_loop,
    eager_loop,
    first_bad_step,
    python_loop,
    scan_loop,
)
from jaxnas.training.optimizer import accumulate, adamw, lars, learning_rates, scheduled_sgd, sgd
from jaxnas.training.probe import (
    FeatureStatistics,
    Probe,
    feature_statistics,
    knn_accuracy,
    linear_probe,
    ridge_accuracy,
)
from jaxnas.training.train import (
    Regularisation,
    Step,
    TrainState,
    batch_loss,
    flax_apply,
    init,
    judged_variables,
    train_step,
)

__all__ = [
    "Epoch",
    "FeatureStatistics",
    "Probe",
    "Regularisation",
    "Step",
    "TrainState",
    "accumulate",
    "adamw",
    "batch_loss",
    "default_loop",
    "eager_loop",
    "evaluator",
    "extractor",
    "feature_statistics",
    "first_bad_step",
    "flax_apply",
    "init",
    "judged_variables",
    "knn_accuracy",
    "lars",
    "learning_rates",
    "linear_probe",
    "moving_average",
    "python_loop",
    "ridge_accuracy",
    "scan_loop",
    "scheduled_sgd",
    "sgd",
    "statistics_estimator",
    "train_step",
    "warn_of_few_steps",
]

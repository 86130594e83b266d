"""The flags of an adaptation experiment."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any, Literal, get_args

from jaxnas.errors import UserError
from jaxnas.field_types import other_type
from jaxnas.jobs.worker_flags import WorkerFlags
from jaxnas.runs.data_flags import DataFlags

Method = Literal["original", "cell", "full", "random_cell", "random_full"]
Stem = Literal["cifar", "imagenet"]


class ConfigError(UserError, RuntimeError):
    """A setting that cannot be; the message names the flag."""


@dataclasses.dataclass(frozen=True)
class SizeFlags:
    """The size of a cell network that is not a genotype.json."""

    channels: int | None = None
    """Number of channels of a node in the first cells; by default as published, or 36 for a
    .txt."""
    cells: int | None = None
    """Depth: DARTS's and PNASNet's cells, NASNet's 3N (reductions come on top), ENAS's layers; by
    default as published, or 20 for a .txt."""
    stem: Stem | None = None
    """Stem of a network of DARTS's cells: cifar, a convolution of stride 1, or imagenet, three of
    stride 2; by default the network's own, and for a .txt imagenet from images of 64 pixels on."""


@dataclasses.dataclass(frozen=True)
class RunFlags:
    """The folder of the run, and what becomes of an earlier run in it."""

    run_dir: Path | None = None
    """The folder in which everything is written; by default one in runs/ that is named after the
    experiment and its data set."""
    resume: bool = False
    """Go on with an interrupted run in the run directory."""
    overwrite: bool = False
    """Delete an earlier run in the run directory."""

    def path(self, name: str) -> Path:
        """The folder: that of the flags, or runs/NAME."""
        return self.run_dir or Path("runs") / name


def without_places(flags: Any) -> dict[str, Any]:
    """The fields of an experiment's flags that a resumed run must agree on.

    These are all but `RunFlags`, `WorkerFlags` and the folder of data sets: where things are and
    who does them makes no difference, nor whether images wait on the host or on the device.
    """
    fields = dataclasses.asdict(flags)
    del fields["run"], fields["jobs"]
    for name in ("data_dir", "download", "data_on", "data_workers"):
        del fields["data"][name]
    return fields


@dataclasses.dataclass(frozen=True)
class Training:
    """How a network's weights are trained."""

    epochs: int = 200
    """Number of passes over the training images."""
    batch_size: int = 128
    """Number of images in a step."""
    learning_rate: float = 0.1
    """Learning rate of the weights at the start."""
    schedule: Literal["cosine", "step", "constant"] = "cosine"
    """Schedule of the weights' learning rate over all epochs: cosine to 0; steps, divided by 10
    at half and at 3/4; or constant, so that --resume may go on with more --epochs."""
    momentum: float = 0.9
    """Nesterov momentum of SGD."""
    weight_decay: float = 5e-4
    """L2 decay of the weights."""
    decay_norm_and_bias: bool = True
    """Let batch norms and biases decay too."""
    label_smoothing: float = 0.0
    """Share of the target spread over all classes."""
    class_weights: Literal["equal", "balanced"] = "equal"
    """Weights of the classes in the training loss: equal, or balanced, n / (k n_c) for each of k
    classes with n_c of the n training images; scores never have them."""
    grad_clip: float | None = None
    """Largest global norm of the gradient."""
    auxiliary_weight: float = 0.0
    """Weight of the auxiliary head's loss, 0 for no head; DARTS and NASNet have 0.4 (cell
    networks)."""
    drop_path: float = 0.0
    """Probability of dropping an operation, growing from 0 over all epochs (cell networks)."""
    dropout: float = 0.0
    """Probability of dropping an input of the classifier."""
    cutout: int = 0
    """Side of the square cut out of each training image, 0 for none."""
    optimizer: Literal["sgd", "lars"] = "sgd"
    """Optimizer of the weights: SGD, or LARS for large batches (its momentum is not Nesterov's);
    for LARS give a learning rate of about 1.0 x batch / 256, as SimCLR's code has on CIFAR-10."""
    rate_warmup_epochs: int | None = 0
    """Number of epochs in which the learning rate rises from 0, before the schedule;
    None for a tenth of all, at most 10."""
    accumulate: int = 1
    """Number of steps whose mean gradient moves the weights once, for batches that the memory does
    not hold; each step's batch norms, and pairs of SimCLR, are its own, and
    the learning rate is not rescaled."""
    devices: int = 1
    """Number of devices over which each batch is split."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Precision of the computation; weights and statistics are float32."""

    def __post_init__(self) -> None:
        refuse_wrong_fields(self)
        refuse_zero(self, "epochs", "batch_size", "learning_rate")
        for name in ("weight_decay", "cutout", "auxiliary_weight"):
            if getattr(self, name) < 0:
                raise ConfigError(f"{flag(name)} must not be negative, not {getattr(self, name)}")
        for name in ("momentum", "label_smoothing", "drop_path", "dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise ConfigError(f"{flag(name)} must be from 0 to below 1")
        if self.grad_clip is not None:
            refuse_zero(self, "grad_clip")
        refuse_below_one(self, "accumulate", "devices")
        if not 0 <= self.rising_epochs <= self.epochs:
            raise ConfigError(
                f"--rate-warmup-epochs must be from 0 to --epochs ({self.epochs}), "
                f"not {self.rate_warmup_epochs}"
            )
        if self.optimizer == "lars" and (self.schedule != "cosine" or self.grad_clip is not None):
            raise ConfigError(
                "--optimizer lars goes with a cosine schedule and without --grad-clip"
            )
        if self.batch_size % self.devices:
            raise ConfigError(
                f"--batch-size {self.batch_size} does not split evenly over {self.devices} devices"
            )

    @property
    def bound_to_epochs(self) -> str:
        """Why training by these settings cannot go on after its last epoch; empty where it can."""
        if self.schedule != "constant":
            return (
                f"--schedule {self.schedule} is laid out over all epochs, and only a run of "
                "--schedule constant can go on with more"
            )
        if self.rate_warmup_epochs is None:
            return "--rate-warmup-epochs follows --epochs unless it is given from the start"
        return "--drop-path grows over all epochs" if self.drop_path else ""

    @property
    def rising_epochs(self) -> int:
        """Epochs in which the learning rate rises from 0."""
        if self.rate_warmup_epochs is not None:
            return self.rate_warmup_epochs
        return min(10, round(self.epochs / 10))


@dataclasses.dataclass(frozen=True)
class AdaptationFlags:
    """How the architecture adapts while the weights train."""

    adapt_epochs: int | None = None
    """Number of epochs in which the architecture adapts, the first ones; a third of all by
    default."""
    warmup_epochs: int | None = None
    """Number of these epochs before the architecture first moves; a third of them by default."""
    estimator: Literal["mixed", "raw", "hard", "sampled", "two_path"] = "mixed"
    """Way in which architecture parameters weight the edges."""
    arch_optimizer: Literal["adam", "sgd"] = "adam"
    """Optimizer of the architecture parameters: Adam, or SGD without momentum."""
    arch_learning_rate: float | None = None
    """Learning rate of the architecture parameters; for Adam 6 / (their steps) by default, less
    below 90."""
    arch_data: Literal["train", "holdout"] = "train"
    """Images that move the architecture: the weights' own batch, or held-out training images."""
    arch_every: int = 1
    """Number of steps from one move of the architecture to the next."""
    holdout: float = 0.1
    """Share of the training images held out while the architecture adapts, for holdout."""
    cost_weight: float = 0.0
    """Weight in the loss of the expected cost, as a share of the base's."""
    target_cost: float | None = None
    """Largest cost of the adapted network, as a share of the base's."""
    cost: Literal["macs", "params", "latency"] = "macs"
    """Cost of a network: its multiply-adds, its parameters, or its time for a batch on this
    device."""

    def __post_init__(self) -> None:
        refuse_wrong_fields(self)
        refuse_zero(self, "arch_every")
        if self.cost_weight < 0:
            raise ConfigError(f"--cost-weight must not be negative, not {self.cost_weight}")
        if not 0 < self.holdout < 1:
            raise ConfigError(f"--holdout must be between 0 and 1, not {self.holdout}")
        if self.target_cost is not None and not 0 < self.target_cost <= 1:
            raise ConfigError(
                f"--target-cost must be above 0 and at most 1, not {self.target_cost}"
            )
        if self.arch_learning_rate is not None:
            refuse_zero(self, "arch_learning_rate")
        if self.arch_optimizer == "sgd" and self.arch_learning_rate is None:
            raise ConfigError("--arch-optimizer sgd needs --arch-learning-rate")

    def refuse_beyond(self, epochs: int) -> None:
        """Raises a ConfigError unless the adaptation fits into so many epochs of training."""
        joint = self.joint_epochs(epochs)
        if not 0 <= joint <= epochs:
            raise ConfigError(
                f"--adapt-epochs must be from 0 to --epochs ({epochs}), not {self.adapt_epochs}"
            )
        if not 0 <= self.waiting_epochs(epochs) <= joint:
            raise ConfigError(
                f"--warmup-epochs must be from 0 to --adapt-epochs ({joint}), "
                f"not {self.warmup_epochs}"
            )

    def joint_epochs(self, epochs: int) -> int:
        """Number of epochs in which weights and architecture train, of all epochs of training."""
        return -(-epochs // 3) if self.adapt_epochs is None else self.adapt_epochs

    def waiting_epochs(self, epochs: int) -> int:
        """Number of these epochs before θ first moves."""
        if self.warmup_epochs is not None:
            return self.warmup_epochs
        joint = self.joint_epochs(epochs)
        return joint // 3 if joint != 2 else 1


@dataclasses.dataclass(frozen=True)
class SelfSupervision:
    """How a network learns without labels, and how what it learned is judged with them."""

    method: Literal["simclr", "simsiam"] = "simclr"
    """Method: SimCLR (Chen et al. 2020) or SimSiam (Chen & He 2021); that of PNAA is not known."""
    temperature: float | None = None
    """Temperature of SimCLR's loss; 0.5 by default."""
    jitter: float = 0.5
    """Strength s of the colour jitter of both views, as SimCLR's code counts it: factors of
    1 - 0.8 s to 1 + 0.8 s on brightness, contrast and saturation, a turn of the hue of up to 0.2 s
    of the circle (s up to 2.5)."""
    crop: float | None = None
    """Least share of an image's area in a view; 0.08 for SimCLR and 0.2 for SimSiam by default."""
    blur: float = 0.0
    """Probability that a view is blurred, each of the two on its own, by a Gaussian of 0.1 to 2
    pixels in a kernel of a tenth of the image's side (at least 3); both papers have 0 on CIFAR-10.
    """
    solarize: float = 0.0
    """Probability that a view is solarized, each of the two on its own: values of at least half are
    inverted; both papers have 0."""
    neighbours: int = 200
    """Number of neighbours of the nearest-neighbour classifier, weighted at temperature 0.1."""
    probe_epochs: int = 100
    """Number of epochs of the linear classifier on the frozen features, in the end."""

    def __post_init__(self) -> None:
        if self.temperature is not None and self.method != "simclr":
            raise ConfigError(
                f"--temperature is SimCLR's; leave it out with --method {self.method}"
            )
        for name in ("temperature", "neighbours", "probe_epochs"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value > 0):
                raise ConfigError(f"{flag(name)} must be above 0, not {value}")
        if not (math.isfinite(self.jitter) and self.jitter >= 0):
            raise ConfigError(f"--jitter must be 0 or more, not {self.jitter}")
        for name in ("blur", "solarize"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"{flag(name)} must be from 0 to 1, not {getattr(self, name)}")
        if not 0 < self.smallest_crop <= 1:
            raise ConfigError(f"--crop must be above 0 and at most 1, not {self.crop}")

    @property
    def smallest_crop(self) -> float:
        """Least share of an image's area in a view."""
        if self.crop is not None:
            return self.crop
        return 0.08 if self.method == "simclr" else 0.2

    @property
    def resolved(self) -> dict[str, float]:
        """What is in force where the flags leave it to the method."""
        found = {"crop": self.smallest_crop}
        if self.method == "simclr":
            found["temperature"] = 0.5 if self.temperature is None else self.temperature
        return found


@dataclasses.dataclass(frozen=True)
class Experiment:
    """Adapts a known network while it trains, next to the same network left alone."""

    data: DataFlags = dataclasses.field(default_factory=DataFlags)
    run: RunFlags = dataclasses.field(default_factory=RunFlags)
    base: str = "resnet20"
    """The network to adapt: a name of the zoo, a genotype.json, or a .txt in the form of DARTS."""
    size: SizeFlags = dataclasses.field(default_factory=SizeFlags)
    methods: tuple[Method, ...] = ("original", "cell", "full")
    """Methods to run: the base left alone; adapted with one choice per kind of cell, or per block;
    or, as the control, with such choices drawn at random before training."""
    seed: int = 0
    """Seed of everything that is random."""
    seeds: tuple[int, ...] = ()
    """Several seeds in place of --seed, each a job on a CPU, one job together on a GPU."""
    jobs: WorkerFlags = dataclasses.field(default_factory=WorkerFlags)
    eval_every: int = 1
    """Number of epochs from one measurement to the next, of the test accuracy (of what is learned
    without labels: kNN and ridge accuracy of the features)."""
    training: Training = dataclasses.field(default_factory=Training)
    adaptation: AdaptationFlags = dataclasses.field(default_factory=AdaptationFlags)

    def __post_init__(self) -> None:
        self.adaptation.refuse_beyond(self.training.epochs)
        if not self.methods or len(set(self.methods)) < len(self.methods):
            raise ConfigError(
                f"--methods must name each method once: {', '.join(get_args(Method))}"
            )
        if self.seeds and self.seed:
            raise ConfigError("give either --seed or --seeds, not both")
        if len(set(self.seeds)) < len(self.seeds):
            raise ConfigError(f"--seeds names a seed twice: {self.seeds}")
        if any(not 0 <= seed < 2**32 for seed in self.all_seeds):
            raise ConfigError("a seed is a whole number from 0 to 2**32 - 1")
        refuse_below_one(self, "eval_every")

    @property
    def all_seeds(self) -> tuple[int, ...]:
        """The seeds to run."""
        return self.seeds or (self.seed,)

    def recorded(self) -> dict[str, Any]:
        """What a resumed run must agree on; see `without_places`."""
        fields = without_places(self)
        del fields["seed"]
        return fields | {"seeds": self.all_seeds}


_MOST = 1_000_000
"""The largest whole number of a setting: an epoch costs some bytes before it begins."""


def flag(name: str) -> str:
    """The command-line flag of a field."""
    return "--" + name.replace("_", "-")


def refuse_wrong_fields(flags: Any) -> None:
    """Raises a ConfigError naming the first field of another type, not finite or too large."""
    if wrong := other_type(flags):
        raise ConfigError(f"{flag(wrong[0])} must be {wrong[1]}, not {wrong[2]!r}")
    for name, value in vars(flags).items():
        if isinstance(value, float) and not math.isfinite(value):
            raise ConfigError(f"{flag(name)} must be finite, not {value}")
        if isinstance(value, int) and value > _MOST:
            raise ConfigError(f"{flag(name)} must be at most {_MOST:,}, not {value}")


def refuse_zero(flags: Any, *names: str) -> None:
    """Raises a ConfigError that names the first of these fields that is not above 0."""
    for name in names:
        if not getattr(flags, name) > 0:
            raise ConfigError(f"{flag(name)} must be above 0, not {getattr(flags, name)}")


def refuse_below_one(flags: Any, *names: str) -> None:
    """Raises a ConfigError that names the first of these fields that is below 1."""
    for name in names:
        if getattr(flags, name) < 1:
            raise ConfigError(f"{flag(name)} must be at least 1, not {getattr(flags, name)}")


def settings_of(flags: Any) -> dict[str, Any]:
    """The fields of a script's flags but for its ``experiment``, which is recorded by itself."""
    fields = dataclasses.asdict(flags)
    del fields["experiment"]
    return fields

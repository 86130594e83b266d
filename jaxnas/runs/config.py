"""The flags of an adaptation experiment."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, Literal, get_args

from jaxnas.jobs.worker_flags import WorkerFlags
from jaxnas.runs.flags.adaptation import AdaptationFlags
from jaxnas.runs.flags.checks import (
    ConfigError,
    flag,
    refuse_below_one,
    refuse_negative,
    refuse_wrong_fields,
    refuse_zero,
)
from jaxnas.runs.flags.data import DataFlags
from jaxnas.runs.flags.pretrained import PretrainedFlags
from jaxnas.storage.tensorboard import require

Method = Literal[
    "original",
    "cell",
    "full",
    "block",
    "random_cell",
    "random_full",
    "random_block",
    "identities",
    "norm",
    "scratch",
]
Stem = Literal["cifar", "imagenet"]


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
    """Form of a network of DARTS's cells, of resnet18, resnet34, resnet50 or mobilenet_v2: cifar,
    whose stem has stride 1, or imagenet; by default the network's own, and for a .txt and these
    four names imagenet from images of 64 pixels on."""


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
    tensorboard: bool = False
    """Write the metrics of every epoch for TensorBoard too, into the folder tensorboard of the run
    directory."""

    def __post_init__(self) -> None:
        if self.tensorboard:
            require()

    def board(self, folder: Path) -> Path | None:
        """Where metrics are written for TensorBoard, for the run in `folder`; None for nowhere."""
        return folder / "tensorboard" if self.tensorboard else None

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


_MODERN = {"learning_rate": 0.001, "weight_decay": 0.05}
"""What `--recipe modern` has where these are left at their defaults, which are SGD's."""


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
    recipe: Literal["plain", "modern"] = "plain"
    """Settings in force: plain has those of the other flags; modern has AdamW, with --learning-rate
    0.001 and --weight-decay 0.05 unless these say otherwise, which measured best from --weights."""
    mixup: float = 0.0
    """Alpha of mixup, which blends training images and their labels in pairs, 0 for none; 0.2 is
    usual (Zhang et al. 2018)."""
    cutmix: float = 0.0
    """Alpha of CutMix, which pastes a box of another training image and shares the label, 0 for
    none; 1 is usual (Yun et al. 2019). With --mixup too, each batch has one of them."""
    rand_augment: int = 0
    """Number of RandAugment's operations for each training image, 0 for none; 2 is usual (Cubuk et
    al. 2020)."""
    rand_magnitude: int = 9
    """Strength of RandAugment's operations, from 0 to 30."""
    weight_average: float = 0.0
    """Decay of the exponential moving average of the weights, step by step, by which the network is
    judged and which is what is left in the end; 0 for none, 0.999 is usual."""
    early_stopping: int | None = None
    """Number of epochs without a better accuracy on held-out training images after which training
    stops; the weights are then those of the best epoch of the fixed architecture."""
    validation: float = 0.1
    """Share of the training images held out for --early-stopping."""
    optimizer: Literal["sgd", "lars", "adamw"] = "sgd"
    """Optimizer of the weights: SGD, LARS for large batches (its momentum is not Nesterov's), or
    AdamW (its momentum is beta 1); for LARS give a learning rate of about 1.0 x batch / 256, as
    SimCLR's code has on CIFAR-10, for AdamW one of about 0.001 and a weight decay of about 0.05."""
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
        if self.recipe == "modern":
            self._modernise()
        refuse_zero(self, "epochs", "batch_size", "learning_rate")
        for name in ("weight_decay", "cutout", "auxiliary_weight", "mixup", "cutmix"):
            refuse_negative(self, name)
        for name in ("rand_augment", "rand_magnitude"):
            if not 0 <= getattr(self, name) <= 30:
                raise ConfigError(f"{flag(name)} must be from 0 to 30")
        for name in ("momentum", "label_smoothing", "drop_path", "dropout", "weight_average"):
            if not 0 <= getattr(self, name) < 1:
                raise ConfigError(f"{flag(name)} must be from 0 to below 1")
        if self.grad_clip is not None:
            refuse_zero(self, "grad_clip")
        refuse_below_one(self, "accumulate", "devices")
        if self.early_stopping is not None:
            refuse_below_one(self, "early_stopping")
        if not 0 < self.validation < 1:
            raise ConfigError(f"--validation must be between 0 and 1, not {self.validation}")
        if self.optimizer == "adamw" and self.learning_rate >= 0.1:
            raise ConfigError(
                "--optimizer adamw diverges at a --learning-rate of 0.1, SGD's; give one of about "
                "0.001, and a --weight-decay of about 0.05"
            )
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

    def _modernise(self) -> None:
        """Puts what `--recipe modern` has into force."""
        if self.optimizer == "lars":
            raise ConfigError("--recipe modern has AdamW; leave out --optimizer lars")
        object.__setattr__(self, "optimizer", "adamw")
        for name, value in _MODERN.items():
            if getattr(self, name) == getattr(Training, name):
                object.__setattr__(self, name, value)
        if self.learning_rate >= 0.01:
            raise ConfigError(
                f"--recipe modern has AdamW, for which --learning-rate {self.learning_rate} is too "
                f"high; leave it out for {_MODERN['learning_rate']}"
            )

    def held_out(self, images: int) -> int:
        """Number of so many training images that say when training stops.

        Raises:
          ConfigError: if none is left to be learned.
        """
        if self.early_stopping is None:
            return 0
        count = max(1, round(self.validation * images))
        if count >= images:
            raise ConfigError(
                f"--validation {self.validation} holds out all of the {images:,} training images; "
                "give less"
            )
        return count

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
class Experiment:
    """Adapts a known network while it trains, next to the same network left alone."""

    data: DataFlags = dataclasses.field(default_factory=DataFlags)
    run: RunFlags = dataclasses.field(default_factory=RunFlags)
    base: str = "resnet20_cells"
    """The network to adapt: a name of the zoo, a genotype.json, or a .txt in the form of DARTS."""
    size: SizeFlags = dataclasses.field(default_factory=SizeFlags)
    methods: tuple[Method, ...] = ("original", "cell", "full")
    """Methods to run: the base left alone; adapted with one choice per kind of cell, per block
    (full), or by blocks that stay or go as a whole (block); or, as the controls, with such choices
    drawn at random before training, and with every null edge an identity from the start
    (identities). From --weights also norm, without the operations of the smallest weights (of
    --target-cost), and scratch, the base without the weights."""
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
    pretrained: PretrainedFlags = dataclasses.field(default_factory=PretrainedFlags)

    def __post_init__(self) -> None:
        self.pretrained.refuse_beyond(self.training.epochs, self.pretrained.weights)
        self.adaptation.refuse_beyond(self.training.epochs, self.pretrained.head_epochs)
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
        fields["adaptation"]["estimator"] = self.adaptation.reading(bool(self.pretrained.weights))
        return fields | {"seeds": self.all_seeds, "pretrained": self.pretrained.recorded()}


def settings_of(flags: Any) -> dict[str, Any]:
    """The fields of a script's flags but for its ``experiment``, which is recorded by itself."""
    fields = dataclasses.asdict(flags)
    del fields["experiment"]
    return fields

"""The flags of a comparison of methods, and the budgets that they stand for."""

from __future__ import annotations

import dataclasses
from typing import Any, Literal, get_args

from jaxnas.commands.methods.nat_method import NATSettings
from jaxnas.jobs.worker_flags import WorkerFlags
from jaxnas.runs.config import ConfigError, RunFlags, Stem, Training
from jaxnas.runs.flags.data import DataFlags
from jaxnas.runs.flags.pretrained import PretrainedFlags
from jaxnas.spaces import Genotype

MethodName = Literal["original", "nat", "nat_faithful", "adapt_cell", "adapt_full", "random"]

_OVERRIDES = (
    "epochs",
    "batch_size",
    "nat_epochs",
    "nat_channels",
    "nat_cells",
)
"""The flags that take the place of what the budget says."""


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Compares methods on known networks, over seeds.

    Several processes may go on in one run directory, and more networks, methods and seeds may be
    named.
    """

    data: DataFlags = dataclasses.field(default_factory=DataFlags)
    run: RunFlags = dataclasses.field(default_factory=RunFlags)
    base: tuple[str, ...] = ("resnet20_cells",)
    """The networks: names of the zoo, genotype.json files, or .txt files of DARTS."""
    stem: Stem | None = None
    """Form of networks of DARTS's cells, of resnet18, resnet34, resnet50 and mobilenet_v2: cifar,
    whose stem has stride 1, or imagenet; by default their own, and for a .txt and these four names
    imagenet from images of 64 pixels on."""
    method: tuple[MethodName, ...] = ("original", "nat", "adapt_cell", "adapt_full", "random")
    """Methods to compare: the network left alone; NAT and training anew (nat_faithful: with its
    code's quirks); PNAA by cell and over the whole network; random choices of the same spaces,
    which stand beside every search whether named or not."""
    seeds: int = 5
    """Number N of seeds: 0 to N-1."""
    budget: Literal["small", "paper"] = "small"
    """Budget of every run: small has 5,000 images, 12 epochs, and cell networks of 16 channels and
    8 cells, paper all images and the published epochs."""
    epochs: int | None = None
    """Number of epochs of training; by default the budget's."""
    batch_size: int | None = None
    """Number of images in a step of training; by default the budget's."""
    nat_epochs: int | None = None
    """Number of epochs of NAT's search; by default the budget's."""
    nat_channels: int | None = None
    """Number of channels of NAT's supernet; by default the budget's."""
    nat_cells: int | None = None
    """Number of cells in NAT's supernet; by default the budget's."""
    jobs: WorkerFlags = dataclasses.field(default_factory=WorkerFlags)
    pretrained: PretrainedFlags = dataclasses.field(default_factory=PretrainedFlags)
    """What the network starts from, where it is one; but what NAT found is trained anew."""

    def __post_init__(self) -> None:
        if self.pretrained.weights is not None and len(self.base) > 1:
            raise ConfigError("--weights are of one network; give one --base")
        for name in ("base", "method"):
            values = getattr(self, name)
            if not values or len(set(values)) < len(values):
                raise ConfigError(f"--{name} must name at least one, each once, not {values}")
        for name in ("seeds", "epochs", "batch_size", "nat_epochs", "nat_channels", "nat_cells"):
            value = getattr(self, name)
            if value is not None and value < 1:
                flag = name.replace("_", "-")
                raise ConfigError(f"--{flag} must be at least 1, not {value}")
        if self.seeds > 10_000:
            raise ConfigError(f"--seeds must be at most 10,000, not {self.seeds}")

    @property
    def methods(self) -> tuple[str, ...]:
        """The rows of the table: random choices stand beside every search."""
        named = [each for each in get_args(MethodName)[:-1] if each in self.method]
        searches = set(named) - {"original"}
        control = ()
        if searches - {"adapt_full"}:
            control += ("random_cell",)
        if "adapt_full" in searches:
            control += ("random_full",)
        if not searches and "random" in self.method:
            control = ("random_cell", "random_full")
        return (*named, *control)

    @property
    def title(self) -> str:
        """What a report calls the budget, after the data set; nothing where flags changed it."""
        changed = any(getattr(self, name) is not None for name in _OVERRIDES)
        changed = changed or self.data.train_limit is not None
        return "" if changed else f" ({self.budget} budget)"

    @property
    def small(self) -> bool:
        """Whether the budget is."""
        return self.budget == "small"

    def training(self, base: Genotype) -> Training:
        """How the networks of `base` are trained, all methods alike."""
        # Networks that were found as cells have a recipe of their own (DARTS's).
        cells = any(len(cell.output) > 1 for cell in base.cells)
        if self.small:
            chosen: dict[str, Any] = {"epochs": 12, "batch_size": 64 if cells else 128}
        elif cells:
            chosen = {
                "epochs": 600,
                "batch_size": 96,
                "learning_rate": 0.025,
                "weight_decay": 3e-4,
                "grad_clip": 5.0,
                "cutout": 16,
            }
        else:
            chosen = {"epochs": 200, "batch_size": 128}
        if cells:
            chosen["drop_path"] = 0.2
            chosen["auxiliary_weight"] = 0.4 if base.auxiliary >= 0 else 0.0
        for name, value in (("epochs", self.epochs), ("batch_size", self.batch_size)):
            chosen[name] = value or chosen[name]
        return Training(**chosen)

    def nat(self, faithful: bool) -> NATSettings:
        """NAT's settings."""
        default = (8, 5) if self.small else (20, 8)
        return NATSettings(
            faithful=faithful,
            search_channels=self.nat_channels or default[0],
            search_cells=self.nat_cells or default[1],
        )

    @property
    def nat_search_epochs(self) -> int:
        """Epochs of NAT's search."""
        return self.nat_epochs or (12 if self.small else 100)

    def recorded(self) -> dict[str, Any]:
        """What processes that share a comparison must agree on."""
        overrides = {name: getattr(self, name) for name in _OVERRIDES}
        data = {name: getattr(self.data, name) for name in ("dataset", "train_limit")}
        recorded = {"budget": self.budget, "data": data} | overrides
        if self.pretrained.weights is not None:
            recorded["pretrained"] = self.pretrained.recorded()
        return recorded

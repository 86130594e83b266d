"""The commands: their flags, and what they do."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated, Any, Literal

import rich.console
import tyro

from jaxnas.children.child_config import CellSearchFlags
from jaxnas.cli.output import Flag, console, print_json, print_list, say, write
from jaxnas.reports.tables import Column, Table
from jaxnas.runs.config import ConfigError, Experiment, SizeFlags, settings_of
from jaxnas.runs.genotype_files import (
    load_genotype,
    refuse_unbuildable,
    stem_of,
    usual_stem,
    with_stem,
)
from jaxnas.runs.search_config import SearcherName
from jaxnas.spaces import Genotype, zoo
from jaxnas.storage import files

CellSpaceName = Literal["nasnet", "pnas", "enas_micro"]

Size = Annotated[SizeFlags, tyro.conf.OmitArgPrefixes]
NetworkSource = Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="NAME|FILE")]


@dataclasses.dataclass(frozen=True)
class Zoo:
    """Lists the networks that are known by name."""

    counts: Flag = False
    """Count their parameters and multiply-adds too: minutes for all of them."""
    json: Flag = False
    """Print a JSON list."""

    def run(self) -> None:
        networks = [zoo.named(name) for name in zoo.ZOO]
        rows: list[dict[str, Any]] = [
            {
                "name": network.name,
                "family": network.family,
                "kinds": len(network.cells),
                "blocks": len(network.blocks),
            }
            for network in networks
        ]
        if self.counts:
            from jaxnas.runs.progress import ProgressBars

            bars = ProgressBars(rich.console.Console(stderr=True), {"counting": len(networks)})
            with bars, bars.watch("counting", "counting", "networks") as watcher:
                for row, network in zip(rows, networks, strict=True):
                    row |= count(network, *_usual(network))
                    watcher.progress()
        if self.json:
            print_json(rows)
        else:  # as many columns as a narrow terminal holds
            kept = ("name", "family", "blocks", "params", "macs") if self.counts else tuple(rows[0])
            words = ("name", "family")
            columns = [Column(name, "" if name in words else ",", name in words) for name in kept]
            Table(columns, [[row[name] for name in kept] for row in rows]).print(console())


@dataclasses.dataclass(frozen=True)
class Show:
    """Shows a network as a tree, or draws it."""

    source: NetworkSource
    """The network: a name of the zoo, a genotype.json, or a .txt file in the form of DARTS."""
    out: Path | None = None
    """Draw the network to this .svg, .png or .dot file, or as all three into this folder."""
    size: Size = dataclasses.field(default_factory=SizeFlags)

    def run(self) -> None:
        genotype = load_genotype(self.source, **dataclasses.asdict(self.size))
        if self.out is None:
            from jaxnas.cli.tree import tree

            console().print(tree(genotype))
            return
        suffix = self.out.suffix.removeprefix(".")
        if suffix in _DRAWN:
            write(self.out, _drawn(genotype, suffix))
            return
        if suffix and not self.out.is_dir():
            raise ConfigError(
                f"--out {self.out}: a drawing is a .svg, .png or .dot file, not .{suffix}"
            )
        files.make_folder(self.out)
        for form in _DRAWN:
            write(self.out / f"{genotype.name}.{form}", _drawn(genotype, form))


@dataclasses.dataclass(frozen=True)
class Count:
    """Counts a network's parameters and multiply-adds."""

    source: NetworkSource
    """The network: a name of the zoo, a genotype.json, or a .txt file in the form of DARTS."""
    size: Size = dataclasses.field(default_factory=SizeFlags)
    classes: int | None = None
    """Number of classes; by default 10, or 1000 where the stem is for ImageNet."""
    image_size: int | None = None
    """Side of the image, of three channels; by default 32, or as published where the stem is for
    ImageNet."""
    json: Flag = False
    """Print a JSON object."""

    def run(self) -> None:
        genotype = load_genotype(self.source, **dataclasses.asdict(self.size))
        if self.size.stem is None and self.image_size is not None:
            genotype = with_stem(genotype, usual_stem(self.source, self.image_size))
        usual = _usual(genotype)
        classes = usual[0] if self.classes is None else self.classes
        image_size = usual[1] if self.image_size is None else self.image_size
        for flag, value in (("--classes", classes), ("--image-size", image_size)):
            if not 1 <= value <= _MOST:
                raise ConfigError(f"{flag} must be from 1 to {_MOST}, not {value}")
        row = {"name": genotype.name} | count(genotype, classes, image_size)
        print_json(row) if self.json else print_list(row)
        if row["stem"] == "cifar" and usual_stem(".txt", image_size) and not self.json:
            say(
                f"The stem is CIFAR's, which keeps {image_size} pixels a side; networks of DARTS's "
                f"cells, {', '.join(zoo.TWO_FORMS)} take --stem imagenet.",
            )


@dataclasses.dataclass(frozen=True)
class Convert:
    """Converts a genotype: to .json, or its two cells to a .txt in the form of DARTS."""

    source: NetworkSource
    """The network: a name of the zoo, a genotype.json, or a .txt file in the form of DARTS."""
    dest: Annotated[Path, tyro.conf.Positional]
    """The .json or .txt file to write."""
    size: Size = dataclasses.field(default_factory=SizeFlags)
    form: Literal["pairs", "triples"] | None = None
    """What a .txt holds: DARTS's pairs (operation, source) or NAT's triples (operation, source,
    target); by default pairs where they can say the cells."""

    def run(self) -> None:
        if self.dest.exists() and Path(self.source).exists() and self.dest.samefile(self.source):
            raise ConfigError(f"{self.dest} would be written over itself; give another name")
        genotype = load_genotype(self.source, **dataclasses.asdict(self.size))
        if self.dest.suffix == ".json":
            write(self.dest, (genotype.to_json() + "\n").encode())
            say(f"Its stem is that for {stem_of(genotype)}.")
        elif self.dest.suffix == ".txt":
            write(self.dest, (_cells_text(genotype, self.form) + "\n").encode())
            say(
                f"That form holds the two cells alone: say --cells {len(genotype.blocks)} "
                f"--channels {genotype.blocks[0].channels} --stem {stem_of(genotype)} where it is "
                "read, for this network.",
            )
        else:
            raise ConfigError(f"{self.dest} must be a .json or a .txt file")


@dataclasses.dataclass(frozen=True)
class Adapt:
    """Adapts a known network while it trains, next to the same network left alone."""

    experiment: Annotated[Experiment, tyro.conf.OmitArgPrefixes] = dataclasses.field(
        default_factory=Experiment
    )

    def run(self) -> None:
        from jaxnas.commands.experiment import run_experiment

        run_experiment(self.experiment, "adapt")


@dataclasses.dataclass(frozen=True)
class Search(CellSearchFlags):
    """Searches cells by training many small networks of them, next to random search.

    With --space nasnet and --algorithm ppo it is NASNet's search (Zoph et al. 2018). The default,
    200 children of 20 epochs for it and as many for random search, is for a GPU. On a CPU take
    fewer and smaller ones; their one program compiles for minutes, in each worker:

    jaxnas search --space pnas --algorithm evolution --children 40 --train-limit 3000
    --child-channels 8 --child.epochs 2 --child.batch-size 64 --finalists 2 --finalist-epochs 4
    --channels 8 --cells 6 --epochs 6
    """

    space: CellSpaceName = "nasnet"
    """The space of the cells."""
    algorithm: SearcherName = "ppo"
    """The searcher; random search runs beside it in any case."""

    def run(self) -> None:
        from jaxnas.commands.cell_search import search_cells

        search_cells(
            self.experiment,
            self.space,
            self.algorithm,
            self.child,
            blocks=self.blocks,
            channels=self.child_channels,
            cell_count=self.child_cells,
            settings=settings_of(self),
        )


def count(genotype: Genotype, classes: int, image_size: int) -> dict[str, Any]:
    """What a network costs, as fields of a JSON object.

    Raises:
      ConfigError: if no network can be built for such images.
    """
    from jaxnas import nn

    with refuse_unbuildable(genotype.name, f"side {image_size}"):
        network = nn.build(genotype, classes, auxiliary=genotype.auxiliary >= 0)
        cost = nn.cost(network, (image_size, image_size, 3))
    asked = {"stem": stem_of(genotype), "classes": classes, "image_size": image_size}
    return cost._asdict() | asked


_DRAWN = ("svg", "png", "dot")
_MOST = 100_000  # classes, or pixels of a side


def _usual(genotype: Genotype) -> tuple[int, int]:
    """Classes and image size that the stem is meant for: CIFAR-10's or ImageNet's."""
    if genotype.stem_form == "small":
        return 10, 32
    return 1000, zoo.LARGE_IMAGES.get(genotype.name, 224)


def _drawn(genotype: Genotype, form: str) -> bytes:
    if form == "dot":
        from jaxnas.reports.drawing.dot import dot

        return dot(genotype).encode()
    from jaxnas.reports.drawing.drawing import picture

    return picture(genotype, form)


def _cells_text(genotype: Genotype, form: Literal["pairs", "triples"] | None) -> str:
    """The normal and the reduction cell as text, if that can say them."""
    from jaxnas.spaces.zoo.darts_text import read_cells, write_cells

    names = sorted(cell.name for cell in genotype.cells)
    if genotype.family != "darts" or names != ["normal", "reduction"]:
        raise ConfigError(
            f"{genotype.name}: the form of DARTS says a normal and a reduction cell of the darts "
            f"family; these are {', '.join(names)} of the {genotype.family} family; use .json"
        )
    cells = genotype.cell("normal"), genotype.cell("reduction")
    text = write_cells(*cells, form)
    if read_cells(text) != cells:
        raise ConfigError(
            f"{genotype.name}: the form of DARTS says operations and their nodes only, and these "
            "cells say more; use .json"
        )
    return text

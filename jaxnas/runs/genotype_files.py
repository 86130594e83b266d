"""Genotypes by the zoo's name or from a file."""

from __future__ import annotations

import contextlib
import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path

from jaxnas import reading
from jaxnas.hints import alike
from jaxnas.runs.config import ConfigError, Stem
from jaxnas.spaces import Genotype, GenotypeError, zoo
from jaxnas.spaces.zoo.darts_text import read_cells

CHANNELS, CELLS = 36, 20
"""Sizes of a network whose cells alone are given: those of DARTS on CIFAR-10."""
_MOST = 10_000  # channels or cells; more make no network that a machine holds
_LARGE = 64  # pixels of the smaller side from which a network is built as for ImageNet


def load_base(
    name: str,
    channels: int | None = None,
    cells: int | None = None,
    stem: Stem | None = None,
) -> Genotype:
    """The network to adapt, as `load_genotype` finds it; one of chosen size says so in its name.

    Raises:
      ConfigError: as `load_genotype`, and if no block places one of its cells.
      GenotypeError: if a file holds no genotype.
    """
    genotype = load_genotype(name, channels, cells, what=f"--base {name}")
    if unplaced := {cell.name for cell in genotype.cells} - {b.cell for b in genotype.blocks}:
        raise ConfigError(f"--base {name}: no block places cell {min(unplaced)!r}; remove it")
    sizes = "".join(
        f"-{letter}{size}" for letter, size in (("c", channels), ("l", cells)) if size is not None
    )
    return with_stem(dataclasses.replace(genotype, name=genotype.name + sizes), stem)


def load_genotype(
    source: str,
    channels: int | None = None,
    cells: int | None = None,
    stem: Stem | None = None,
    *,
    what: str | None = None,
) -> Genotype:
    """A genotype by its name in the zoo, from a .json file, or of the cells in a .txt file.

    Args:
      source: the name or the path.
      channels: of a node in the first cells; for cell networks of the zoo and .txt files only.
      cells: how many; likewise.
      stem: see `with_stem`.
      what: the first words of an error's sentence; the source by default.

    Raises:
      ConfigError: if there is none, if a file cannot be read, or if the sizes cannot be chosen.
      GenotypeError: if a file holds no genotype.
    """
    what = what or source
    for flag, value in (("--channels", channels), ("--cells", cells)):
        if value is not None and not 1 <= value <= _MOST:
            raise ConfigError(f"{flag} must be from 1 to {_MOST}, not {value}")
    if not source:
        raise ConfigError(f"{what}: the name of the network is empty; see `jaxnas zoo`")
    return with_stem(_load(source, channels, cells, what), stem)


def _load(source: str, channels: int | None, cells: int | None, what: str) -> Genotype:
    path = Path(source)
    if source in zoo.ZOO:
        try:
            return zoo.named(source, channels=channels, cells=cells)
        except ValueError as error:
            raise ConfigError(f"{error}; leave out --channels and --cells") from error
    if path.suffix == ".json":
        if channels is not None or cells is not None:
            raise ConfigError(
                f"{what} says its own channels and cells; leave out --channels and --cells"
            )
        return read_genotype(path, what)
    if path.suffix == ".txt":
        text = _read_text(path, what)
        try:
            normal, reduction = read_cells(text)
            genotype = zoo.darts_network(
                path.stem,
                normal,
                reduction,
                channels=CHANNELS if channels is None else channels,
                layers=CELLS if cells is None else cells,
            )
        except GenotypeError as error:
            raise GenotypeError(f"{what}: {error}") from error
        refuse_names(genotype, what)
        return genotype
    hint = alike(source, zoo.ZOO, "see `jaxnas zoo`")
    raise ConfigError(f"{what} is neither a network of the zoo nor a .json or .txt file; {hint}")


def stem_of(genotype: Genotype) -> Stem:
    """What images the stem of a network is meant for."""
    return "cifar" if genotype.stem_form == "small" else "imagenet"


def with_stem(genotype: Genotype, stem: Stem | None) -> Genotype:
    """A network in its form for those images.

    A network of DARTS's cells gets that stem, and its name with it where it had another; one of the
    zoo's `TWO_FORMS` becomes the other.

    Raises:
      ConfigError: if it is neither and has another stem.
    """
    if stem is None or stem == stem_of(genotype):
        return genotype
    if (other := zoo.in_form(genotype, imagenet=stem == "imagenet")) is not None:
        return other
    if genotype.family != "darts":
        raise ConfigError(
            f"--stem {stem} is for networks of DARTS's cells, {', '.join(zoo.TWO_FORMS)}; "
            f"{genotype.name} is of the {genotype.family} family, whose stem is a part of its form"
        )
    renamed = dataclasses.replace(genotype, name=f"{genotype.name}-{stem}")
    return zoo.with_stem(renamed, imagenet=stem == "imagenet")


def usual_stem(source: str, side: int) -> Stem | None:
    """The stem for images of that smaller side where the flags name none; None for its own.

    The cells in a .txt file have none, and a bare name such as ``resnet50`` names two networks:
    both are ImageNet's from 64 pixels on.
    """
    open_form = source.endswith(".txt") or source in zoo.TWO_FORMS
    return "imagenet" if open_form and side >= _LARGE else None


def read_genotype(path: Path, what: str) -> Genotype:
    """The genotype in a JSON file.

    Args:
      path: of the file.
      what: the first words of an error's sentence.

    Raises:
      ConfigError: if the file cannot be read, or a name in it would break folders or tables.
      GenotypeError: if it holds no genotype.
    """
    text = _read_text(path, what)
    try:
        genotype = Genotype.from_json(text)
    except GenotypeError as error:
        raise GenotypeError(f"{what}: {error}") from error
    refuse_names(genotype, what)
    return genotype


def refuse_names(genotype: Genotype, what: str) -> None:
    """A ConfigError that starts with `what` for a name that would break folders or tables."""
    for name in (genotype.name, *(cell.name for cell in genotype.cells)):
        if not re.fullmatch(r"[\w .+-]{1,80}", name):
            raise ConfigError(
                f"{what}: {name!a} is no name; use up to 80 letters, digits, spaces, _.+-"
            )


@contextlib.contextmanager
def refuse_unbuildable(what: str, images: str) -> Iterator[None]:
    """Turns what building a network for `images` raises into a ConfigError about `what`."""
    from flax.errors import FlaxError

    try:
        yield
    except (ValueError, TypeError, ArithmeticError, FlaxError) as error:
        reason = " ".join(str(error).split())[:300]
        raise ConfigError(
            f"{what}: no network can be built of it for images of {images}: {reason}"
        ) from error


def _read_text(path: Path, what: str) -> str:
    """The text of a file; a ConfigError that starts with `what` if it cannot be read."""
    try:
        return reading.read_text(path)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{what} cannot be read: {error}") from error

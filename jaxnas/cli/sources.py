"""The network that a command is about."""

from __future__ import annotations

import difflib
from pathlib import Path

from jaxnas.runs.bases import read_genotype, read_text, refuse_names
from jaxnas.runs.config import ConfigError
from jaxnas.spaces import Genotype, GenotypeError, zoo
from jaxnas.spaces.text import read_cells

CHANNELS, CELLS = 36, 20
"""Sizes of a network whose cells alone are given: those of DARTS on CIFAR-10."""
_MOST = 10_000  # channels or cells; more make no network that a machine holds


def load(source: str, channels: int | None = None, cells: int | None = None) -> Genotype:
    """A genotype by its name in the zoo, from a .json file, or of the cells in a .txt file.

    Args:
      source: the name or the path.
      channels: of a node in the first cells; for cell networks of the zoo and .txt files only.
      cells: how many; likewise.

    Raises:
      ConfigError: if there is none, if a file cannot be read, or if the sizes cannot be chosen.
      GenotypeError: if a file holds no genotype.
    """
    for flag, value in (("--channels", channels), ("--cells", cells)):
        if value is not None and not 1 <= value <= _MOST:
            raise ConfigError(f"{flag} must be from 1 to {_MOST}, not {value}")
    path = Path(source)
    if source in zoo.ZOO:
        try:
            return zoo.named(source, channels=channels, cells=cells)
        except ValueError as error:
            raise ConfigError(f"{error}; leave out --channels and --cells") from error
    if path.suffix == ".json":
        if channels is not None or cells is not None:
            raise ConfigError(
                f"{source} says its own channels and cells; leave out --channels and --cells"
            )
        return read_genotype(path, source)
    if path.suffix == ".txt":
        text = read_text(path, source)
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
            raise GenotypeError(f"{source}: {error}") from error
        refuse_names(genotype, source)
        return genotype
    near = difflib.get_close_matches(source, zoo.ZOO, n=4, cutoff=0.5)
    raise ConfigError(
        f"{source!r} is neither a network of the zoo nor a .json or .txt file; "
        + (f"did you mean {', '.join(near)}?" if near else "see `jaxnas zoo`")
    )

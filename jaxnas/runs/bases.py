"""Genotypes by the zoo's name or from a file."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path

from jaxnas.runs.config import ConfigError
from jaxnas.spaces import Genotype, GenotypeError, zoo


def load_base(name: str) -> Genotype:
    """The zoo's genotype called `name`, or that of the JSON file at the path `name`.

    Raises:
      ConfigError: if there is neither.
      GenotypeError: if the file holds no genotype.
    """
    if name in zoo.ZOO:
        return zoo.named(name)
    path = Path(name)
    if path.suffix != ".json":
        raise ConfigError(
            f"--base {name} is neither a network of the zoo ({', '.join(zoo.ZOO)}) nor a .json file"
        )
    genotype = read_genotype(path, f"--base {name}")
    if unplaced := {cell.name for cell in genotype.cells} - {b.cell for b in genotype.blocks}:
        raise ConfigError(f"--base {name}: no block places cell {min(unplaced)!r}; remove it")
    return genotype


def read_genotype(path: Path, what: str) -> Genotype:
    """The genotype in a JSON file.

    Args:
      path: of the file.
      what: the first words of an error's sentence.

    Raises:
      ConfigError: if the file cannot be read, or a name in it would break folders or tables.
      GenotypeError: if it holds no genotype.
    """
    text = read_text(path, what)
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


def read_text(path: Path, what: str) -> str:
    """The text of a file; a ConfigError that starts with `what` if it cannot be read."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{what} cannot be read: {error}") from error

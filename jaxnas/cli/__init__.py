"""The command line: thin commands over the library, each of which imports what it needs."""

from jaxnas.cli.main import main

__all__ = ["main"]

"""The way from the command line to a command, and from an error to a sentence."""

from __future__ import annotations

import sys
from typing import Annotated

import tyro

from jaxnas.cli.commands import Adapt, Convert, Count, Export, Report, Search, Show, Zoo
from jaxnas.commands.script import stop_interrupted, stop_without_reader
from jaxnas.errors import UserError

Command = (
    Annotated[Zoo, tyro.conf.subcommand("zoo")]
    | Annotated[Show, tyro.conf.subcommand("show")]
    | Annotated[Count, tyro.conf.subcommand("count")]
    | Annotated[Convert, tyro.conf.subcommand("convert")]
    | Annotated[Export, tyro.conf.subcommand("export")]
    | Annotated[Adapt, tyro.conf.subcommand("adapt"), tyro.conf.OmitArgPrefixes]
    | Annotated[Search, tyro.conf.subcommand("search")]
    | Annotated[Report, tyro.conf.subcommand("report")]
)


def main() -> None:
    """Runs the command that the arguments say; errors are told in a sentence, with status 1."""
    try:
        command = tyro.cli(
            Command,
            prog="jaxnas",
            description="Finds and adapts neural architectures, reproducibly.",
            config=(tyro.conf.OmitSubcommandPrefixes,),
        )
        if isinstance(command, Adapt | Search):
            from jaxnas.allocation import keep_memory
            from jaxnas.compilation import keep_programs

            keep_memory()
            keep_programs()
        command.run()
        sys.stdout.flush()
    except UserError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        resumes = sys.argv[1:2] in (["adapt"], ["search"])
        goes_on = "; the same command with --resume goes on" if resumes else ""
        stop_interrupted(f"interrupted{goes_on}")
    except BrokenPipeError:
        stop_without_reader()

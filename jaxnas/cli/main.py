"""The way from the command line to a command, and from an error to a sentence."""

from __future__ import annotations

import sys
from typing import Annotated, Any, get_args

import tyro

from jaxnas.cli.commands import Adapt, Convert, Count, Search, Show, Zoo
from jaxnas.cli.finished import EvaluateTrained, Export, PredictImages, Report
from jaxnas.commands.flag_parsing import parse_flags
from jaxnas.commands.script import get_ready, run_command
from jaxnas.hints import alike
from jaxnas.runs.config import ConfigError

Command = (
    Annotated[Zoo, tyro.conf.subcommand("zoo")]
    | Annotated[Show, tyro.conf.subcommand("show")]
    | Annotated[Count, tyro.conf.subcommand("count")]
    | Annotated[Convert, tyro.conf.subcommand("convert")]
    | Annotated[EvaluateTrained, tyro.conf.subcommand("evaluate")]
    | Annotated[PredictImages, tyro.conf.subcommand("predict")]
    | Annotated[Export, tyro.conf.subcommand("export")]
    | Annotated[Adapt, tyro.conf.subcommand("adapt")]
    | Annotated[Search, tyro.conf.subcommand("search")]
    | Annotated[Report, tyro.conf.subcommand("report")]
)


def main() -> None:
    """Runs the command that the arguments say; see `run_command`."""

    def parse() -> Any:
        commands = {get_args(each)[1].name: get_args(each)[0] for each in get_args(Command)}
        word = sys.argv[1] if sys.argv[1:] else "-"
        if word in commands:
            return parse_flags(commands[word], prog=f"jaxnas {word}", args=sys.argv[2:])
        if not word.startswith("-"):
            hint = alike(word, commands, f"there are {', '.join(commands)}", most=1)
            raise ConfigError(f"there is no command {word!r}; {hint}")
        return parse_flags(
            Command,
            prog="jaxnas",
            description="Finds and adapts neural architectures, reproducibly.",
            config=(tyro.conf.OmitSubcommandPrefixes,),
        )

    def run(command: Any) -> None:
        if isinstance(command, Adapt | Search | EvaluateTrained | PredictImages):
            get_ready()
        command.run()

    run_command(parse, run)

"""Progress bars of an experiment's stages."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import rich.console
import rich.progress

from jaxnas.jobs.job import Watcher
from jaxnas.storage.tensorboard import TensorBoard


class ProgressBars:
    """A bar for each stage of an experiment, and without a terminal a line for each epoch.

    with ProgressBars(console, {"search": 500}) as bars:
        with bars.watch("search", "search, seed 0") as watcher:
            ...
    """

    def __init__(
        self,
        console: rich.console.Console,
        steps: Mapping[str, int],
        tensorboard: Path | None = None,
    ) -> None:
        """Takes note of the stages.

        Args:
          console: where the bars are.
          steps: of each stage, by its name, in the order in which they will run.
          tensorboard: a folder in which each stage's metrics are written for TensorBoard; None to
            write none.
        """
        self._console, self._steps = console, steps
        self._tensorboard = tensorboard
        self._bars = rich.progress.Progress(
            rich.progress.TextColumn("{task.description}"),
            rich.progress.BarColumn(),
            rich.progress.MofNCompleteColumn(),
            rich.progress.TimeRemainingColumn(),
            console=console,
        )

    def __enter__(self) -> ProgressBars:
        self._bars.__enter__()
        self._tasks = {
            name: self._bars.add_task(name, total=total, start=False)
            for name, total in self._steps.items()
        }
        return self

    def __exit__(self, *error: object) -> None:
        self._bars.__exit__(*error)  # pyright: ignore[reportArgumentType]

    @contextlib.contextmanager
    def watch(self, name: str, title: str, unit: str = "steps") -> Iterator[Watcher]:
        """Shows the stage `name` as running, and as done when the context ends well.

        Lines that its watcher is told are shown where the bars cannot move.
        """
        task, total = self._tasks[name], self._steps[name]
        self._bars.update(task, completed=0)  # where it is done again
        self._bars.start_task(task)
        if not self._console.is_terminal:
            self._line(f"{title}: {total} {unit}; the first waits until it is compiled")
        board = None if self._tensorboard is None else TensorBoard(self._tensorboard / name)
        watcher = Watcher(
            lambda: self._bars.advance(task),
            lambda message: self._console.print(message, style="yellow", highlight=False),
            self._line if not self._console.is_terminal else lambda line: None,
        )
        if board is None:
            yield watcher
        else:
            with contextlib.closing(board):
                yield watcher._replace(on_epoch=board.log)
        self._bars.update(task, completed=total)

    def skip(self, name: str) -> None:
        """Shows the stage `name` as done before."""
        self._bars.update(self._tasks[name], completed=self._steps[name])

    def _line(self, text: str) -> None:
        self._console.print(text, highlight=False, soft_wrap=True)

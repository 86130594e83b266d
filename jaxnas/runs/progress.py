"""Progress bars of an experiment's stages."""

from __future__ import annotations

import contextlib
import time
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
            rich.progress.TextColumn("{task.fields[unit]}"),
            rich.progress.TimeElapsedColumn(),  # which runs while the first step is compiled
            rich.progress.TimeRemainingColumn(),
            console=console,
            speed_estimate_period=600.0,
        )

    def __enter__(self) -> ProgressBars:
        self._bars.__enter__()
        self._tasks = {
            name: self._bars.add_task(name, total=total, start=False, unit="")
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
        self._bars.update(task, completed=0, unit=unit)  # where it is done again
        self._bars.start_task(task)
        if not self._console.is_terminal:
            compiled = (
                "; the first waits until it is compiled" if unit in ("steps", "children") else ""
            )
            self._line(f"{title}: {total} {unit}{compiled}")
        board = None if self._tensorboard is None else TensorBoard(self._tensorboard / name)
        clock = _Clock(total)

        def progress() -> None:
            clock.done += 1
            self._bars.advance(task)

        watcher = Watcher(
            progress,
            lambda message: self._console.print(message, style="yellow", highlight=False),
            (lambda line: self._line(line + clock.left()))
            if not self._console.is_terminal
            else lambda line: None,
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


class _Clock:
    """How long a stage will still take, by its steps after the first line of it.

    What was compiled, and steps of an earlier start, which are told at once, lie before that line.
    """

    def __init__(self, total: int) -> None:
        self._total, self.done = total, 0
        self._marked: tuple[float, int] | None = None

    def left(self) -> str:
        """What to add to a line; nothing to the first and at the end."""
        now, left = time.monotonic(), self._total - self.done
        if self._marked is None:
            self._marked = (now, self.done) if self.done else None
            return ""
        started, before = self._marked
        if left <= 0 or self.done == before:
            return ""
        seconds = (now - started) / (self.done - before) * left
        for unit, size in (("h", 3600), ("min", 60)):
            if seconds >= 2 * size:
                return f", about {seconds / size:.0f} {unit} left"
        return f", about {seconds:.0f} s left"

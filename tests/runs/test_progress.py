"""What is told of a stage that runs."""

import io
import re
from types import SimpleNamespace

import rich.console

from jaxnas.runs import progress
from jaxnas.runs.progress import ProgressBars


def test_without_a_terminal_a_line_says_how_long_it_will_still_take(monkeypatch):
    now = iter([0.0, 50.0, 60.0, 70.0])
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: next(now)))
    written = io.StringIO()
    console = rich.console.Console(file=written, width=80)
    with ProgressBars(console, {"a": 100}) as bars:
        with bars.watch("a", "a, seed 0") as watcher:
            watcher.tell("epoch 0")
            for line in ("epoch 1", "epoch 2", "epoch 3"):
                for _ in range(10):
                    watcher.progress()
                watcher.tell(line)
    lines = written.getvalue().splitlines()
    assert lines[0] == "a, seed 0: 100 steps; the first waits until it is compiled"
    assert lines[1:5] == [
        "epoch 0",
        "epoch 1",
        "epoch 2, about 80 s left",
        "epoch 3, about 70 s left",
    ]


def test_in_a_terminal_a_clock_runs_before_the_first_step():
    written = io.StringIO()
    console = rich.console.Console(file=written, width=100, force_terminal=True)
    with ProgressBars(console, {"a": 7}) as bars, bars.watch("a", "a", "children"):
        bars._bars.refresh()
    shown = re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", written.getvalue())
    assert "0/7 children 0:00:00 -:--:--" in shown

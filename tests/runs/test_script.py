"""How a script ends when it is interrupted."""

import subprocess
import sys

INTERRUPTED = """
import atexit, dataclasses, time
from jaxnas.runs.script import run_script

@dataclasses.dataclass
class Flags:
    speed: int = 1

def run(flags):
    atexit.register(time.sleep, 300)  # as XLA, which ends what it compiles before the process ends
    print("started")
    raise KeyboardInterrupt

run_script(Flags, None, run)
"""


def test_an_interrupt_ends_the_process_at_once():
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", INTERRUPTED],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 130
    assert done.stdout == "started\n"
    assert done.stderr == "interrupted; the same command with --resume goes on\n"

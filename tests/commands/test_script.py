"""How a script ends when it is interrupted."""

import subprocess
import sys

import pytest

INTERRUPTED = """
import atexit, dataclasses, time
from jaxnas.commands.script import run_script

@dataclasses.dataclass
class Flags:
    speed: int = 1
    {flag}: bool = False

@dataclasses.dataclass
class Group:
    flags: Flags

def run(flags):
    atexit.register(time.sleep, 300)  # as XLA, which ends what it compiles before the process ends
    print("started")
    raise KeyboardInterrupt

run_script(Group, None, run)
"""


@pytest.mark.quick_cases(1)
@pytest.mark.parametrize(
    ("flag", "sentence"), [("resume", "--resume goes on"), ("overwrite", "--overwrite starts anew")]
)
def test_an_interrupt_ends_the_process_at_once(flag, sentence):
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", INTERRUPTED.format(flag=flag)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 130
    assert done.stdout == "started\n"
    assert done.stderr == f"interrupted; the same command with {sentence}\n"

"""How a script ends when it is interrupted."""

import os
import re

import jax
import pytest

from jaxnas.commands.script import run_command
from jaxnas.data import DataError
from jaxnas.data.errors import DownloadError
from jaxnas.errors import UserError
from jaxnas.jobs.job import WorkersDied, WorkersError
from jaxnas.nn import WeightsError
from jaxnas.runs.config import ConfigError
from jaxnas.runs.loop import TrainingError
from jaxnas.storage import RunError
from jaxnas.storage.directory import InUseError
from jaxnas.storage.files import WriteError
from support.killing import call

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
    done = call(["-W", "error", "-c", INTERRUPTED.format(flag=flag)], timeout=120)
    assert done.returncode == 130
    assert done.stdout == "started\n"
    assert done.stderr == f"interrupted; the same command with {sentence}\n"


@pytest.mark.parametrize(
    ("imported", "status", "told"), [(True, 130, "interrupted\n"), (False, -2, "Traceback")]
)
def test_an_interrupt_of_imports_is_told_and_a_library_s_user_keeps_the_traceback(
    tmp_path, imported, status, told
):
    (tmp_path / "heavy.py").write_text("raise KeyboardInterrupt\n")
    code = f"import jaxnas.commands\n{'import heavy' if imported else 'raise KeyboardInterrupt'}"
    others = {name: value for name, value in os.environ.items() if not name.startswith("JAX_")}
    done = call(["-c", code], timeout=120, env=others | {"PYTHONPATH": str(tmp_path)})
    assert done.returncode == status
    assert done.stderr.startswith(told)


NOISY = """
import dataclasses, logging, warnings
from jaxnas.commands.script import run_script

@dataclasses.dataclass
class Flags:
    name: str = ""

def run(flags):
    print("caf\\udce9")
    for text in ("first\\nsecond", "third"):
        warnings.warn(text)
    try:
        raise OSError(28, "No space left on device")
    except OSError:
        logging.getLogger("a.library").exception("it failed:\\nhere")

run_script(Flags, None, run)
"""


def test_what_libraries_tell_is_a_line_each_and_no_traceback():
    env = os.environ | {"PYTHONIOENCODING": "utf-8"}
    done = call(["-c", NOISY], timeout=120, check=True, env=env)
    assert done.stdout == "caf\\udce9\n"
    assert done.stderr == "warning: first second\na.library: it failed:\n"


def test_a_word_of_the_command_line_that_is_no_utf8_is_refused_first():
    done = call(["-c", NOISY, "--name", b"caf\xe9"], timeout=120)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: the name 'caf\\udce9' is no UTF-8, and checkpoints")


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (MemoryError(), "the memory does not suffice (MemoryError); make the run smaller"),
        (PermissionError(13, "Permission denied", "/x"), "/x: Permission denied"),
        (UserError("a\nb\x1b[31m\u202e is no file"), r"a\nb\x1b[31m\u202e is no file"),
        (
            jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory\nmore"),
            "the memory does not suffice (RESOURCE_EXHAUSTED: Out of memory); make the run smaller",
        ),
        (
            jax.errors.JaxRuntimeError("INTERNAL: CUDA_ERROR_ILLEGAL_ADDRESS"),
            "the device failed (INTERNAL: CUDA_ERROR_ILLEGAL_ADDRESS); --resume goes on, where "
            "there is one",
        ),
    ],
)
def test_what_the_machine_causes_is_a_sentence(error, sentence):
    def fail(_):
        raise error

    with pytest.raises(SystemExit, match=f"^{re.escape('error: ' + sentence)}$"):
        run_command(lambda: None, fail)


@pytest.mark.parametrize(
    ("status", "kinds"),
    [
        (2, [ConfigError, DataError, WeightsError, RunError, InUseError, WorkersError]),
        (1, [TrainingError, WriteError, WorkersDied, DownloadError, PermissionError, MemoryError]),
    ],
)
def test_the_status_tells_what_was_asked_for_from_work_that_fails(status, kinds):
    for kind in kinds:

        def fail(_, kind=kind):
            raise kind("no")

        with pytest.raises(SystemExit) as caught:
            run_command(lambda: None, fail)
        assert caught.value.code == status, kind


def test_a_fault_of_the_program_keeps_its_traceback():
    with pytest.raises(ZeroDivisionError):
        run_command(lambda: 0, lambda flag: 1 / flag)


def test_a_device_that_is_not_there_is_a_sentence(monkeypatch):
    def fail(*_):
        raise AssertionError  # as jax does for JAX_PLATFORMS=cuda without CUDA

    monkeypatch.setattr(jax, "devices", fail)
    monkeypatch.setenv("JAX_PLATFORMS", "cuda")
    with pytest.raises(SystemExit, match=r"^error: JAX finds no device \(JAX_PLATFORMS=cuda\);"):
        run_command(lambda: None, fail)

import gc
import os
import platform
import shutil
import signal
from collections import Counter
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path

import pytest

# Tests compile much and compute little: without LLVM's optimisations they take a fraction of the
# time. Set before JAX starts its backend; programs that tests start inherit it. A name that the
# installed jaxlib does not know would end the process without a word.
os.environ["XLA_FLAGS"] = (
    f"{os.environ.get('XLA_FLAGS', '')} --xla_backend_optimization_level=0"
).strip()


def _compiled() -> Path:
    """The folder that keeps what JAX compiles, of this jaxlib on this kind of processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        processor = sorted({line for line in lines if line.startswith(("model name", "flags"))})
    except OSError:
        processor = [platform.platform(), platform.processor()]
    kind = sha256("\n".join(processor).encode()).hexdigest()[:12]
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    root = Path(home) / "jaxnas" / "compiled_for_tests"
    return root / f"jaxlib-{version('jaxlib')}-{kind}"


# What one test compiles no other compiles again: not in another worker, not in a program that a
# test starts, and not in the next run.
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(_compiled()))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")

# Where the tests run in the background Ctrl-C is ignored, also by what they start; some send it.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

pytest.register_assert_rewrite("support")

# Tracing makes and drops many objects, few of them in cycles: looking for those less often saves a
# tenth of the time.
gc.set_threshold(200_000, 50, 50)

MOST_BYTES = 1 << 30
MOST_MAPS = 25_000


def pytest_configure(config: pytest.Config) -> None:
    """Before workers start, forgets what is compiled if old programs have filled the folder."""
    folder = _compiled()
    if hasattr(config, "workerinput") or not folder.exists():
        return
    if sum(entry.stat().st_size for entry in os.scandir(folder)) > MOST_BYTES:
        shutil.rmtree(folder, ignore_errors=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Of a test with ``quick_cases(n)``, all but the first n cases are slow."""
    seen: Counter[str] = Counter()
    for item in items:
        mark = item.get_closest_marker("quick_cases")
        if mark is None or item.get_closest_marker("slow"):
            continue
        test = item.nodeid.partition("[")[0]
        seen[test] += 1
        if seen[test] > mark.args[0]:
            item.add_marker("slow")


@pytest.fixture(scope="session")
def real_data_dir() -> Path:
    """The folder of real data sets; tests that ask for it are skipped where there is none."""
    folder = os.environ.get("JAXNAS_DATA_DIR")
    if not folder:
        pytest.skip("needs real data: set JAXNAS_DATA_DIR to a folder that holds it")
    return Path(folder)


@pytest.fixture(scope="session")
def csv_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole table of invented numbers, in a folder of its own."""
    from support import official_table

    path = tmp_path_factory.mktemp("tabular") / "nasbench201.csv"
    path.write_text("\n".join(official_table.lines()) + "\n")
    return path


@pytest.fixture(autouse=True, scope="module")
def _few_programs():
    """Lets go of what was compiled before its memory maps are as many as Linux grants (65,530).

    XLA maps memory for every program, and a worker that runs out of maps dies.
    """
    yield
    maps = Path("/proc/self/maps")
    if maps.exists() and maps.read_bytes().count(b"\n") > MOST_MAPS:
        import jax

        jax.clear_caches()
        gc.collect()

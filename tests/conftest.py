import gc
import os
from pathlib import Path

# Tests compile much and compute little: without LLVM's optimisations they take a fraction of the
# time. Set before JAX starts its backend; programs that tests start inherit it. A name that the
# installed jaxlib does not know would end the process without a word.
os.environ["XLA_FLAGS"] = (
    f"{os.environ.get('XLA_FLAGS', '')} --xla_backend_optimization_level=0"
).strip()

import pytest

# Tracing makes and drops many objects, few of them in cycles: looking for those less often saves a
# tenth of the time.
gc.set_threshold(200_000, 50, 50)


@pytest.fixture(scope="session")
def real_data_dir() -> Path:
    """The folder of real data sets; tests that ask for it are skipped where there is none."""
    folder = os.environ.get("JAXNAS_DATA_DIR")
    if not folder:
        pytest.skip("needs real data: set JAXNAS_DATA_DIR to a folder that holds it")
    return Path(folder)

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def real_data_dir() -> Path:
    """The folder of real data sets; tests that ask for it are skipped where there is none."""
    folder = os.environ.get("JAXNAS_DATA_DIR")
    if not folder:
        pytest.skip("needs real data: set JAXNAS_DATA_DIR to a folder that holds it")
    return Path(folder)

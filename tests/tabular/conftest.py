from pathlib import Path

import pytest

from jaxnas.tabular import Table, load_nasbench201
from tabular import official


@pytest.fixture(scope="session")
def csv_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole table of invented numbers, in a folder of its own."""
    path = tmp_path_factory.mktemp("tabular") / "nasbench201.csv"
    path.write_text("\n".join(official.lines()) + "\n")
    return path


@pytest.fixture(scope="session")
def table(csv_path: Path) -> Table:
    return load_nasbench201(csv_path)

from pathlib import Path

import pytest

from jaxnas.tabular import MeasuredTable, load_nasbench201


@pytest.fixture(scope="session")
def table(csv_path: Path) -> MeasuredTable:
    return load_nasbench201(csv_path)

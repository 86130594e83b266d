from pathlib import Path

import pytest

from jaxnas.tabular import Table, load_nasbench201


@pytest.fixture(scope="session")
def table(csv_path: Path) -> Table:
    return load_nasbench201(csv_path)

from runs.conftest import compiled_once
from tabular.conftest import csv_path

__all__ = ["compiled_once", "csv_path"]

"""What is known already: tables of architectures that others have trained.

Imports no JAX.
"""

from jaxnas.tabular.csv_file import write_csv
from jaxnas.tabular.errors import TabularError
from jaxnas.tabular.loading import load_nasbench201
from jaxnas.tabular.nasbench201 import DATASETS, EPOCHS, SIZE, SPLITS, MeasuredTable, Record
from jaxnas.tabular.nats_bench import read_record
from jaxnas.tabular.nats_sizes import load_nats_sizes
from jaxnas.tabular.rank import kendall, spearman

__all__ = [
    "DATASETS",
    "EPOCHS",
    "SIZE",
    "SPLITS",
    "MeasuredTable",
    "Record",
    "TabularError",
    "kendall",
    "load_nasbench201",
    "load_nats_sizes",
    "read_record",
    "spearman",
    "write_csv",
]

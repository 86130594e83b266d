"""What is known already: tables of architectures that others have trained.

Imports no JAX.
"""

from jaxnas.tabular.csv_file import write_csv
from jaxnas.tabular.errors import TabularError
from jaxnas.tabular.hw_nas_bench import load_hw_nas_bench
from jaxnas.tabular.loading import load_nasbench201
from jaxnas.tabular.nas_bench_graph import (
    GRAPH_OPERATIONS,
    GraphDataset,
    NASBenchGraph,
    NASBenchGraphSpace,
    load_nas_bench_graph,
)
from jaxnas.tabular.nasbench101 import NASBench101, NASBench101Module, load_nasbench101
from jaxnas.tabular.nasbench201 import DATASETS, EPOCHS, SIZE, SPLITS, MeasuredTable, Record
from jaxnas.tabular.nats_bench import read_record
from jaxnas.tabular.nats_sizes import load_nats_sizes
from jaxnas.tabular.rank import kendall, spearman

__all__ = [
    "DATASETS",
    "EPOCHS",
    "GRAPH_OPERATIONS",
    "SIZE",
    "SPLITS",
    "GraphDataset",
    "MeasuredTable",
    "NASBench101",
    "NASBench101Module",
    "NASBenchGraph",
    "NASBenchGraphSpace",
    "Record",
    "TabularError",
    "kendall",
    "load_hw_nas_bench",
    "load_nas_bench_graph",
    "load_nasbench101",
    "load_nasbench201",
    "load_nats_sizes",
    "read_record",
    "spearman",
    "write_csv",
]

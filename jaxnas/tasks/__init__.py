"""What is learned: the loss and the metrics of a batch."""

from jaxnas.tasks.self_supervised import nt_xent, simclr, simsiam
from jaxnas.tasks.supervised import balanced_class_weights, supervised
from jaxnas.tasks.task import Task, data_parallel, in_programs

__all__ = [
    "Task",
    "balanced_class_weights",
    "data_parallel",
    "in_programs",
    "nt_xent",
    "simclr",
    "simsiam",
    "supervised",
]

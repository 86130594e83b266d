"""What is learned: the loss and the metrics of a batch."""

from jaxnas.tasks.supervised import Task, supervised

__all__ = ["Task", "supervised"]

"""Searches of toy children that are stopped, and whether two ended alike."""

import jax
import numpy as np

from jaxnas.children.child_search import Evaluator
from jaxnas.jobs.job import InProcess
from jaxnas.storage.checkpoints import Checkpoints

from .leaves import plain
from .toy_children import ToyTraining


class Killed(Exception):
    pass


class Counting(Evaluator):
    """Counts, and stops before the child of a number."""

    def __init__(self, most=10**9, make=ToyTraining):
        super().__init__(InProcess(), make)
        self.trained, self.most = [], most

    def evaluate(self, candidates, epochs):
        for outcome in super().evaluate(candidates, epochs):
            if len(self.trained) == self.most:
                raise Killed
            self.trained.append(outcome.candidate)
            yield outcome


def assert_same_state(folder, other, algorithm):
    """That two searches ended in the same bits."""
    like = jax.eval_shape(algorithm.init, jax.random.key(0))
    ours, theirs = (
        Checkpoints(each / "checkpoints").restore(lambda meta: like) for each in (folder, other)
    )
    assert ours[0] == theirs[0]
    for leaf, same in zip(jax.tree.leaves(ours[1]), jax.tree.leaves(theirs[1]), strict=True):
        np.testing.assert_array_equal(plain(leaf), plain(same))

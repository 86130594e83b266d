"""Children that cost nothing: what becomes of one is a function of its decisions."""

from jaxnas.children.child_training import Outcome

from .toys import Toy

SPACE = Toy(3, 4, 2, 5)


def accuracy(candidate):
    return 100 * (1 - abs(sum(candidate) - 4) / 10)


class ToyTraining:
    """In the place of `ChildTraining`; a child whose first two decisions are 2 and 2 fails."""

    def train(self, candidate, epochs):
        seconds = {"compile": 0.0, "init": 0.1, "train": 1.0 * epochs, "judge": 0.1}
        if candidate[:2] == (2, 2):
            return Outcome(candidate, (), seconds, "the loss was not finite")
        return Outcome(candidate, (accuracy(candidate),), seconds, "")

"""The one error of this storey."""


class TabularError(ValueError):
    """A table that cannot be found, read or asked; its message is one sentence on what to do."""

"""The one error of this storey."""

from jaxnas.errors import UserError


class TabularError(UserError, ValueError):
    """A table that cannot be found, read or asked; its message is one sentence on what to do."""

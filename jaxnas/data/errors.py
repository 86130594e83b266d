"""The one error of this storey."""

from jaxnas.errors import UserError


class DataError(UserError, ValueError):
    """Data that cannot be found, read or used; its message is one sentence that says what to do."""

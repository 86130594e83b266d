"""The one error of this storey."""


class DataError(ValueError):
    """Data that cannot be found, read or used; its message is one sentence that says what to do."""

"""What is raised when data cannot be used."""

from pathlib import Path

from jaxnas.errors import ExecutionError, UserError


class DataError(UserError, ValueError):
    """Data that cannot be found, read or used; the message says what to do."""


class DownloadError(DataError, ExecutionError):
    """A download that failed."""


class ChangedFileError(DataError, ExecutionError):
    """A file that is not what it was when the data set was listed."""


class BrokenImageError(DataError):
    """An image file that cannot be decoded.

    Attributes:
      path: the file.
      cause: why not, in a few words.
    """

    def __init__(self, path: Path, cause: str, advice: str) -> None:
        """`advice` is what to do, after the colon."""
        super().__init__(path, cause, advice)  # by which it is pickled
        self.path, self.cause = path, cause

    def __str__(self) -> str:
        return f"{self.path} cannot be read as an image ({self.cause}): {self.args[2]}."

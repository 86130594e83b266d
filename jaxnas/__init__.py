"""Find and adapt neural architectures in JAX and Flax, reproducibly."""

from importlib.metadata import version
from typing import TYPE_CHECKING

from jaxnas.lazy import at_first_use

if TYPE_CHECKING:
    from jaxnas.api import Adapted, adapt

__version__ = version("jaxnas")
__all__ = ["Adapted", "adapt"]

# So that `jaxnas.spaces` stays free of JAX.
__getattr__ = at_first_use(__name__, {"Adapted": "api", "adapt": "api"})

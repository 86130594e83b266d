"""Find and adapt neural architectures in JAX and Flax, reproducibly."""

from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jaxnas.api import Adapted, adapt

__version__ = version("jaxnas")
__all__ = ["Adapted", "adapt"]


def __getattr__(name: str) -> Any:
    # Looked up when first used, so that `jaxnas.spaces` stays free of JAX.
    if name in __all__:
        from jaxnas import api

        return getattr(api, name)
    raise AttributeError(f"module 'jaxnas' has no attribute {name!r}")

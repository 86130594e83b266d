import jax
import pytest


@pytest.fixture(autouse=True)
def _full_precision():
    """Accelerators multiply float32 with fewer bits unless told otherwise."""
    with jax.default_matmul_precision("highest"):
        yield

import jax
import pytest
from jax.experimental.compilation_cache import compilation_cache

CACHE = {
    "jax_compilation_cache_dir": None,
    "jax_persistent_cache_min_compile_time_secs": 0.0,
    "jax_persistent_cache_min_entry_size_bytes": -1,
}


@pytest.fixture(scope="session")
def compiled_once(tmp_path_factory):
    """A folder that keeps what JAX compiles, here and in processes told of it: most of the time."""
    folder = tmp_path_factory.getbasetemp() / "compiled"
    before = {name: getattr(jax.config, name) for name in CACHE}
    for name, value in (CACHE | {"jax_compilation_cache_dir": str(folder)}).items():
        jax.config.update(name, value)
    compilation_cache.reset_cache()
    yield folder
    for name, value in before.items():
        jax.config.update(name, value)
    compilation_cache.reset_cache()

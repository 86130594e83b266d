from runs.conftest import compiled_once

__all__ = ["compiled_once"]

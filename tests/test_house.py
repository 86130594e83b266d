"""The structure of the package itself: imports only point down its rooms."""

import ast
from pathlib import Path

import jaxnas

PACKAGE = Path(jaxnas.__file__).parent

ROOMS = (
    *("errors", "hints", "lazy", "randomness", "allocation", "compilation", "data", "spaces"),
    *("nn", "tasks", "training", "search", "tabular", "storage", "jobs", "reports", "runs"),
    *("children", "commands", "api", "cli", "__main__"),
)
"""From the bottom to the top."""


def imports(path):
    """Names of the rooms that a file imports from."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module == "jaxnas":
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("jaxnas."):
            yield node.module.split(".")[1]
        elif isinstance(node, ast.Import):
            yield from (a.name.split(".")[1] for a in node.names if a.name.startswith("jaxnas."))


def test_a_search_names_neither_a_network_nor_a_space():
    """It knows a space by the contract that all have, and a network by the record it is given."""
    allowed = {"Space", "Genotype", "SKIP", "Cells", "Transformable", "Transitions", "SpaceError"}
    for folder in ("blackbox", "progressive", "shared"):
        for path in (PACKAGE / "search" / folder).glob("*.py"):
            assert "nn" not in imports(path), path
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.ImportFrom) and "spaces" in (node.module or ""):
                    assert {alias.name for alias in node.names} <= allowed, path


def test_every_room_has_its_place():
    found = {path.stem if path.is_file() else path.name for path in PACKAGE.iterdir()}
    assert found - {"__init__", "__pycache__"} == set(ROOMS)


def test_an_import_points_down():
    upward = []
    for path in sorted(PACKAGE.rglob("*.py")):
        room = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        if room != "__init__":
            names = [name for name in imports(path) if name in ROOMS]
            upward += [(str(path), n) for n in names if ROOMS.index(n) > ROOMS.index(room)]
    assert not upward

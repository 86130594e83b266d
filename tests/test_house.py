"""The structure of the project itself: imports only point down, and nothing grows large."""

import ast
import functools
import re
from pathlib import Path

import pytest

import jaxnas

PACKAGE = Path(jaxnas.__file__).parent
ROOT = Path(__file__).resolve().parent.parent

LONGEST_CHAIN = 19
"""Modules from a script down to the last that it needs; 14 is where this is to go."""

ROOMS = (
    *(
        "errors",
        "hints",
        "reading",
        "pickles",
        "library_messages",
        "field_types",
        "lazy",
        "randomness",
    ),
    "normalisation",
    *("allocation", "compilation"),
    *("data", "spaces", "nn", "tasks", "training", "search", "tabular", "storage", "jobs"),
    *("reports", "runs", "children", "commands", "api", "cli", "__main__"),
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
    found = {path.stem for path in PACKAGE.iterdir() if path.is_dir() or path.suffix == ".py"}
    assert found - {"__init__", "__pycache__"} == set(ROOMS)


def test_an_import_points_down():
    upward = []
    for path in sorted(PACKAGE.rglob("*.py")):
        room = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        if room != "__init__":
            names = [name for name in imports(path) if name in ROOMS]
            upward += [(str(path), n) for n in names if ROOMS.index(n) > ROOMS.index(room)]
    assert not upward


def test_files_folders_and_functions_stay_small():
    """A searcher's closures are one function, as long as its paper's algorithm is."""
    algorithms = {"adaptation", "darts", "enas", "nat", "proxylessnas"}
    too_large = []
    for path in (*PACKAGE.rglob("*.py"), *(ROOT / "experiments").rglob("*.py")):
        text = path.read_text()
        if len(text.splitlines()) > 400:
            too_large.append(path)
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef) and node.end_lineno - node.lineno >= 100:
                too_large += [(path, node.name)] if node.name not in algorithms else []
    for folder in {path.parent for path in PACKAGE.rglob("*.py")}:
        too_large += [folder] if len(list(folder.glob("*.py"))) > 15 else []
    assert not too_large


def modules():
    """Files of the package and the experiments by the names that they are imported by."""
    found = {}
    for path in (*PACKAGE.rglob("*.py"), *(ROOT / "experiments").rglob("*.py")):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        found[name.removesuffix(".__init__")] = path
    return found


def imported(path, known):
    """Names in `known` that a file imports where it is imported itself."""
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in known)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                yield from [name for name in (full, node.module) if name in known][:1]


def test_no_chain_of_imports_is_long():
    known = modules()

    @functools.cache
    def length(name):
        below = {each for each in imported(known[name], known) if each != name}
        return 1 + max(map(length, below), default=0)

    longest = max(known, key=length)
    assert length(longest) <= LONGEST_CHAIN, longest


@pytest.mark.parametrize(
    "page", [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")], ids=lambda page: page.stem
)
def test_files_that_a_page_names_are_there(page):
    named = re.findall(
        r"`((?:jaxnas|experiments|benchmarks|tests|docs)/[\w/.-]+)`", page.read_text()
    )
    assert not [name for name in named if not (ROOT / name).exists()]


def test_a_name_means_one_thing():
    """Classes and types of one name stand in one file alone."""
    places = {}
    for path in PACKAGE.rglob("*.py"):
        for node in ast.parse(path.read_text()).body:
            name = getattr(node, "name", "") if isinstance(node, ast.ClassDef) else ""
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                assigned = node.targets[0].id
                name = assigned if assigned[0].isupper() and not assigned.isupper() else ""
            if name and not name.startswith("_"):
                places.setdefault(name, set()).add(path)
    assert not {name: found for name, found in places.items() if len(found) > 1}


def test_docstrings_begin_with_what_they_are_about():
    wrong = []
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
                text = ast.get_docstring(node) or ""
                wrong += [(path, text)] if re.match(r"(As|By) what|So often|Of\b", text) else []
    assert not wrong

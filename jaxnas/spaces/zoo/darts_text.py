"""The text form in which DARTS and its successors print genotypes.

    Genotype(normal=[('sep_conv_3x3', 0), ...], normal_concat=range(2, 6), reduce=..., ...)

Pairs (operation, source) stand two to a node, in order; NAT writes triples (operation, source,
target). An edge that carries nothing is ``none`` in pairs and ``null`` in triples. What stands
around it, such as a name or the time of a log's line, is passed over. Read by a literal parser,
never evaluated.
"""

from __future__ import annotations

import ast
import re
from typing import Any, Literal

from jaxnas.spaces.genotype import NULL, Cell, Edge, GenotypeError, Node

Form = Literal["pairs", "triples"]

# Names that differ from this project's: DARTS's, which stand in pairs; NAT's code knows both.
_FROM_TEXT = {"none": NULL, "conv_7x1_1x7": "conv_1x7_7x1"}
_TO_TEXT: dict[str, dict[str, str]] = {
    "pairs": {ours: theirs for theirs, ours in _FROM_TEXT.items()},
    "triples": {},
}
_FIELDS = ("normal", "normal_concat", "reduce", "reduce_concat")
_WANTED = (
    "the genotype's text must be one Genotype(normal=..., normal_concat=..., reduce=..., "
    "reduce_concat=...)"
)


def read_cells(text: str) -> tuple[Cell, Cell]:
    """The normal and the reduction cell that `text` describes, in the darts family.

    Raises:
      GenotypeError: naming what cannot be read.
    """
    call = _call(text)
    for written in re.findall(r"(?<![\w'\"])\d\w*", call):
        if not written.isdecimal():  # 1_0, say, which Python reads as 10
            raise GenotypeError(f"the genotype's text has {written!r}, which is no number")
    try:
        value = ast.parse(call, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        reason = getattr(error, "msg", None) or error
        raise GenotypeError(f"the genotype's text cannot be parsed: {reason}") from error
    if not isinstance(value, ast.Call) or value.args:
        raise GenotypeError(_WANTED)
    fields = {keyword.arg: _literal(keyword.value, keyword.arg) for keyword in value.keywords}
    if sorted(fields, key=str) != sorted(_FIELDS):
        raise GenotypeError(
            f"the genotype's text must have the fields {', '.join(_FIELDS)}; "
            f"it has {', '.join(map(str, fields)) or 'none'}"
        )
    return (
        _cell("normal", fields["normal"], fields["normal_concat"]),
        _cell("reduction", fields["reduce"], fields["reduce_concat"]),
    )


def _call(text: str) -> str:
    """The one ``Genotype(...)`` in `text`, to the parenthesis that closes it, or to the end."""
    found = [match.start() for match in re.finditer(r"\bGenotype\s*\(", text)]
    if len(found) != 1:
        raise GenotypeError(f"{_WANTED}; there are {len(found)}" if found else _WANTED)
    depth = 0
    for end in range(text.index("(", found[0]), len(text)):
        depth += {"(": 1, ")": -1}.get(text[end], 0)
        if depth == 0:
            return text[found[0] : end + 1]
    return text[found[0] :]


def write_cells(normal: Cell, reduction: Cell, form: Form | None = None) -> str:
    """Text that `read_cells` reads back to equal cells.

    Args:
      normal: the first cell.
      reduction: the second.
      form: ``pairs`` is DARTS's, ``triples`` NAT's; None for pairs where they can say both cells.

    Raises:
      GenotypeError: if pairs are asked for and cannot say them.
    """
    cells = (("normal", normal), ("reduce", reduction))
    paired = all(
        [edge.target for edge in cell.edges] == [2 + i // 2 for i in range(2 * len(cell.nodes))]
        for _, cell in cells
    )
    form = form or ("pairs" if paired else "triples")
    if form == "pairs" and not paired:
        raise GenotypeError("pairs say two edges to every node, in order; use triples")
    parts = []
    for field, cell in cells:
        edges = [
            (_TO_TEXT[form].get(edge.op, edge.op), edge.source, edge.target)[
                : 3 - (form == "pairs")
            ]
            for edge in cell.edges
        ]
        parts += [f"{field}={edges}", f"{field}_concat={list(cell.output)}"]
    return f"Genotype({', '.join(parts)})"


def _literal(node: ast.expr, field: str | None) -> Any:
    """The value of a literal, or of a range of literals as a list."""
    try:
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "range":
            numbers = [ast.literal_eval(argument) for argument in node.args]
            if all(type(each) is int and abs(each) < 1000 for each in numbers):
                return list(range(*numbers))
        return ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError) as error:
        raise GenotypeError(
            f"field {field} of the genotype's text is no list of literals"
        ) from error


def _cell(name: str, edges: Any, concat: Any) -> Cell:
    """A darts cell of pairs or triples."""
    if not isinstance(edges, list | tuple) or not isinstance(concat, list | tuple):
        raise GenotypeError(f"cell {name!r}: its edges and its concat must be lists")
    found = []
    for index, item in enumerate(edges):
        where = f"cell {name!r}, edge {index} ({item!r})"
        if not (
            isinstance(item, list | tuple)
            and len(item) in (2, 3)
            and isinstance(item[0], str)
            and all(type(each) is int for each in item[1:])
        ):
            raise GenotypeError(
                f"{where}: must be (operation, source) or (operation, source, target)"
            )
        if len(item) != len(edges[0]):
            raise GenotypeError(f"{where}: pairs and triples are mixed")
        target = item[2] if len(item) == 3 else 2 + index // 2
        found.append(Edge(_FROM_TEXT.get(item[0], item[0]), item[1], target))
    if not found:
        raise GenotypeError(f"cell {name!r}: no edges")
    if len(edges[0]) == 2 and len(found) % 2:
        raise GenotypeError(f"cell {name!r}: pairs stand two to a node, but there are {len(found)}")
    if not all(type(each) is int for each in concat):
        raise GenotypeError(f"cell {name!r}: its concat must be a list of nodes")
    nodes = max(max(edge.target for edge in found) - 1, 0)
    if nodes > 100:
        raise GenotypeError(f"cell {name!r}: {nodes} nodes are more than a cell can have")
    return Cell(
        name,
        inputs=2,
        nodes=(Node(),) * nodes,
        edges=tuple(sorted(found, key=lambda edge: edge.target)),
        output=tuple(concat),
    )

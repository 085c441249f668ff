"""Lists as the server gives them: filters, JSON logic, order and pages."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

import orjson
from starlette.responses import Response

from .answers import PageRefusal, Refusal, reply
from .calls import Call
from .store import Json

_DEFAULT_PAGE = 10

Values = Mapping[str, object]


def list_answer(
    call: Call,
    documents: Sequence[Json],
    fields: Callable[[Json], Values],
    view: Callable[[Json], Json],
    *,
    choices: Mapping[str, Sequence[str]] | None = None,
) -> Response:
    """Filter, sort and page documents, newest id first where no order is asked for.

    Args:
        fields: gives the values of a document that can be filtered and sorted by, by name.
        view: gives a document as the answer shows it.
        choices: the values that a simple filter may have; another is a 400.
    """
    rows = [(fields(document), document) for document in documents if _visible(call, document)]
    for name, allowed in (choices or {}).items():
        value = call.query.get(name)
        if value is not None and value not in allowed:
            text = f"Select a valid choice. {value} is not one of the available choices."
            raise Refusal(400, {name: [text]})
    names = list(rows[0][0]) if rows else []
    for name in names:
        wanted = call.query.get(name)
        if wanted:
            rows = [row for row in rows if _text(row[0][name]) == wanted]
    search = call.query.get("search", "").lower()
    if search:
        rows = [
            row
            for row in rows
            if any(search in str(v).lower() for v in row[0].values() if isinstance(v, str))
        ]
    rows = _matching(rows, call.query.get("filter"))
    rows.sort(key=lambda row: int(row[1]["id"]), reverse=True)
    for field in reversed([part.strip() for part in call.query.get("sort", "").split(",")]):
        name = field.lstrip("-")
        if rows and name in rows[0][0]:
            rows.sort(key=lambda row: _sort_key(row[0][name]), reverse=field.startswith("-"))
    return page_answer(call, [document for _, document in rows], view)


def page_answer(call: Call, documents: Sequence[Json], view: Callable[[Json], Json]) -> Response:
    """Answer with one page of documents that are in order already.

    Raises:
        Refusal: 404, the page lies beyond the last.
    """
    asked = call.query.get("page_size", "")
    size = int(asked) if asked.isdigit() and int(asked) > 0 else _DEFAULT_PAGE
    if asked == "all":
        size = max(1, len(documents))
    pages = max(1, -(-len(documents) // size))
    text = call.query.get("page", "1")
    page = pages if text == "last" else int(text) if text.isdigit() else 0
    if not 1 <= page <= pages:
        raise Refusal(404, {"detail": "Invalid page."})
    shown = documents[(page - 1) * size : page * size]
    return reply(
        {
            "count": len(documents),
            "next": _link(call, page + 1) if page < pages else None,
            "previous": _link(call, page - 1) if page > 1 else None,
            "results": [view(document) for document in shown],
        }
    )


def _visible(call: Call, document: Json) -> bool:
    return not call.context.given or document.get("organization") == call.context.organization


def _link(call: Call, page: int) -> str:
    query = {name: value for name, value in call.query.items() if name != "page"} | {"page": str(page)}
    return f"{call.origin}{call.path}?{urlencode(query)}"


def _matching(rows: list[tuple[Values, Json]], text: str | None) -> list[tuple[Values, Json]]:
    if not text:
        return rows
    try:
        rule: object = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise Refusal(400, {"filter": ["Invalid JSON logic expression."]}) from error
    return [row for row in rows if _truth(rule, row[0])]


def _truth(rule: object, values: Values) -> bool:
    if not isinstance(rule, dict) or len(rule) != 1:
        raise PageRefusal(500)
    operator, operands = next(iter(rule.items()))
    if operator in {"and", "or"} and isinstance(operands, list):
        parts = [_truth(part, values) for part in operands]
        return all(parts) if operator == "and" else any(parts)
    if operator == "!":
        return not _truth(operands[0] if isinstance(operands, list) else operands, values)
    if not isinstance(operands, list):
        raise PageRefusal(500)
    if operator == "<=" and len(operands) == 3:
        middle = _variable(operands[1], values)
        return _compared("<=", operands[0], middle) and _compared("<=", middle, operands[2])
    if len(operands) != 2:
        raise PageRefusal(500)
    if operator == "in" and isinstance(operands[0], str):
        return operands[0].lower() in str(_variable(operands[1], values) or "").lower()
    return _compared(operator, _variable(operands[0], values), operands[1])


def _variable(operand: object, values: Values) -> object:
    # The real server crashes when the constant comes first.
    if not isinstance(operand, dict) or "var" not in operand:
        raise PageRefusal(500)
    name = operand["var"]
    if name not in values:
        raise Refusal(400, {"filter": [f"'{name}' is not a valid filter field."]})
    return values[name]


def _compared(operator: str, left: object, right: object) -> bool:
    if operator in {"==", "!="}:
        return (_text(left) == _text(right)) == (operator == "==")
    if operator == "in" and isinstance(right, list):
        return _text(left) in {_text(value) for value in right}
    if operator not in {"<", "<=", ">", ">="}:
        raise PageRefusal(500)
    if left is None or right is None:
        return False
    first: Any = left if isinstance(left, int | float) else str(left)
    try:
        second: Any = type(first)(right)
    except (TypeError, ValueError) as error:
        raise PageRefusal(500) from error
    return bool(
        {"<": first < second, "<=": first <= second, ">": first > second, ">=": first >= second}[operator]
    )


def _text(value: object) -> str:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _sort_key(value: object) -> tuple[int, float, str]:
    if isinstance(value, int | float):
        return 1, float(value), ""
    return (0, 0.0, "") if value is None else (2, 0.0, str(value))

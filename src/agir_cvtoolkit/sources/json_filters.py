"""Filters written as a JSON object: ``{"state": ["NC", "MD"], "bbox_area_cm2": {"between": [5, 90]}}``."""

from __future__ import annotations

import json
from typing import Any

from agir_cvtoolkit.errors import QueryError

from .conditions import Comparison, Condition, Membership, Not, NullTest, Operator, Range, Value, all_of
from .pointing import pointed
from .shorthand import MASK_KEYS, mask_test

_NEXT = 'Write for example {"state": ["NC", "MD"], "area": {"between": [5, 90]}, "season": {">=": 2022}}.'
_ORDERS: dict[str, Operator] = {
    "==": "==",
    "!=": "!=",
    ">=": ">=",
    "<=": "<=",
    ">": ">",
    "<": "<",
    "like": "like",
}


def parse_json(text: str) -> Condition:
    """Parse a filter that is a JSON object; all its keys must hold.

    A value is a scalar (equality), null (no value), a list (membership), or an object of ``in``, ``not in``,
    ``between``, ``like`` and comparison signs.

    Raises:
        QueryError: it is no such object.
    """
    try:
        content = json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        raise QueryError(f"filter is not JSON: {error.msg}\n{pointed(text, error.pos)}", _NEXT) from error
    except (ValueError, RecursionError) as error:
        raise QueryError(f"filter '{text}' is not JSON: {error}", _NEXT) from error
    if not content:
        raise QueryError(f"filter '{text}' names no column", _NEXT)
    return all_of([part for key, value in content.items() for part in _conditions(key, value)])


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key, value in pairs:
        if key in result:
            raise ValueError(f"the key '{key}' stands there twice")
        result[key] = value
    return result


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is no value")


def _conditions(column: str, content: object) -> list[Condition]:
    if column in MASK_KEYS and not isinstance(content, dict | list):
        return [mask_test(column, content)]
    if isinstance(content, dict):
        if not content:
            raise QueryError(f"the JSON filter of '{column}' is empty", _NEXT)
        return [_operation(column, operator, operand) for operator, operand in content.items()]
    if isinstance(content, list):
        return [Membership(column, _values(column, content), closed=True)]
    return [
        Membership(column, (_value(column, content),), closed=True)
        if content is not None
        else NullTest(column)
    ]


def _operation(column: str, operator: str, operand: object) -> Condition:
    name = " ".join(operator.lower().split())
    negated = name.startswith("not ")
    match name.removeprefix("not "):
        case "in":
            return Membership(column, _values(column, operand), negated, closed=True)
        case "between":
            values = _values(column, operand)
            if len(values) != 2:
                raise QueryError(f"between of '{column}' takes two values, here are {len(values)}", _NEXT)
            return Range(column, *values, negated)
        case "like" if negated:
            return Not(Comparison(column, "like", _value(column, operand)))
        case known if known in _ORDERS and not negated:
            return Comparison(column, _ORDERS[known], _value(column, operand))
    known_names = ", ".join(["in", "not in", "between", "not between", *_ORDERS])
    raise QueryError(f"'{operator}' of '{column}' is no comparison", f"Known: {known_names}.")


def _values(column: str, content: object) -> tuple[Value, ...]:
    if not isinstance(content, list) or not content:
        raise QueryError(f"'{column}' needs a list with at least one value", _NEXT)
    return tuple(_value(column, item) for item in content)


def _value(column: str, content: object) -> Value:
    if content is None or isinstance(content, str | int | float):
        return Value(content, literal=True)
    raise QueryError(f"a value of '{column}' is neither text nor a number", _NEXT)

"""Filters written as a JSON object: ``{"state": ["NC", "MD"], "bbox_area_cm2": {"between": [5, 90]}}``."""

from __future__ import annotations

import json
import re
from typing import Any

from agir_cvtoolkit.errors import QueryError

from .conditions import Comparison, Condition, Membership, Not, NullTest, Operator, Range, Value, all_of
from .pointing import Spot, pointed, pointing
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
    return all_of([part for key, value in content.items() for part in _Column(key, text).conditions(value)])


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key, value in pairs:
        if key in result:
            raise ValueError(f"the key '{key}' stands there twice")
        result[key] = value
    return result


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is no value")


class _Column:
    """One key of a filter, and where it stands."""

    def __init__(self, name: str, text: str) -> None:
        self.name = name
        written = re.search(rf"(?<!\\){re.escape(json.dumps(name, ensure_ascii=False))}\s*:", text)
        self.spot = Spot(text, written.start()) if written is not None else None

    def conditions(self, content: object) -> list[Condition]:
        with pointing(self.spot):
            return self.tests(content)

    def tests(self, content: object) -> list[Condition]:
        if self.name in MASK_KEYS and not isinstance(content, dict | list):
            return [mask_test(self.name, content, self.spot)]
        if isinstance(content, dict):
            if not content:
                raise QueryError(f"the JSON filter of '{self.name}' is empty", _NEXT)
            return [self.operation(operator, operand) for operator, operand in content.items()]
        if content is None:
            return [NullTest(self.name, spot=self.spot)]
        values = self.values(content) if isinstance(content, list) else (self.value(content),)
        return [Membership(self.name, values, closed=True, spot=self.spot)]

    def operation(self, operator: str, operand: object) -> Condition:
        word = " ".join(operator.lower().split())
        negated = word.startswith("not ")
        match word.removeprefix("not "):
            case "in":
                return Membership(self.name, self.values(operand), negated, closed=True, spot=self.spot)
            case "between":
                values = self.values(operand)
                if len(values) != 2:
                    raise QueryError(
                        f"between of '{self.name}' takes two values, here are {len(values)}", _NEXT
                    )
                return Range(self.name, *values, negated, self.spot)
            case "like" if negated:
                return Not(Comparison(self.name, "like", self.value(operand), self.spot))
            case known if known in _ORDERS and not negated:
                return Comparison(self.name, _ORDERS[known], self.value(operand), self.spot)
        known_names = ", ".join(["in", "not in", "between", "not between", *_ORDERS, "not like"])
        raise QueryError(f"'{operator}' of '{self.name}' is no comparison", f"Known: {known_names}.")

    def values(self, content: object) -> tuple[Value, ...]:
        if not isinstance(content, list) or not content:
            raise QueryError(f"'{self.name}' needs a list with at least one value", _NEXT)
        return tuple(self.value(item) for item in content)

    def value(self, content: object) -> Value:
        if content is None or isinstance(content, str | int | float):
            return Value(content, literal=True, spot=self.spot)
        raise QueryError(f"a value of '{self.name}' is neither text nor a number", _NEXT)

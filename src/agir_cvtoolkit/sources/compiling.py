"""Conditions to SQL expressions: columns are checked against the table, values only bound as parameters."""

from __future__ import annotations

import json
import math
import re
from typing import Any

import sqlalchemy as sa

from agir_cvtoolkit.errors import QueryError

from .conditions import (
    AllOf,
    AnyOf,
    Comparison,
    Condition,
    MaskTest,
    Membership,
    Not,
    NullTest,
    Operator,
    Range,
    Value,
)
from .dates import Span, looks_like_date, span
from .table import Source

_NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d{1,4})?", re.ASCII)
_TRUTH = {"true": 1, "false": 0}
_INT64 = 2**63
_MANY = 400
"""Longer lists are bound as one JSON array, for SQLite bounds the number of parameters."""

_MASK_COLUMNS = ("mask_path", "final_mask_path")

Expression = sa.ColumnElement[bool]
Scalar = str | int | float


def compile_condition(condition: Condition, source: Source) -> Expression:
    """Compile a condition for a table.

    Raises:
        QueryError: an unknown column, or a value that a column cannot be compared with.
    """
    match condition:
        case AllOf(conditions):
            return sa.and_(*(compile_condition(part, source) for part in conditions))
        case AnyOf(conditions):
            return sa.or_(*(compile_condition(part, source) for part in conditions))
        case Not(inner):
            return sa.not_(compile_condition(inner, source).self_group())
        case MaskTest(present):
            return _mask(present, source)
        case NullTest(column, negated):
            return _Column(column, source).null(negated)
        case Comparison(column, operator, value):
            return _Column(column, source).compare(operator, value)
        case Membership(column, values, negated):
            found = _Column(column, source).among(values)
            return sa.not_(found.self_group()) if negated else found
        case Range(column, low, high, negated):
            target = _Column(column, source)
            inside = sa.and_(target.compare(">=", low), target.compare("<=", high))
            return sa.not_(inside.self_group()) if negated else inside


def number(text: str) -> int | float | None:
    """Return the number that a text writes, or None; integers beyond 64 bits become floats.

    Raises:
        QueryError: the number is too large for any column.
    """
    if _NUMBER.fullmatch(text) is None:
        return None
    if re.fullmatch(r"[+-]?\d{1,19}", text, re.ASCII):
        whole = int(text)
        return whole if -_INT64 <= whole < _INT64 else float(whole)
    value = float(text)
    if math.isinf(value):
        raise QueryError(f"the number {text[:40]} is too large", "Write a smaller one.")
    return value


def _mask(present: bool, source: Source) -> Expression:
    name = source.first_of(*_MASK_COLUMNS)
    if name is not None:
        column = source.column(name)
        there = sa.and_(column.is_not(None), column != sa.literal(""))
        return there if present else sa.not_(there.self_group())
    flag = source.first_of("has_masks", "has_mask")
    if flag is None:
        raise QueryError(
            f"has_mask needs a column mask_path, which table '{source.name}' does not have",
            f"Columns: {', '.join(source.kinds)}.",
        )
    column = source.column(flag)
    there = sa.and_(column.is_not(None), column != sa.literal(0))
    return there if present else sa.not_(there.self_group())


class _Column:
    """One column of a condition, with the rules for its kind of values."""

    def __init__(self, name: str, source: Source) -> None:
        self.name = source.resolve(name, "a filter")
        self.source = source
        self.kind = source.kinds[self.name]
        self.clause: sa.ColumnClause[Any] = source.column(self.name)

    def null(self, negated: bool) -> Expression:
        return self.clause.is_not(None) if negated else self.clause.is_(None)

    def compare(self, operator: Operator, value: Value) -> Expression:
        if value.is_null:
            if operator not in {"==", "!="}:
                raise QueryError(f"'{self.name}' cannot be {operator} null", f"Write {self.name} is null.")
            return self.null(operator == "!=")
        if operator == "like":
            return self.clause.like(sa.literal(_text(value)))
        named = self.date_span(value)
        if named is not None:
            return self.compare_date(operator, named)
        if operator in {"==", "!="}:
            equal = self.equal_to_any(self.scalars(value))
            return sa.not_(equal.self_group()) if operator == "!=" else equal
        return self.order(operator, self.order_scalar(value))

    def among(self, values: tuple[Value, ...]) -> Expression:
        parts: list[Expression] = []
        scalars: list[Scalar] = []
        for value in values:
            if value.is_null:
                parts.append(self.null(False))
                continue
            named = self.date_span(value)
            if named is not None:
                parts.append(self.compare_date("==", named))
            else:
                scalars += self.scalars(value)
        if scalars:
            parts.append(self.equal_to_any(scalars))
        return parts[0] if len(parts) == 1 else sa.or_(*parts)

    # --- dates ------------------------------------------------------------------------------------------

    def date_span(self, value: Value) -> Span | None:
        if self.kind in {"integer", "number"} or not isinstance(value.content, str):
            return None
        if not looks_like_date(value.content):
            return None
        style = self.source.date_style(self.name)
        return span(value.content, style) if style is not None else None

    def compare_date(self, operator: Operator, named: Span) -> Expression:
        low, high = sa.literal(named.low), sa.literal(named.high)
        match operator:
            case "==":
                return sa.and_(self.clause >= low, self.clause < high)
            case "!=":
                return sa.or_(self.clause < low, self.clause >= high)
            case ">=":
                return self.clause >= low
            case "<":
                return self.clause < low
            case "<=":
                return self.clause < high
            case _:
                return self.clause >= high

    # --- text and numbers -------------------------------------------------------------------------------

    def equal_to_any(self, scalars: list[Scalar]) -> Expression:
        if len(scalars) == 1:
            return self.clause == sa.literal(scalars[0])
        if len(scalars) <= _MANY:
            return self.clause.in_([sa.literal(scalar) for scalar in scalars])
        array = sa.literal(json.dumps(scalars, ensure_ascii=False))
        values = sa.func.json_each(array).table_valued("value")
        return self.clause.in_(sa.select(values.c.value))

    def scalars(self, value: Value) -> list[Scalar]:
        """Return what the column may equal: one value, or number and text where either may be stored."""
        text, known = _text(value), self.number_of(value)
        if self.kind == "text" or (known is None and self.kind == "any"):
            return [text]
        if known is None:
            self.check_text_possible(text)
            return [text]
        return [known, text] if self.kind == "any" else [known]

    def order_scalar(self, value: Value) -> Scalar:
        known = self.number_of(value)
        if self.kind == "text" or known is None:
            if self.kind in {"integer", "number"}:
                self.check_text_possible(_text(value))
            return _text(value)
        return known

    def number_of(self, value: Value) -> int | float | None:
        content = value.content
        if isinstance(content, str):
            if self.kind in {"integer", "number"} and content.lower() in _TRUTH:
                return _TRUTH[content.lower()]
            if self.kind == "any" and value.literal:
                return None
            return number(content.strip())
        return (
            number(repr(int(content) if isinstance(content, bool) else content))
            if content is not None
            else None
        )

    def check_text_possible(self, text: str) -> None:
        if not self.source.holds_text(self.name):
            raise QueryError(
                f"column '{self.name}' holds numbers and '{text}' is none",
                f"Write for example {self.name}>=5.",
            )

    def order(self, operator: Operator, scalar: Scalar) -> Expression:
        literal = sa.literal(scalar)
        compared: Expression
        match operator:
            case ">=":
                compared = self.clause >= literal
            case "<=":
                compared = self.clause <= literal
            case ">":
                compared = self.clause > literal
            case _:
                compared = self.clause < literal
        if isinstance(scalar, str):
            return compared
        # To SQLite every text is larger than every number; a stray "unknown" is not more than 5.
        return sa.and_(sa.func.typeof(self.clause) != sa.literal("text"), compared)


def _text(value: Value) -> str:
    content = value.content
    if isinstance(content, bool):
        return "true" if content else "false"
    return str(content)

"""Conditions to SQL expressions: columns are checked against the table, values only bound as parameters."""

from __future__ import annotations

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
from .dialects import BelowText, Like, Ordered, TextNumber, listed
from .pointing import Spot, pointing
from .table import Source
from .values import MISSING

_NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d{1,4})?", re.ASCII)
_NO_TEXT = re.compile("[\x00\ud800-\udfff]")
_TRUTH = {"true": 1, "false": 0}
_INT64 = 2**63
_MANY = 400
"""Longer lists are bound as one array, for databases bound the number of parameters."""

_MASK_COLUMNS = ("mask_path", "final_mask_path")
_NO_MASK = (*sorted(MISSING), "0", "0.0", "false")

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
            with pointing(condition.spot):
                return _mask(present, source)
        case NullTest(column, negated):
            return _Column(column, source, condition.spot).null(negated)
        case Comparison(column, operator, value):
            return _Column(column, source, condition.spot).compare(operator, value)
        case Membership(column, values, negated):
            found = _Column(column, source, condition.spot).among(values)
            return sa.not_(found.self_group()) if negated else found
        case Range(column, low, high, negated):
            target = _Column(column, source, condition.spot)
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
    name = source.first_of(*_MASK_COLUMNS, "has_masks", "has_mask")
    if name is None:
        raise QueryError(
            f"has_mask needs a column mask_path, which table '{source.name}' does not have",
            f"Columns: {', '.join(source.kinds)}.",
        )
    column = source.column(name)
    there = sa.and_(column.is_not(None), sa.func.lower(sa.cast(column, sa.Text)).not_in(_NO_MASK))
    return there if present else sa.not_(there.self_group())


class _Column:
    """One column of a condition, with the rules for its kind of values."""

    def __init__(self, name: str, source: Source, spot: Spot | None) -> None:
        with pointing(spot):
            self.name = source.resolve(name, "a filter")
        self.source = source
        self.kind = source.kinds[self.name]
        self.clause: sa.ColumnElement[Any] = source.column(self.name)

    def null(self, negated: bool) -> Expression:
        return self.clause.is_not(None) if negated else self.clause.is_(None)

    def compare(self, operator: Operator, value: Value) -> Expression:
        with pointing(value.spot):
            return self.compared(operator, value)

    def compared(self, operator: Operator, value: Value) -> Expression:
        if value.is_null:
            if operator not in {"==", "!="}:
                raise QueryError(f"'{self.name}' cannot be {operator} null", f"Write {self.name} is null.")
            return self.null(operator == "!=")
        if operator == "like":
            return self.like(_text(value))
        named = self.date_span(value)
        if named is not None:
            return self.compare_date(operator, named)
        if operator in {"==", "!="}:
            equal = self.equal_to_any(self.scalars(value))
            return sa.not_(equal.self_group()) if operator == "!=" else equal
        return self.order(operator, value)

    def like(self, pattern: str) -> Expression:
        if self.kind == "number":
            self.check_text_possible(pattern, f"{self.name}>=5")
        return Like(self.clause, sa.literal(pattern))

    def among(self, values: tuple[Value, ...]) -> Expression:
        parts: list[Expression] = []
        scalars: list[Scalar] = []
        for value in values:
            if value.is_null:
                parts.append(self.null(False))
                continue
            with pointing(value.spot):
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
        if self.kind in {"integer", "number"} or isinstance(value.content, bool | float):
            return None
        if not looks_like_date(_text(value)):
            return None
        style = self.source.date_style(self.name)
        return span(_text(value), style) if style is not None else None

    def compare_date(self, operator: Operator, named: Span) -> Expression:
        column, low, high = Ordered(self.clause), sa.literal(named.low), sa.literal(named.high)
        if operator == "==":
            return sa.and_(column >= low, column < high)
        if operator == "!=":
            return sa.or_(column < low, column >= high)
        # What does not begin with a digit, such as an empty text, is no date, neither earlier nor later than any.
        dated = sa.case((sa.and_(column >= sa.literal("0"), column < sa.literal(":")), column))
        match operator:
            case ">=":
                return dated >= low
            case "<":
                return dated < low
            case "<=":
                return dated < high
            case _:
                return dated >= high

    # --- text and numbers -------------------------------------------------------------------------------

    def equal_to_any(self, scalars: list[Scalar]) -> Expression:
        if len(scalars) == 1:
            return self.clause == _literal(scalars[0])
        if len(scalars) <= _MANY:
            return self.clause.in_([_literal(scalar) for scalar in scalars])
        texts = [scalar for scalar in scalars if isinstance(scalar, str)]
        numbers = [scalar for scalar in scalars if not isinstance(scalar, str)]
        return sa.or_(*(listed(self.clause, found) for found in (texts, numbers) if found))

    def scalars(self, value: Value) -> list[Scalar]:
        """Return what the column may equal: one value, or number and text where either may be stored."""
        text, known = _text(value), self.number_of(value)
        if self.kind == "text" or (known is None and self.kind == "any"):
            return [text]
        if known is None:
            self.check_text_possible(text, f"{self.name}>=5")
            return [text]
        return [known, text] if self.kind == "any" else [known]

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

    def check_text_possible(self, text: str, example: str) -> None:
        if not self.source.holds_text(self.name):
            raise QueryError(
                f"column '{self.name}' holds numbers and '{text}' is none", f"Write for example {example}."
            )

    def order(self, operator: Operator, value: Value) -> Expression:
        known = self.number_of(value)
        if self.kind == "text" and known is not None and not _is_quoted(value):
            return _ordered(operator, TextNumber(self.clause), known)
        if self.kind == "text" or known is None:
            self.check_order_of_text(_text(value))
            return _ordered(operator, Ordered(self.clause), _text(value))
        compared = _ordered(operator, self.clause, known)
        return sa.and_(compared, BelowText(self.clause)) if operator in {">", ">="} else compared

    def check_order_of_text(self, text: str) -> None:
        if self.kind in {"integer", "number"}:
            self.check_text_possible(text, f"{self.name}>=5")
        elif self.source.date_style(self.name) is not None:
            raise QueryError(
                f"column '{self.name}' holds dates and '{text}' is none",
                f"Write for example {self.name}>=2022-12-31 or {self.name}<'2022-12-31 18:30:00'.",
            )


def _ordered(operator: Operator, column: sa.ColumnElement[Any], scalar: Scalar) -> Expression:
    literal = _literal(scalar)
    match operator:
        case ">=":
            return column >= literal
        case "<=":
            return column <= literal
        case ">":
            return column > literal
        case _:
            return column < literal


def _literal(scalar: Scalar) -> sa.BindParameter[Any]:
    return sa.literal(scalar, sa.BigInteger if isinstance(scalar, int) else None)


def _is_quoted(value: Value) -> bool:
    return value.literal and isinstance(value.content, str)


def _text(value: Value) -> str:
    content = value.content
    if isinstance(content, bool):
        return "true" if content else "false"
    text = str(content)
    if _NO_TEXT.search(text):
        raise QueryError(
            f"the value {text[:40]!a} is no text that a database can hold",
            "Write it in UTF-8, without NUL.",
        )
    return text

"""What a filter says, as a small frozen tree that knows no SQL and no text.

Comparisons follow SQL: a row without a value matches no comparison, nor its negation, only a null test.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from .pointing import Spot

Operator = Literal["==", "!=", ">=", "<=", ">", "<", "like"]

NULL_WORDS = frozenset({"null", "NULL", "Null", "None"})
"""Unquoted values that stand for a missing value."""


@dataclass(frozen=True)
class Value:
    """One value of a filter.

    Attributes:
        content: text as written, or a number or truth value from JSON; None is a missing value.
        literal: it was quoted or came from JSON, so that words like ``null`` stand for themselves.
        spot: where it is written, for messages.
    """

    content: str | int | float | bool | None
    literal: bool = False
    spot: Spot | None = field(default=None, compare=False)

    @property
    def is_null(self) -> bool:
        """Whether the value stands for a missing one."""
        return self.content is None or (not self.literal and self.content in NULL_WORDS)


@dataclass(frozen=True)
class Comparison:
    """``column operator value``.

    Attributes:
        spot: where the column is written, for messages; so of all conditions.
    """

    column: str
    operator: Operator
    value: Value
    spot: Spot | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Membership:
    """The column has one of the values (or, negated, none of them).

    Attributes:
        closed: written as a whole list (IN, JSON), which another ``key=value`` does not extend.
    """

    column: str
    values: tuple[Value, ...]
    negated: bool = False
    closed: bool = field(default=False, compare=False)
    spot: Spot | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Range:
    """The column lies between two values, both included."""

    column: str
    low: Value
    high: Value
    negated: bool = False
    spot: Spot | None = field(default=None, compare=False)


@dataclass(frozen=True)
class NullTest:
    """The column has no value (or, negated, has one)."""

    column: str
    negated: bool = False
    spot: Spot | None = field(default=None, compare=False)


@dataclass(frozen=True)
class MaskTest:
    """The record has a mask (or has none)."""

    present: bool
    spot: Spot | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Not:
    """The condition does not hold."""

    condition: Condition


@dataclass(frozen=True)
class AllOf:
    """All conditions hold."""

    conditions: tuple[Condition, ...]


@dataclass(frozen=True)
class AnyOf:
    """At least one condition holds."""

    conditions: tuple[Condition, ...]


Condition = Comparison | Membership | Range | NullTest | MaskTest | Not | AllOf | AnyOf


def all_of(conditions: list[Condition]) -> Condition:
    """Join conditions by AND; a single one stays itself."""
    return conditions[0] if len(conditions) == 1 else AllOf(tuple(conditions))


def alternatives_merged(conditions: Sequence[Condition]) -> list[Condition]:
    """Turn ``key=value`` conditions of one key into one that the key has any of the values."""
    merged: list[Condition] = []
    places: dict[str, int] = {}
    for condition in conditions:
        equal = _equality(condition)
        if equal is None:
            merged.append(condition)
        elif equal[0] not in places:
            places[equal[0]] = len(merged)
            merged.append(condition)
        else:
            place = places[equal[0]]
            known = _equality(merged[place])
            if known is not None:
                merged[place] = one_of(known[0], known[1] + equal[1], known[2])
    return merged


def _equality(condition: Condition) -> tuple[str, tuple[Value, ...], Spot | None] | None:
    match condition:
        case Comparison(column, "==", value):
            return column, (value,), condition.spot
        case Membership(column, values, False, False):
            return column, values, condition.spot
    return None


def one_of(column: str, values: tuple[Value, ...], spot: Spot | None = None) -> Condition:
    """Return the condition that a column is one of some values."""
    if len(values) == 1:
        return Comparison(column, "==", values[0], spot)
    return Membership(column, values, spot=spot)


def described(condition: Condition) -> dict[str, object]:
    """Return the condition as JSON-like values, for the query's record of itself."""
    match condition:
        case Comparison(column, operator, value):
            return {"column": column, "op": operator, "value": value.content}
        case Membership(column, values, negated):
            return {
                "column": column,
                "op": "not in" if negated else "in",
                "value": [value.content for value in values],
            }
        case Range(column, low, high, negated):
            return {
                "column": column,
                "op": "not between" if negated else "between",
                "value": [low.content, high.content],
            }
        case NullTest(column, negated):
            return {"column": column, "op": "is not null" if negated else "is null"}
        case MaskTest(present):
            return {"has_mask": present}
        case Not(inner):
            return {"not": described(inner)}
        case AllOf(conditions):
            return {"and": [described(part) for part in conditions]}
        case AnyOf(conditions):
            return {"or": [described(part) for part in conditions]}

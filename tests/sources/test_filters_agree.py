"""Filters against an evaluation in plain Python: written as text, run by each kind of database."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agir_cvtoolkit.errors import QueryError
from agir_cvtoolkit.sources.conditions import (
    AllOf,
    AnyOf,
    Comparison,
    Condition,
    Membership,
    Not,
    NullTest,
    Operator,
    Range,
    Value,
)
from agir_cvtoolkit.sources.database import Database
from agir_cvtoolkit.sources.filters import parse_filter
from agir_cvtoolkit.sources.opening import open_database

from .engines import make_table
from .tables import ids

Truth = bool | None

COLUMNS = "cutout_id INTEGER, name TEXT, size REAL, day TEXT, code TEXT"
_LETTERS = "abN '\"\\,()[]=<>!%_:;-éAND0"
_SIZES = [0.0, 1.0, -1.0, 2.5, 5.0, -2.25, 1e10, 0.5]
_DAYS = ["2022:08:26 09:15:20", "2022:12:31 23:59:59", "2023:01:01 00:00:00", "2024:02:29 12:30:00"]
_CODES = ["12", "7.5", "x", " 3 ", "1e2", "-3", "", "1-2", "5", "nan", "0x10"]


def _rows() -> list[tuple[object, ...]]:
    draw = random.Random(3)

    def text() -> str:
        return "".join(draw.choice(_LETTERS) for _ in range(draw.randrange(5)))

    def some(values: list[object]) -> object:
        return draw.choice([None, *values])

    return [
        (n, some([text(), text(), "ab"]), some([*_SIZES]), some([*_DAYS]), some([*_CODES])) for n in range(60)
    ]


ROWS = _rows()
_NAMES = sorted({str(row[1]) for row in ROWS if row[1] is not None})
_TEXTS = st.sampled_from(_NAMES) | st.text(alphabet=_LETTERS, max_size=4)
_NUMBERS = st.integers(-5, 5) | st.sampled_from([0.5, -2.25, 1e10])
_DATES = st.sampled_from(["2022", "2022-12", "2022-12-31", "2023-01-01 00:00", "2022-08-26 09:15:20", "2025"])
_ORDERS: st.SearchStrategy[Operator] = st.sampled_from(["==", "!=", ">=", "<=", ">", "<"])


def _quoted_leaf(column: str) -> st.SearchStrategy[Condition]:
    contents: st.SearchStrategy[str | float] = _TEXTS if column == "name" else _NUMBERS
    value = contents.map(lambda content: Value(content, literal=True))
    several = st.lists(value, min_size=1, max_size=3).map(tuple)
    return st.one_of(
        st.builds(Comparison, st.just(column), _ORDERS, value),
        st.builds(Membership, st.just(column), several, st.booleans()),
        st.builds(Range, st.just(column), value, value, st.booleans()),
        st.builds(NullTest, st.just(column), st.booleans()),
    )


_PATTERNS = st.text(alphabet="abN%_é'A", max_size=4).map(lambda text: Value(text, literal=True))
_LEAVES = st.one_of(
    _quoted_leaf("name"),
    _quoted_leaf("size"),
    st.builds(Comparison, st.just("name"), st.just("like"), _PATTERNS),
    st.builds(Comparison, st.just("day"), _ORDERS, _DATES.map(Value)),
    st.builds(Comparison, st.just("code"), st.sampled_from([">=", "<=", ">", "<"]), _NUMBERS.map(Value)),
)

_CONDITIONS: st.SearchStrategy[Condition] = st.recursive(
    _LEAVES,
    lambda inner: st.one_of(
        st.builds(Not, inner),
        st.lists(inner, min_size=2, max_size=3).map(lambda parts: AllOf(tuple(parts))),
        st.lists(inner, min_size=2, max_size=3).map(lambda parts: AnyOf(tuple(parts))),
    ),
    max_leaves=5,
)


def _written(condition: Condition) -> str:
    match condition:
        case Comparison(column, operator, value):
            return f"{column} {operator} {_quoted(value)}"
        case Membership(column, values, negated):
            return f"{column} {'not ' if negated else ''}in [{', '.join(map(_quoted, values))}]"
        case Range(column, low, high, negated):
            return f"{column} {'not ' if negated else ''}between {_quoted(low)} and {_quoted(high)}"
        case NullTest(column, negated):
            return f"{column} is {'not ' if negated else ''}null"
        case Not(inner):
            return f"not ({_written(inner)})"
        case AllOf(parts):
            return "(" + " AND ".join(map(_written, parts)) + ")"
        case AnyOf(parts):
            return "(" + " or ".join(map(_written, parts)) + ")"
    raise AssertionError(condition)


def _quoted(value: Value) -> str:
    if isinstance(value.content, str) and value.literal:
        return "'" + value.content.replace("\\", "\\\\").replace("'", "''") + "'"
    return str(value.content)


def _holds(condition: Condition, row: dict[str, object]) -> Truth:
    match condition:
        case Comparison(column, operator, value):
            return _TESTS[column](operator, row[column], value.content)
        case Membership(column, values, negated):
            if row[column] is None:
                return None
            return (row[column] in [value.content for value in values]) != negated
        case Range(column, low, high, negated):
            if row[column] is None:
                return None
            return bool(low.content <= row[column] <= high.content) != negated  # type: ignore[operator]
        case NullTest(column, negated):
            return (row[column] is None) != negated
        case Not(inner):
            held = _holds(inner, row)
            return None if held is None else not held
        case AllOf(parts):
            all_held = [_holds(part, row) for part in parts]
            return False if False in all_held else None if None in all_held else True
        case AnyOf(parts):
            any_held = [_holds(part, row) for part in parts]
            return True if True in any_held else None if None in any_held else False
    raise AssertionError(condition)


def _compared(operator: str, stored: object, wanted: object) -> Truth:
    """Compare as SQL does: text by its code points."""
    if stored is None:
        return None
    results: dict[str, Callable[[], bool]] = {
        "==": lambda: stored == wanted,
        "!=": lambda: stored != wanted,
        ">=": lambda: stored >= wanted,  # type: ignore[operator]
        "<=": lambda: stored <= wanted,  # type: ignore[operator]
        ">": lambda: stored > wanted,  # type: ignore[operator]
        "<": lambda: stored < wanted,  # type: ignore[operator]
        "like": lambda: _is_like(str(stored), str(wanted)),
    }
    return results[operator]()


def _is_like(text: str, pattern: str) -> bool:
    parts = {"%": ".*", "_": "."}
    expression = "".join(parts.get(char, re.escape(char)) for char in pattern)
    return re.fullmatch(expression, text, re.IGNORECASE | re.ASCII | re.DOTALL) is not None


def _compared_dates(operator: str, stored: object, wanted: object) -> Truth:
    """Compare with all that a date, a month or a year takes in."""
    if stored is None:
        return None
    text = str(stored)
    return _compared(operator, (text[:10].replace(":", "-") + text[10:])[: len(str(wanted))], wanted)


def _compared_numbers(operator: str, stored: object, wanted: object) -> Truth:
    """Compare the number that a text writes; what writes none is missing."""
    written = {code: float(code) for code in ("12", "7.5", " 3 ", "1e2", "-3", "5")}
    return _compared(operator, written.get(str(stored)), wanted)


_TESTS = {"name": _compared, "size": _compared, "day": _compared_dates, "code": _compared_numbers}


@pytest.fixture(params=["sqlite", "postgresql", "duckdb"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    new_schema = request.getfixturevalue("new_schema") if request.param == "postgresql" else str
    address = make_table(request.param, tmp_path, new_schema, COLUMNS, ROWS)
    with open_database(address) as opened:
        yield opened


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(condition=_CONDITIONS)
def test_the_database_agrees_with_python(engine: Database, condition: Condition) -> None:
    names = [part.split()[0] for part in COLUMNS.split(",")]
    rows = (dict(zip(names, row, strict=True)) for row in ROWS)
    expected = [row["cutout_id"] for row in rows if _holds(condition, row) is True]
    assert ids(engine, _written(condition)) == expected


@settings(max_examples=150, deadline=None)
@given(_CONDITIONS)
def test_what_is_written_is_understood_as_it_was_meant(condition: Condition) -> None:
    assert _written(parse_filter(_written(condition))) == _written(condition)


_WORDS = st.sampled_from(
    [
        "state",
        "NC",
        "=",
        "!=",
        ">=",
        "(",
        ")",
        "[",
        "]",
        ",",
        "and",
        "or",
        "not",
        "in",
        "between",
        "like",
        "is",
        "null",
        "has_mask",
        "'",
        '"',
        "{",
        "}",
        ":",
        "5",
        "%",
        "植",
        "\x00",
    ]
)


@settings(max_examples=150, deadline=None)
@given(st.lists(_WORDS, max_size=12).map(" ".join) | st.text(max_size=30))
def test_any_text_is_understood_or_pointed_at(text: str) -> None:
    try:
        parse_filter(text)
    except QueryError as error:
        assert error.next_step
        if "\n" in error.problem:
            assert re.fullmatch(r" +\^", error.problem.splitlines()[-1])

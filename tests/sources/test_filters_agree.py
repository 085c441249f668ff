"""Filters against an evaluation in plain Python: written as text, run by the database."""

from __future__ import annotations

import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from agir_cvtoolkit.sources.conditions import (
    AllOf,
    AnyOf,
    Comparison,
    Condition,
    Membership,
    Not,
    NullTest,
    Range,
    Value,
)
from agir_cvtoolkit.sources.sqlite import SqliteDatabase

from .tables import ids

Truth = bool | None

_TEXTS = st.text(alphabet="abN '\"\\,()[]=<>!%_:;-éAND0", max_size=8)
_NUMBERS = st.integers(-5, 5) | st.sampled_from([0.5, -2.25, 1e10])
_ROWS = st.lists(st.tuples(st.none() | _TEXTS, st.none() | _NUMBERS), min_size=1, max_size=8)
_ORDERS = st.sampled_from(["==", "!=", ">=", "<=", ">", "<"])


def _value(column: str) -> st.SearchStrategy[Value]:
    contents = _TEXTS if column == "name" else _NUMBERS
    return contents.map(lambda content: Value(content, literal=True))


def _leaf(column: str) -> st.SearchStrategy[Condition]:
    value = _value(column)
    several = st.lists(value, min_size=1, max_size=3).map(tuple)
    return st.one_of(
        st.builds(Comparison, st.just(column), _ORDERS, value),
        st.builds(Membership, st.just(column), several, st.booleans()),
        st.builds(Range, st.just(column), value, value, st.booleans()),
        st.builds(NullTest, st.just(column), st.booleans()),
    )


_CONDITIONS: st.SearchStrategy[Condition] = st.recursive(
    _leaf("name") | _leaf("size"),
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
    if isinstance(value.content, str):
        return "'" + value.content.replace("\\", "\\\\").replace("'", "''") + "'"
    return repr(value.content)


def _holds(condition: Condition, row: dict[str, object]) -> Truth:
    match condition:
        case Comparison(column, operator, value):
            return _compared(operator, row[column], value.content)
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
    if stored is None:
        return None
    # SQLite compares text by its UTF-8 bytes, which orders like code points.
    results: dict[str, bool] = {
        "==": stored == wanted,
        "!=": stored != wanted,
        ">=": stored >= wanted,  # type: ignore[operator]
        "<=": stored <= wanted,  # type: ignore[operator]
        ">": stored > wanted,  # type: ignore[operator]
        "<": stored < wanted,  # type: ignore[operator]
    }
    return results[operator]


@settings(max_examples=200, deadline=None)
@given(rows=_ROWS, condition=_CONDITIONS)
def test_the_database_agrees_with_python(
    rows: list[tuple[str | None, float | None]], condition: Condition
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "semif.db"
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute("CREATE TABLE semif (cutout_id INTEGER, name TEXT, size REAL)")
            connection.executemany(
                "INSERT INTO semif VALUES (?, ?, ?)", [(i, *row) for i, row in enumerate(rows)]
            )
        expected = [
            i
            for i, (name, size) in enumerate(rows)
            if _holds(condition, {"name": name, "size": size}) is True
        ]
        with SqliteDatabase(path) as database:
            assert ids(database, _written(condition)) == expected

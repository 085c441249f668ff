"""What databases say differently, as SQL expressions that mean the same in each.

Text compares by its code points everywhere, LIKE does not tell ``a`` from ``A`` in ASCII, and a list is one
parameter whatever its length.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from string import ascii_lowercase, ascii_uppercase
from typing import Any, ClassVar

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

TEXT_NUMBER = "agir_number"
"""SQL name of `number_in` on SQLite, which has no such function of its own."""

_NUMBER = r"[+-]?([0-9]{1,200}([.][0-9]{0,200})?|[.][0-9]{1,200})([eE][+-]?[0-9]{1,2})?"
_LOWERED = f"translate(CAST({{}} AS text), '{ascii_uppercase}', '{ascii_lowercase}')"

Clause = sa.ColumnElement[Any]


def number_in(text: object) -> float | None:
    """Return the number that a stored text writes, or None."""
    if not isinstance(text, str):
        return text if isinstance(text, int | float) else None
    stripped = text.strip(" ")
    return float(stripped) if re.fullmatch(_NUMBER, stripped) else None


def listed(column: Clause, values: Sequence[str | int | float]) -> Clause:
    """Return whether a column has one of many values, all texts or all numbers, bound as one JSON array."""
    array = sa.literal(json.dumps(list(values), ensure_ascii=False))
    if isinstance(values[0], str):
        return _ListedTexts(column, array)
    # As floats, whole numbers beyond 2**53 would be taken for their neighbours.
    whole = all(isinstance(value, int) for value in values)
    return (_ListedIntegers if whole else _ListedNumbers)(column, array)


class _Expression(FunctionElement[Any]):
    """An expression of SQL that each database writes in its own form; SQLite's is the default."""

    inherit_cache = True
    forms: ClassVar[dict[str, str]]


class Like(_Expression):
    """Whether the text of a column has a pattern of ``%`` and ``_``; nothing escapes them."""

    inherit_cache = True
    forms: ClassVar = {
        "sqlite": "({} LIKE {})",
        "postgresql": f"({_LOWERED} LIKE {_LOWERED} ESCAPE '')",
        "duckdb": f"({_LOWERED} LIKE {_LOWERED})",
    }


class TextNumber(_Expression):
    """The number that a text column writes, NULL where it writes none."""

    inherit_cache = True
    forms: ClassVar = {
        "sqlite": f"{TEXT_NUMBER}({{}})",
        "postgresql": "(CASE WHEN btrim({0}) ~ '^({number})$' THEN CAST(btrim({0}) AS double precision) END)",
        "duckdb": "(CASE WHEN regexp_full_match(trim({0}), '{number}') THEN CAST(trim({0}) AS DOUBLE) END)",
    }


class Ordered(_Expression):
    """A text column, in the order of code points."""

    inherit_cache = True
    forms: ClassVar = {"sqlite": "{}", "postgresql": '{} COLLATE "C"'}


class BelowText(_Expression):
    """Whether a numeric column holds a number; to SQLite any stray text in it is larger than all numbers."""

    inherit_cache = True
    forms: ClassVar = {"sqlite": "({} < '')", "postgresql": "TRUE", "duckdb": "TRUE"}


class _ListedTexts(_Expression):
    inherit_cache = True
    forms: ClassVar = {
        "sqlite": "({} IN (SELECT value FROM json_each({})))",
        "postgresql": "({} IN (SELECT jsonb_array_elements_text(CAST({} AS jsonb))))",
        "duckdb": "({} IN (SELECT unnest(CAST(CAST({} AS JSON) AS VARCHAR[]))))",
    }


class _ListedNumbers(_Expression):
    inherit_cache = True
    forms: ClassVar = {
        "sqlite": _ListedTexts.forms["sqlite"],
        "postgresql": "({} IN (SELECT CAST(jsonb_array_elements_text(CAST({} AS jsonb)) AS numeric)))",
        "duckdb": "({} IN (SELECT unnest(CAST(CAST({} AS JSON) AS DOUBLE[]))))",
    }


class _ListedIntegers(_Expression):
    inherit_cache = True
    forms: ClassVar = {
        **_ListedNumbers.forms,
        "duckdb": "({} IN (SELECT unnest(CAST(CAST({} AS JSON) AS BIGINT[]))))",
    }


@compiles(_Expression)
def _compiled(element: _Expression, compiler: SQLCompiler, **options: Any) -> str:
    form = element.forms.get(compiler.dialect.name, element.forms["sqlite"])
    return form.format(*(compiler.process(part, **options) for part in element.clauses), number=_NUMBER)

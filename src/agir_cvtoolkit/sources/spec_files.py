"""Specifications of queries that were made: found, read, and turned into the same query again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agir_cvtoolkit.errors import DataError, UsageError
from agir_cvtoolkit.records import FieldValue
from agir_cvtoolkit.runs import read_json_object

from .exclusion import Exclusion
from .plan import Request
from .reading import read_rows, result_file
from .results import EXCLUDED_NAME, SPEC_NAME
from .spec import read_spec

_AGAIN = "Make the query again; this file cannot tell it."


@dataclass(frozen=True)
class MadeQuery:
    """A query that was made, as its specification tells it.

    Attributes:
        folder: with the specification and the result.
        content: of the specification.
        db: ``semif`` or ``field``.
        address: of the database.
        table: its name.
        id_column: the key of a row.
        columns: of the result.
        request: the same query again; a draw has the seed that it had.
        out: format of the result.
        count: its rows; None where an older version did not tell.
        ids_sha256: of the ids of its rows, in their order; None where an older version did not tell.
    """

    folder: Path
    content: Mapping[str, Any]
    db: str
    address: str
    table: str
    id_column: str
    columns: tuple[str, ...]
    request: Request
    out: str
    count: int | None
    ids_sha256: str | None

    def exclusion(self, image_column: str) -> Exclusion | None:
        """Return what was left out, None where nothing was.

        Raises:
            DataError: the list of it is gone or was changed.
        """
        described = self.content["query_parameters"].get("exclude")
        if not described:
            return None
        path = self.folder / EXCLUDED_NAME
        try:
            names = path.read_text(encoding="utf-8").split("\n")[:-1]
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(
                f"{path}, the list of what was left out, cannot be read: {error}", _AGAIN
            ) from error
        found = Exclusion.of(described.get("reasons", ()), names, image_column)
        if found.digest != described.get("sha256"):
            raise DataError(f"{path}, the list of what was left out, was changed", _AGAIN)
        return found

    def rows(self) -> Iterator[dict[str, FieldValue]]:
        """Read the result.

        Raises:
            NoRunError: it is gone.
            DataError: it is damaged.
        """
        spec = read_spec(self.folder)
        return read_rows(result_file(self.folder, spec), spec)


def find_spec(place: Path) -> Path | None:
    """Return the specification that a path means: the file, or the one in a query's or a run's folder."""
    if place.is_file():
        return place
    return next((path for path in (place / SPEC_NAME, place / "query" / SPEC_NAME) if path.is_file()), None)


def read_made(path: Path) -> MadeQuery:
    """Read a specification.

    Raises:
        UsageError: the file is no specification of a query.
        DataError: it cannot be read.
    """
    content = read_json_object(path)
    try:
        database, parameters = content["database"], content["query_parameters"]
        execution = content.get("execution", {})
        sample = parameters["sample"]
        projection = parameters["projection"]
        request = Request(
            filters=tuple(str(text) for text in parameters["filters"]["raw"]),
            projection=None if projection is None else ",".join(projection),
            sort=parameters["sort"]["raw"],
            limit=parameters["limit"],
            offset=parameters["offset"],
            sample=sample.get("again") or sample["raw"],
        )
        return MadeQuery(
            path.parent,
            content,
            str(database["type"]),
            str(database["db_path"]),
            str(database["table"]),
            str(database["id_column"]),
            tuple(database["columns"]),
            request,
            str(execution["output_format"]),
            execution.get("count"),
            execution.get("ids_sha256"),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise UsageError(
            f"{path} is no specification of a query", f"Name a {SPEC_NAME}, or a run."
        ) from error

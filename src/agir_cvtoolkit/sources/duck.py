"""Parquet files, CSV files and DuckDB databases, read by DuckDB."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import sqlalchemy as sa

from agir_cvtoolkit.errors import DatabaseError, MissingExtraError, QueryError

from .csv_files import fault_of, header_of
from .database import Table, TypedDatabase
from .plain_columns import Plain, first_line

Form = Literal["parquet", "csv", "duckdb"]

_SUFFIXES: dict[str, Form] = {
    ".parquet": "parquet",
    ".pq": "parquet",
    ".csv": "csv",
    ".tsv": "csv",
    ".duckdb": "duckdb",
    ".ddb": "duckdb",
}
_FILE = "file"
_TABLES = """
    SELECT CASE WHEN table_schema = 'main' THEN table_name ELSE table_schema || '.' || table_name END
    FROM information_schema.tables WHERE table_catalog = ? ORDER BY 1
"""
_PATTERN = re.compile(r"[*?\[]")
_STRICT = (
    "quote = '\"', escape = '\"', comment = '', skip = 0, strict_mode = true, sample_size = -1,"
    " allow_quoted_nulls = false, union_by_name = true"
)
"""Otherwise DuckDB leaves out lines that it cannot read, and says nothing."""
_DAMAGED = ("magic bytes", "too small", "not a valid", "corrupt", "unicode", "thrift", "expected")
_INTEGERS = frozenset({"TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER"})
_WIDER = frozenset({"HUGEINT", "UBIGINT", "UHUGEINT"})
_DIGITS = "more digits than a number may have"


@dataclass(frozen=True)
class Files:
    """What DuckDB is to read.

    Attributes:
        form: how it is written.
        paths: in the order of their names.
        name: as the user wrote it.
    """

    form: Form
    paths: tuple[Path, ...]
    name: str

    @classmethod
    def find(cls, text: str) -> Files | None:
        """Return what a setting names: a file, a pattern, or a folder with Parquet files; None for anything else."""
        path = Path(text).expanduser()
        if path.is_dir():
            found = sorted(path.rglob("*.parquet"))
            return cls("parquet", tuple(found), text) if found else None
        form = _SUFFIXES.get(
            path.name.removesuffix(".gz")[path.name.removesuffix(".gz").rfind(".") :].lower()
        )
        if form is None:
            return None
        paths = [path]
        if _PATTERN.search(text) and not path.exists():
            paths = sorted(Path(path.anchor).glob(str(path.relative_to(path.anchor))))
        return cls(form, tuple(paths), text)


class DuckDatabase(TypedDatabase):
    """Files that DuckDB reads where they lie; Parquet and CSV are one table, whatever it is called.

    Raises:
        DatabaseError: no such files, damaged ones, or ones that another program is writing to.
        MissingExtraError: DuckDB is not installed.
    """

    def __init__(
        self, files: Files, setting: str = "db.semif.db_path", text_columns: Sequence[str] = ()
    ) -> None:
        """Open the files.

        Args:
            files: at least one.
            setting: the key of the configuration that names them, for messages.
            text_columns: of a CSV, which are texts whatever they look like: ids keep their leading zeros.
        """
        self.files = files
        self._text_columns = frozenset(text_columns)
        for path in files.paths:
            if not path.is_file():
                raise DatabaseError(f"database {path} does not exist", f"Set {setting}.")
        if not files.paths:
            raise DatabaseError(f"no file is called like {files.name}", f"Set {setting}.")
        self._raw = _connection()
        from .duck_dialect import engine_of

        super().__init__(engine_of(self._raw), files.name, setting)
        if files.form == "duckdb":
            self._attach(files.paths[0])

    def _attach(self, path: Path) -> None:
        try:
            with self.reading():
                self._raw.execute(f"ATTACH {_quoted(str(path.resolve()))} AS {_FILE} (READ_ONLY)")
        except DatabaseError:
            self.close()
            raise

    def close(self) -> None:
        """Close the files."""
        super().close()
        self._raw.close()

    @property
    def address(self) -> str:
        """The file or pattern, from the root."""
        return str(Path(self.files.name).expanduser().absolute())

    @property
    def pictures_base(self) -> Path | None:
        """The folder of the first file."""
        return self.files.paths[0].resolve().parent

    def state(self, table: str) -> tuple[object, ...]:
        """Return name, size and time of the last change of each file."""
        found = [(path, path.stat()) for path in self.files.paths]
        return tuple((str(path), state.st_size, state.st_mtime_ns) for path, state in found)

    def tables(self) -> list[str]:
        """Return the names of all tables and views, with the schema where it is not ``main``."""
        if self.files.form != "duckdb":
            return []
        with self.reading():
            rows = self._raw.execute(_TABLES, [_FILE]).fetchall()
        return [str(row[0]) for row in rows]

    def _table(self, name: str) -> Table:
        origin = self._origin(name)
        if origin is None:
            return Table({}, sa.table(name))
        with self.reading():
            rows = self._raw.execute(f"DESCRIBE SELECT * FROM {origin}").fetchall()  # noqa: S608 - quoted
        declared = {str(row[0]): str(row[1]) for row in rows}
        declared |= {
            n: _DIGITS for n, kind in declared.items() if kind in _WIDER and self._overflows(origin, n)
        }
        columns = {name: _plain(name, kind) for name, kind in declared.items()}
        relation = sa.select(*(plain.expression.label(column) for column, plain in columns.items()))
        kinds = {column: plain.kind for column, plain in columns.items()}
        return Table(kinds, relation.select_from(sa.text(origin)).subquery(name))

    def _overflows(self, origin: str, column: str) -> bool:
        name = _identifier(column)
        query = f"SELECT max({name}) > {2**63 - 1} OR min({name}) < {-(2**63)} FROM {origin}"  # noqa: S608 - quoted
        with self.reading():
            return bool(self._raw.execute(query).fetchall()[0][0])

    def _origin(self, table: str) -> str | None:
        """Return what rows are selected from, as SQL; None where there is no such table."""
        if self.files.form == "duckdb":
            schema, _, name = table.rpartition(".")
            parts = (_FILE, schema or "main", name)
            return ".".join(map(_identifier, parts)) if table in self.tables() else None
        listed = "[" + ", ".join(_quoted(str(path)) for path in self.files.paths) + "]"
        if self.files.form == "parquet":
            return f"read_parquet({listed}, union_by_name = true)"
        delimiter, names = header_of(self.files.paths[0])
        texts = ", ".join(f"{_quoted(name)}: 'VARCHAR'" for name in names if name in self._text_columns)
        return (
            f"read_csv({listed}, header = true, delim = {_quoted(delimiter)}, {_STRICT}, types = {{{texts}}})"
        )

    def _explained(self, error: Exception) -> DatabaseError | QueryError:
        reason = first_line(str(getattr(error, "orig", None) or error))
        reason = re.sub(r"^(\w+ ){1,3}Error: ", "", reason)
        if "lock on file" in reason:
            return DatabaseError(
                f"database {self.name} is locked by another program",
                "Wait until it is done, or copy the file.",
            )
        if self.files.form == "csv":
            for path in self.files.paths:
                fault = fault_of(path, header_of(path)[0])
                if fault is not None:
                    return DatabaseError(f"{path} is damaged: {fault}", "Correct the file.")
        if any(sign in str(error).lower() for sign in _DAMAGED):
            return DatabaseError(
                f"{self.name} is damaged: {reason}", "Write it anew, or restore it from a backup."
            )
        return DatabaseError(f"{self.name} cannot be read: {reason}", f"Check it, or set {self.setting}.")


def _connection() -> Any:
    try:
        import duckdb
    except ImportError as error:
        raise MissingExtraError("records from Parquet, CSV or DuckDB", "duckdb") from error
    settings: dict[str, str | bool | int | float | list[str]] = {
        "autoinstall_known_extensions": "false",
        "autoload_known_extensions": "false",
        "temp_directory": tempfile.gettempdir(),
    }
    return duckdb.connect(":memory:", config=settings)


def _plain(name: str, declared: str) -> Plain:
    column: sa.ColumnClause[Any] = sa.column(name)
    base = declared.partition("(")[0]
    if declared.endswith("]") or base in {"STRUCT", "MAP", "UNION"}:
        return Plain("text", sa.cast(sa.func.to_json(column), sa.VARCHAR))
    if base in _INTEGERS:
        return Plain("integer", column)
    if base == "BOOLEAN" or base in _WIDER:
        return Plain("integer", sa.cast(column, sa.BIGINT))
    if base in {"FLOAT", "DOUBLE"}:
        return Plain("number", sa.case((sa.func.isnan(column), sa.null()), else_=column))
    if base == "DECIMAL":
        return Plain("number", sa.cast(column, sa.DOUBLE))
    if base == "DATE":
        return Plain("text", sa.func.strftime(column, sa.literal_column("'%Y-%m-%d'")))
    if base.startswith("TIMESTAMP"):
        moment = sa.func.timezone(sa.literal_column("'UTC'"), column) if "ZONE" in base else column
        return Plain("text", sa.func.strftime(moment, sa.literal_column("'%Y-%m-%d %H:%M:%S'")))
    return Plain("text", column if base == "VARCHAR" else sa.cast(column, sa.VARCHAR))


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'

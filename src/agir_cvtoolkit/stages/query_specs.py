"""``query show``, ``query reproduce`` and ``query compare``: what was asked, and whether it still holds."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agir_cvtoolkit.errors import NoRunError

from ._call import Call
from ._query_database import Place
from ._query_write import write_query

if TYPE_CHECKING:
    from agir_cvtoolkit.config import Settings
    from agir_cvtoolkit.sources.spec_files import MadeQuery

_SHOWN = 10


@dataclass(frozen=True)
class QueryShown:
    """A query that was made.

    Attributes:
        path: of its specification.
        content: of that file.
        command: what a user types to make the query again.
    """

    path: Path
    content: Mapping[str, Any]
    command: tuple[str, ...]


@dataclass(frozen=True)
class Reproduced:
    """A query made again.

    Attributes:
        path: of the specification that was made again.
        count, recorded_count: rows now and then.
        same: the same ids came in the same order; None where the specification does not tell them.
        run_id, result: where the new result lies; None in a dry run.
    """

    path: Path
    count: int
    recorded_count: int | None
    same: bool | None
    run_id: str | None = None
    result: Path | None = None

    @property
    def exit_code(self) -> int:
        """0, and 4 where other records came."""
        return 4 if self.same is False else 0


@dataclass(frozen=True)
class Difference:
    """What two specifications say differently: the key, and both values."""

    key: str
    first: object
    second: object


@dataclass(frozen=True)
class Compared:
    """Two queries beside each other.

    Attributes:
        differences: between the specifications, other than when and by whom.
        both: ids that both have.
        changed: those of them of which the columns that both have hold something else.
        only_first, only_second: ids that one has.
        examples_first, examples_second: some of these, in order.
    """

    first: Path
    second: Path
    differences: tuple[Difference, ...]
    both: int
    changed: int
    only_first: int
    only_second: int
    examples_first: tuple[str, ...]
    examples_second: tuple[str, ...]


def query_show(spec: str | None = None, call: Call | None = None) -> QueryShown:
    """Read what a query asked.

    Args:
        spec: a ``query_spec.json``, its folder, or the id of a run; None is the current run.
        call: options that every command takes.

    Raises:
        NoRunError: there is no such query.
        UsageError: the file is no specification.
    """
    call = call or Call()
    made = _made(spec, call.settings(), call)
    return QueryShown(made[0], made[1].content, _command(made[1]))


def query_reproduce(spec: str | None = None, call: Call | None = None) -> Reproduced:
    """Make a query again, in a run of its own, and say whether the same records came.

    The database is the one that the specification names, unless ``db.<name>.db_path`` is set in the call; a draw
    has the seed that it had, and what was left out then is left out again.

    Args:
        spec: a ``query_spec.json``, its folder, or the id of a run; None is the current run.
        call: options that every command takes; ``run`` names the new run. A dry run compares and writes nothing.

    Raises:
        NoRunError: there is no such query.
        UsageError: the file is no specification.
        DatabaseError: the database cannot be read.
    """
    call = call or Call()
    settings = call.settings()
    path, made = _made(spec, settings, replace(call, run=None) if spec is None else call)
    from agir_cvtoolkit.sources.digest import IdDigest
    from agir_cvtoolkit.sources.plan import plan_query

    place = _place(made, settings)
    with place.open() as database:
        plan = plan_query(made.request, place.source(database), made.exclusion(place.image_column))
        if call.dry_run:
            digest = IdDigest(plan.columns.index(plan.source.id_column))
            for _row in digest.through(plan.rows(database)):
                pass
            return Reproduced(path, digest.count, made.count, _same(made, digest.hexdigest))
        found = write_query(plan, database, place.name, made.out, settings, call)
    return Reproduced(path, found.count, made.count, _same(made, found.digest), found.run.run_id, found.path)


def query_compare(first: str, second: str, call: Call | None = None) -> Compared:
    """Compare two queries: what was asked, and which records came.

    Args:
        first: a ``query_spec.json``, its folder, or the id of a run.
        second: likewise.
        call: options that every command takes.

    Raises:
        NoRunError: there is no such query, or its result is gone.
        UsageError: a file is no specification.
    """
    call = call or Call()
    settings = call.settings()
    (path, one), (other_path, other) = _made(first, settings, call), _made(second, settings, call)
    shared = set(one.columns) & set(other.columns)
    rows, other_rows = _hashed(one, shared), _hashed(other, shared)
    both = rows.keys() & other_rows.keys()
    lost, new = sorted(rows.keys() - both), sorted(other_rows.keys() - both)
    return Compared(
        path,
        other_path,
        tuple(_differences(_asked(one.content), _asked(other.content))),
        len(both),
        sum(rows[name] != other_rows[name] for name in both),
        len(lost),
        len(new),
        tuple(lost[:_SHOWN]),
        tuple(new[:_SHOWN]),
    )


def _made(spec: str | None, settings: Settings, call: Call) -> tuple[Path, MadeQuery]:
    from agir_cvtoolkit.runs import open_run
    from agir_cvtoolkit.sources.spec_files import find_spec, read_made

    path = find_spec(Path(spec).expanduser()) if spec is not None else None
    if path is None:
        run = open_run(Path(settings.io.out_root), spec or call.run)
        path = find_spec(run.root)
        if path is None:
            raise NoRunError(f"run {run.run_id} has no query", "Name another run: agir-cvtoolkit runs list")
    return path.resolve(), read_made(path)


def _place(made: MadeQuery, settings: Settings) -> Place:
    from agir_cvtoolkit.config import COMMAND_LINE

    group = settings.db.field if made.db == "field" else settings.db.semif
    columns = settings.data.field if made.db == "field" else settings.data.semif

    def named(key: str) -> bool:
        return settings.origins.get(f"db.{made.db}.{key}") == COMMAND_LINE

    address = made.address
    if group.db_path and (named("db_path") or "://" in address):
        # A specification holds no password; the settings do.
        address = group.db_path
    table = group.table if named("table") else made.table
    return Place(made.db, address, table, (made.id_column,), columns.id_column)


def _same(made: MadeQuery, digest: str) -> bool | None:
    return None if made.ids_sha256 is None else made.ids_sha256 == digest


def _command(made: MadeQuery) -> tuple[str, ...]:
    request = made.request
    words = ["agir-cvtoolkit", "query", "--db", made.db]
    for text in request.filters:
        words += ["--filters", text]
    for name in ("projection", "sort", "limit", "offset", "sample"):
        value = getattr(request, name)
        if value is not None:
            words += [f"--{name}", str(value)]
    return (*words, "--out", made.out)


def _asked(content: Mapping[str, Any]) -> dict[str, object]:
    """Return everything that decides a result, as flat keys."""
    parameters = dict(content["query_parameters"])
    database = {name: content["database"].get(name) for name in ("type", "db_path", "table")}
    sample = dict(parameters.get("sample") or {})
    flat: dict[str, object] = {f"database.{name}": value for name, value in database.items()}
    flat |= {f"sample.{name}": value for name, value in dict(sample.get("parsed") or {}).items()}
    flat["filters"] = parameters["filters"]["raw"]
    flat["sort"] = parameters["sort"]["raw"]
    flat |= {name: parameters.get(name) for name in ("projection", "limit", "offset", "exclude")}
    return flat


def _differences(first: Mapping[str, object], second: Mapping[str, object]) -> list[Difference]:
    keys = dict.fromkeys([*first, *second])
    pairs = (Difference(key, first.get(key), second.get(key)) for key in keys)
    return [pair for pair in pairs if pair.first != pair.second]


def _hashed(made: MadeQuery, columns: set[str]) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    names = sorted(columns)
    for row in made.rows():
        text = json.dumps([row.get(name) for name in names], ensure_ascii=False)
        found[str(row[made.id_column])] = hashlib.blake2b(
            text.encode("utf-8", "surrogatepass"), digest_size=16
        ).digest()
    return found

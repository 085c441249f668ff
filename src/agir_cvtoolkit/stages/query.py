"""``query``: choose records from a database and start a run."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from agir_cvtoolkit.errors import ConfigError, QueryError, did_you_mean
from agir_cvtoolkit.records import FieldValue
from agir_cvtoolkit.runs import Run, fingerprint, list_runs, make_current, open_run, start_run, write_json

from ._call import Call

if TYPE_CHECKING:
    from agir_cvtoolkit.config import Settings
    from agir_cvtoolkit.sources.database import Database
    from agir_cvtoolkit.sources.plan import Plan

STAGE = "query"
OUTPUTS = ("query",)

_DATABASES = ("semif", "field")


@dataclass(frozen=True)
class QueryResult:
    """What a query found and wrote.

    Attributes:
        run_id: the run that the query started or continued; None where nothing is written.
        run_root: its folder.
        count: rows of the result; in a preview and with a limit of 0, rows without limit and offset.
        path: the result file; None where nothing is written.
        spec_path: ``query_spec.json`` beside it.
        columns: of the result, in order.
        preview_rows: the first rows, where a preview was asked for.
        dry_run: nothing was written because none was asked for.
        unchanged: the same query of the same database had been made in this run before; nothing was done.
        would_write: what a dry run would have written.
    """

    count: int
    columns: tuple[str, ...]
    run_id: str | None = None
    run_root: Path | None = None
    path: Path | None = None
    spec_path: Path | None = None
    preview_rows: tuple[Mapping[str, FieldValue], ...] = ()
    dry_run: bool = False
    unchanged: bool = False
    would_write: tuple[Path, ...] = ()


def query(
    *,
    db: str = "semif",
    filters: Sequence[str] = (),
    projection: str | None = None,
    sort: str | None = None,
    limit: int | None = None,
    offset: int | None = None,
    out: str = "csv",
    preview: int = 0,
    sample: str | None = None,
    call: Call | None = None,
) -> QueryResult:
    """Choose records from the SemiF or Field database and start a run with them.

    The database is only read. Unless this is a preview, or `limit` is 0, the run that the settings or the
    call name, else a new one, becomes the current run.

    Args:
        db: ``semif`` or ``field``.
        filters: in the grammar of `agir_cvtoolkit.sources.parser` or JSON; all must hold, ``key=value`` of
            one key are alternatives.
        projection: columns to keep, separated by commas; the id column is always there, in front.
        sort: ``col[:asc|desc],...``; by default, and among equals, by id.
        limit: at most so many rows; 0 counts and writes nothing.
        offset: leave out the first rows.
        out: ``csv``, ``json`` or ``parquet``.
        preview: return the first rows, write nothing and start no run.
        sample: ``random:n=``, ``seeded:n=,seed=`` or ``stratified:by=a|b,per_group=[,seed=]``; sort, limit
            and offset apply to what is drawn.
        call: options that every command takes.

    Raises:
        QueryError: an option that cannot be understood.
        ConfigError: no database is configured.
        DatabaseError: the database cannot be read or lacks the table.
        MissingExtraError: parquet without the library for it.
    """
    call = call or Call()
    settings = call.settings()
    name = _database_name(db)
    if preview < 0:
        raise QueryError(f"--preview {preview} is impossible", "Give a whole number, 0 or more.")
    from agir_cvtoolkit.sources.opening import open_database
    from agir_cvtoolkit.sources.plan import Request, plan_query
    from agir_cvtoolkit.sources.results import check_format

    out = check_format(out)
    request = Request(tuple(filters), projection, sort, limit, offset, sample)
    address, table, ids = _configured(settings, name)
    with open_database(address, f"db.{name}.db_path", ids) as database:
        plan = plan_query(request, database.source(table, ids, f"db.{name}.table"))
        if preview:
            names = plan.columns
            rows = tuple(
                dict(zip(names, row, strict=True)) for row in islice(plan.rows(database, preview), preview)
            )
            return QueryResult(
                plan.count(database, whole=True), names, preview_rows=rows, dry_run=call.dry_run
            )
        if limit == 0:
            return QueryResult(plan.count(database, whole=True), plan.columns, dry_run=call.dry_run)
        if call.dry_run:
            return _dry(plan, database, out, settings, call)
        return _written(plan, database, name, out, settings, call)


def _database_name(db: str) -> str:
    name = db.strip().lower()
    if name not in _DATABASES:
        near = did_you_mean(name, _DATABASES)
        raise QueryError(f"--db {db} is no database", f"{near} Known: {', '.join(_DATABASES)}.".strip())
    return name


def _configured(settings: Settings, name: str) -> tuple[str, str, tuple[str, ...]]:
    if name == "field":
        chosen, table, key = (
            settings.db.field.db_path,
            settings.db.field.table,
            settings.data.field.cutout_id_column,
        )
        usual: tuple[str, ...] = ("id", "cutout_id", "image_id")
    else:
        chosen, table, key = (
            settings.db.semif.db_path,
            settings.db.semif.table,
            settings.data.semif.cutout_id_column,
        )
        usual = ("cutout_id", "id", "image_id")
    if not chosen:
        raise ConfigError(
            f"no {name} database is configured (db.{name}.db_path is null)",
            f"Name it with -o db.{name}.db_path=FILE or in conf/db/default.yaml; "
            "make one from pictures with: agir-cvtoolkit build-db",
        )
    return chosen, table, (key, *usual)


def _dry(plan: Plan, database: Database, out: str, settings: Settings, call: Call) -> QueryResult:
    from agir_cvtoolkit.sources.results import SPEC_NAME, result_path

    named = call.run or "/".join(part for part in (settings.project.name, settings.project.subname) if part)
    folder = Path(settings.io.out_root) / (named or "<new run>") / "query"
    files = (result_path(folder, out), folder / SPEC_NAME)
    return QueryResult(plan.count(database), plan.columns, named or None, dry_run=True, would_write=files)


def _written(
    plan: Plan, database: Database, name: str, out: str, settings: Settings, call: Call
) -> QueryResult:
    from agir_cvtoolkit.sources.building import built_from
    from agir_cvtoolkit.sources.results import SPEC_NAME, result_path, write_result
    from agir_cvtoolkit.sources.spec import spec_of

    begun = time.monotonic()
    if next(iter(plan.rows(database, 1)), None) is None:
        raise QueryError(
            "no record matches; no run was started", "Widen the query; --limit 0 counts what matches."
        )
    run = _run(settings, call)
    address, table = database.address, plan.source.name
    identity = (name, address, database.state(table), table, plan.parameters, out)
    stage_pass = run.begin(STAGE, fingerprint(identity), OUTPUTS)
    folder = run.path("query")
    result, spec_path = result_path(folder, out), folder / SPEC_NAME
    if stage_pass.state == "done" and result.is_file() and spec_path.is_file():
        count = int(run.read_metrics(STAGE).get("count", 0))
        return QueryResult(count, plan.columns, run.run_id, run.root, result, spec_path, unchanged=True)
    if stage_pass.state == "done":
        run.reopen(stage_pass)
    call.record_config(run, STAGE, settings, settings.dump("db", "data", "io", "project"))
    count = write_result(folder, out, plan.kinds, plan.rows(database))
    spec = spec_of(
        plan,
        run_id=run.run_id,
        db=name,
        database_path=address,
        pictures_root=built_from(Path(address)) or database.pictures_base,
        out=out,
        count=count,
    )
    write_json(spec_path, spec)
    metrics = {
        "total_records": count,
        "count": count,
        "db": name,
        "db_path": address,
        "output_format": out,
        "path": str(result.relative_to(run.root)),
        "seconds": round(time.monotonic() - begun, 3),
    }
    run.write_metrics(STAGE, metrics, number=stage_pass.number)
    run.finish(stage_pass)
    return QueryResult(count, plan.columns, run.run_id, run.root, result, spec_path)


def _run(settings: Settings, call: Call) -> Run:
    out_root = Path(settings.io.out_root)
    if call.run is None:
        return start_run(out_root, settings.project.name, settings.project.subname)
    if call.run in list_runs(out_root):
        run = open_run(out_root, call.run)
        make_current(run, out_root)
        return run
    parts = call.run.split("/")
    if len(parts) > 2 or not all(parts):
        raise ConfigError(f"run '{call.run}' cannot be started", "Name it like name or name/subname.")
    return start_run(out_root, *parts)

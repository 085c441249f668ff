"""``query``: choose records from a database and start a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from agir_cvtoolkit.errors import QueryError
from agir_cvtoolkit.records import FieldValue

from ._call import Call
from ._query_database import Place, place_of
from ._query_exclusion import exclusion_for
from ._query_write import write_query

if TYPE_CHECKING:
    from agir_cvtoolkit.config import Settings
    from agir_cvtoolkit.sources.database import Database
    from agir_cvtoolkit.sources.plan import Plan


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
        sheet: the contact sheet of these rows, where one was asked for.
        sheet_notes: pictures that are not on it, and why.
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
    sheet: Path | None = None
    sheet_notes: tuple[str, ...] = ()


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
    exclude: Sequence[str] = (),
    contact_sheet: Path | None = None,
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
        sample: ``random:n=``, ``seeded:n=,seed=``, ``stratified:by=a|b,per_group=[,seed=]``, or ``balanced``,
            ``proportional`` and ``spread``, each ``:by=a|b,n=[,seed=]``; sort, limit and offset apply to what is
            drawn.
        exclude: ``labelled`` leaves out what came back from finished jobs, ``pushed`` what lies in tasks.
        contact_sheet: where the pictures of the preview are drawn, as JPEG.
        call: options that every command takes.

    Raises:
        QueryError: an option that cannot be understood.
        ConfigError: no database is configured.
        DatabaseError: the database cannot be read or lacks the table.
        MissingExtraError: parquet without the library for it.
    """
    call = call or Call()
    settings = call.settings()
    place = place_of(settings, db)
    if preview < 0:
        raise QueryError(f"--preview {preview} is impossible", "Give a whole number, 0 or more.")
    if contact_sheet is not None and not preview:
        raise QueryError("--contact-sheet draws a preview", "Say of how many records: --preview 24.")
    from agir_cvtoolkit.sources.plan import Request, plan_query
    from agir_cvtoolkit.sources.results import check_format

    out = check_format(out)
    request = Request(tuple(filters), projection, sort, limit, offset, sample)
    exclusion = exclusion_for(exclude, settings, place.image_column)
    with place.open() as database:
        plan = plan_query(request, place.source(database), exclusion)
        if preview:
            return _previewed(plan, database, place, preview, contact_sheet, settings, call)
        if limit == 0:
            return QueryResult(plan.count(database, whole=True), plan.columns, dry_run=call.dry_run)
        if call.dry_run:
            return _dry(plan, database, out, settings, call)
        found = write_query(plan, database, place.name, out, settings, call)
    run = found.run
    return QueryResult(
        found.count,
        plan.columns,
        run.run_id,
        run.root,
        found.path,
        found.spec_path,
        unchanged=found.unchanged,
    )


def _previewed(
    plan: Plan,
    database: Database,
    place: Place,
    at_most: int,
    sheet: Path | None,
    settings: Settings,
    call: Call,
) -> QueryResult:
    rows = tuple(dict(zip(plan.columns, row, strict=True)) for row in plan.rows(database, at_most))
    notes: tuple[str, ...] = ()
    if sheet is not None and not call.dry_run:
        from ._query_sheet import draw_sheet

        notes = draw_sheet(plan, database, place, at_most, sheet, settings)
    return QueryResult(
        plan.count(database, whole=True),
        plan.columns,
        preview_rows=rows,
        dry_run=call.dry_run,
        sheet=sheet if not call.dry_run else None,
        sheet_notes=notes,
        would_write=(sheet,) if sheet is not None and call.dry_run else (),
    )


def _dry(plan: Plan, database: Database, out: str, settings: Settings, call: Call) -> QueryResult:
    from agir_cvtoolkit.sources.results import SPEC_NAME, result_path

    named = call.run or "/".join(part for part in (settings.project.name, settings.project.subname) if part)
    folder = Path(settings.io.out_root) / (named or "<new run>") / "query"
    files = (result_path(folder, out), folder / SPEC_NAME)
    return QueryResult(plan.count(database), plan.columns, named or None, dry_run=True, would_write=files)

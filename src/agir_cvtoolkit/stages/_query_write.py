"""A query's result, written into a run."""

from __future__ import annotations

import time
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from agir_cvtoolkit.errors import ConfigError, QueryError
from agir_cvtoolkit.runs import Run, fingerprint, list_runs, make_current, open_run, start_run, write_json

from ._call import Call
from ._query_database import pictures_root

if TYPE_CHECKING:
    from agir_cvtoolkit.config import Settings
    from agir_cvtoolkit.sources.database import Database
    from agir_cvtoolkit.sources.plan import Plan

STAGE = "query"
OUTPUTS = ("query",)


@dataclass(frozen=True)
class Written:
    """What was written.

    Attributes:
        digest: of the ids in order.
        unchanged: it was there from before.
    """

    run: Run
    path: Path
    spec_path: Path
    count: int
    digest: str
    unchanged: bool = False


def write_query(plan: Plan, database: Database, db: str, out: str, settings: Settings, call: Call) -> Written:
    """Write the result and its specification into the run of the call, which becomes the current one.

    Raises:
        QueryError: nothing matches; no run is started.
        ConfigError: the call names a run that cannot be started.
        DatabaseError: the database fails.
    """
    from agir_cvtoolkit.sources.digest import IdDigest
    from agir_cvtoolkit.sources.results import EXCLUDED_NAME, SPEC_NAME, result_path, write_result
    from agir_cvtoolkit.sources.spec import spec_of

    begun = time.monotonic()
    rows = plan.rows(database)
    first = next(rows, None)
    if first is None:
        counts = plan.matches_alone(database)
        alone = (
            "; ".join(f"{text} alone: {count}" for text, count in counts.items()) if len(counts) > 1 else ""
        )
        raise QueryError(
            f"no record matches{f' ({alone})' if alone else ''}; no run was started",
            "Widen the query; --limit 0 counts what matches.",
        )
    run = _run(settings, call)
    address, table = database.address, plan.source.name
    identity = (db, address, database.state(table), table, plan.parameters, out)
    stage_pass = run.begin(STAGE, fingerprint(identity), OUTPUTS)
    folder = run.path("query")
    result, spec_path = result_path(folder, out), folder / SPEC_NAME
    if stage_pass.state == "done" and result.is_file() and spec_path.is_file():
        known = run.read_metrics(STAGE)
        return Written(
            run, result, spec_path, int(known.get("count", 0)), str(known.get("ids_sha256", "")), True
        )
    if stage_pass.state == "done":
        run.reopen(stage_pass)
    call.record_config(run, STAGE, settings, settings.dump("db", "data", "io", "project"))
    digest = IdDigest(plan.columns.index(plan.source.id_column))
    write_result(folder, out, plan.kinds, digest.through(chain((first,), rows)))
    if plan.exclusion is not None:
        excluded = "".join(f"{name}\n" for name in plan.exclusion.record_ids)
        (folder / EXCLUDED_NAME).write_text(excluded, encoding="utf-8")
    spec = spec_of(
        plan,
        run_id=run.run_id,
        db=db,
        database_path=address,
        pictures_root=pictures_root(database),
        out=out,
        count=digest.count,
        ids_sha256=digest.hexdigest,
    )
    write_json(spec_path, spec)
    metrics = {
        "total_records": digest.count,
        "count": digest.count,
        "ids_sha256": digest.hexdigest,
        "db": db,
        "db_path": address,
        "output_format": out,
        "path": str(result.relative_to(run.root)),
        "seconds": round(time.monotonic() - begun, 3),
    }
    run.write_metrics(STAGE, metrics, number=stage_pass.number)
    run.finish(stage_pass)
    return Written(run, result, spec_path, digest.count, digest.hexdigest)


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

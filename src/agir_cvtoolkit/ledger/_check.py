"""Whether a ledger is sound: what its rows say of each other."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Select, Table, and_, func, select

from . import _tables as t
from ._again import upload_again
from ._care import REMOVED
from ._findings import Finding
from ._models import SEGMENTATION
from ._part import LedgerPart
from ._places import Workspace, places_of_runs
from ._push_rows import PushKey


@dataclass(frozen=True)
class NamedFile:
    """A file that the ledger names.

    Attributes:
        what: prediction, model or reading.
        run_id: whose folder a relative path is in; None for one of its own.
        places: where it lies; empty where an earlier version recorded it.
    """

    what: str
    run_id: str | None
    path: str
    places: tuple[Workspace, ...] = ()


class Check(LedgerPart):
    """What the rows of a ledger say of each other."""

    def orphans(self, *, project_id: int | None = None) -> list[Finding]:
        """Return rows without what they belong to, and what was begun and not ended.

        Args:
            project_id: the configured one, which a command need not name.
        """
        found: list[Finding] = []
        tasks, frames = t.push_tasks, t.push_frames
        with self._begin() as connection:
            again = _again(connection, project_id)
            held = select(frames.c.push_id).where(
                and_(frames.c.push_id == tasks.c.push_id, frames.c.ordinal == tasks.c.ordinal)
            )
            for row in connection.execute(
                select(tasks.c.name).where(tasks.c.state.in_(("filled", "done")), ~held.exists())
            ):
                found.append(
                    Finding(row.name, "a task without frames", "Take it back: agir-cvtoolkit undo PUSH")
                )
            for row in connection.execute(
                select(tasks.c.name, tasks.c.state, tasks.c.push_id).where(tasks.c.state != "done")
            ):
                said = f"an upload that was not finished ({row.state})"
                found.append(Finding(row.name, said, again.get(row.push_id, _ANEW)))
            for row in connection.execute(
                select(t.push_jobs.c.job_id, t.push_jobs.c.push_id).where(t.push_jobs.c.state == "replacing")
            ):
                said = "new proposals were not wholly written"
                found.append(Finding(f"job {row.job_id}", said, again.get(row.push_id, _ANEW)))
            for table in _OF_TASK:
                count = connection.execute(_without_task(table)).scalar_one()
                if count:
                    said = f"{count} {'row' if count == 1 else 'rows'} of tasks that are not known"
                    found.append(Finding(f"table {table.name}", said, _RESTORE))
            kind = func.coalesce(t.models.c.kind, SEGMENTATION)
            of_kind = select(kind, func.count()).where(t.models.c.is_champion).group_by(kind)
            for name, champions in connection.execute(of_kind):
                if champions > 1:
                    said = f"{champions} champions of kind {name}"
                    found.append(Finding("models", said, "Promote one: agir-cvtoolkit promote"))
        return found

    def named_files(self) -> list[NamedFile]:
        """Return the files that the ledger names: masks of predictions, models, and what was read last."""
        predictions, models, pulls = t.predictions, t.models, t.pulls
        with self._begin() as connection:
            places = places_of_runs(connection)
            found = [
                NamedFile("prediction", row.run_id, row.mask_path, places.get(row.run_id, ()))
                for row in connection.execute(
                    select(predictions.c.run_id, predictions.c.mask_path)
                    .distinct()
                    .where(predictions.c.mask_path.is_not(None))
                )
            ]
            found += [
                NamedFile("champion" if row.is_champion else "model", row.run_id, row.path, _place_of(row))
                for row in connection.execute(
                    select(models.c.run_id, models.c.path, models.c.is_champion, models.c.host)
                )
            ]
            found += [
                NamedFile("reading", row.run_id, row.stored, places.get(row.run_id, ()))
                for row in connection.execute(select(pulls.c.run_id, pulls.c.stored).distinct())
            ]
        return found

    @property
    def here(self) -> Workspace:
        """This machine's folder of runs."""
        return self._here

    @property
    def is_shared(self) -> bool:
        """Whether other machines may use it too: it lies on a server."""
        return self._engine.dialect.name != "sqlite"

    def removed_runs(self) -> frozenset[str]:
        """Return the runs whose folders were removed on purpose."""
        query = select(t.events.c.run_id).where(t.events.c.kind == REMOVED)
        with self._begin() as connection:
            return frozenset(str(run_id) for run_id in connection.execute(query).scalars())


_ANEW = "Run upload-cvat again: it goes on where it stopped."
_RESTORE = "Nothing uses them; if records are missing, restore a backup."
_OF_TASK: tuple[Table, ...] = (
    t.push_frames,
    t.push_shapes,
    t.push_jobs,
    t.push_aliases,
    t.push_replacements,
    t.replacement_shapes,
    t.run_tasks,
)


def _again(connection: Connection, project_id: int | None) -> dict[str, str]:
    """Return how each push is brought to its end."""
    table, found = t.pushes, {}
    for row in connection.execute(select(table)):
        key = PushKey(row.server, row.project_id, row.organization, row.name, row.kind)
        command = upload_again(key, row.run_id, project_id=project_id)
        found[row.push_id] = f"Run it again, it goes on where it stopped: {command}"
    return found


def _place_of(model: Any) -> tuple[Workspace, ...]:
    return () if model.host is None else (Workspace(model.host, str(Path(model.path).parent)),)


def _without_task(table: Table) -> Select[Any]:
    tasks = t.push_tasks
    known = select(tasks.c.push_id).where(
        and_(tasks.c.push_id == table.c.push_id, tasks.c.ordinal == table.c.ordinal)
    )
    return select(func.count()).select_from(table).where(~known.exists())

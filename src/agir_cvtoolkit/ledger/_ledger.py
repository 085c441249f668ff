"""The ledger: one database of all that happened to every picture, across runs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from sqlalchemy import Connection, Engine, and_, delete, insert, select, update
from sqlalchemy.exc import SQLAlchemyError

from agir_cvtoolkit.errors import LedgerError
from agir_cvtoolkit.records import ManifestEntry

from . import _tables as t
from ._migrations import migrate
from ._opening import Place, failed
from ._rows import Event, ModelRow, Pull, PushedFrame, PushedShape, PushedTask, PushKey


class Ledger:
    """An open ledger; use it in a ``with`` block. A state change and its event commit together."""

    def __init__(self, engine: Engine, where: str) -> None:
        self._engine = engine
        self._where = where

    @classmethod
    def open(cls, url: str | None, out_root: Path) -> Self:
        """Open a ledger, making or migrating it when needed.

        Args:
            url: of a database, in SQLAlchemy's form; None is the SQLite file ``ledger.db`` beside `out_root`.
            out_root: the folder of all runs.

        Raises:
            ConfigError: the URL cannot be understood.
            LedgerError: it cannot be opened, is damaged, or was written by a newer version.
        """
        place = Place.find(url, out_root)
        place.make_folder()
        return cls._at(place)

    @classmethod
    def open_to_read(cls, url: str | None, out_root: Path) -> Self:
        """Open a ledger as `open` does; where there is none, an empty one in memory: nothing is made.

        Raises:
            ConfigError: the URL cannot be understood.
            LedgerError: it cannot be opened, is damaged, or was written by a newer version.
        """
        place = Place.find(url, out_root)
        return cls._at(place if place.is_taken() else Place.find("sqlite://", out_root))

    @classmethod
    def is_there(cls, url: str | None, out_root: Path) -> bool:
        """Whether a ledger was made before.

        Raises:
            ConfigError: the URL cannot be understood.
            LedgerError: the database cannot be reached.
        """
        return Place.find(url, out_root).is_taken()

    @classmethod
    def _at(cls, place: Place) -> Self:
        try:
            migrate(place.engine, place.file)
        except SQLAlchemyError as error:
            place.engine.dispose()
            raise failed(place.name, error) from error
        except LedgerError:
            place.engine.dispose()
            raise
        return cls(place.engine, place.name)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._engine.dispose()

    @contextmanager
    def _begin(self) -> Iterator[Connection]:
        try:
            with self._engine.begin() as connection:
                yield connection
        except SQLAlchemyError as error:
            raise failed(self._where, error) from error

    # --- predictions ------------------------------------------------------------------------------

    def record_predictions(self, run_id: str, entries: Iterable[tuple[ManifestEntry, str | None]]) -> None:
        """Record predictions, each with the SHA-256 of its mask file; those already known are left alone."""
        now = _now()
        with self._begin() as connection:
            for entry, mask_sha256 in entries:
                values = {
                    "run_id": run_id,
                    "record_id": entry.record_id,
                    "image_sha256": entry.sha256 or "",
                    "mask_sha256": mask_sha256,
                    "model": entry.model,
                }
                table = t.predictions
                known = and_(
                    *(table.c[k] == v if v is not None else table.c[k].is_(None) for k, v in values.items())
                )
                if connection.execute(select(table.c.id).where(known)).first() is not None:
                    continue
                self._see_image(connection, entry, now)
                connection.execute(
                    insert(table).values(
                        **values, uncertainty=entry.uncertainty, mask_path=entry.mask_path, created=now
                    )
                )
                detail = {
                    "model": entry.model,
                    "uncertainty": round(entry.uncertainty, 4),
                    "mask": entry.mask_path,
                }
                _event(connection, "predicted", run_id, entry.record_id, detail)

    @staticmethod
    def _see_image(connection: Connection, entry: ManifestEntry, now: str) -> None:
        if entry.sha256 is None:
            return
        known = connection.execute(select(t.images.c.sha256).where(t.images.c.sha256 == entry.sha256)).first()
        if known is None:
            connection.execute(
                insert(t.images).values(
                    sha256=entry.sha256,
                    width=entry.width,
                    height=entry.height,
                    source_path=entry.source_path,
                    first_seen=now,
                )
            )

    # --- pushes -----------------------------------------------------------------------------------

    def open_push(self, key: PushKey, run_id: str) -> str:
        """Return the id of a push, recording it when it is new."""
        push_id = key.push_id
        with self._begin() as connection:
            known = connection.execute(
                select(t.pushes.c.push_id).where(t.pushes.c.push_id == push_id)
            ).first()
            if known is None:
                values = {
                    "server": key.server,
                    "project_id": key.project_id,
                    "organization": key.organization,
                    "name": key.name,
                    "kind": key.kind,
                }
                connection.execute(
                    insert(t.pushes).values(push_id=push_id, run_id=run_id, created=_now(), **values)
                )
                _event(connection, "push opened", run_id, None, {"push": push_id, **values})
        return push_id

    def tasks_of_push(self, push_id: str) -> list[PushedTask]:
        """Return the tasks of a push in their order."""
        table = t.push_tasks
        return self._tasks(select(table).where(table.c.push_id == push_id).order_by(table.c.ordinal))

    def has_open_tasks(self, push_id: str) -> bool:
        """Whether an earlier call left a task of this push unfinished."""
        return any(task.state != "done" for task in self.tasks_of_push(push_id))

    def run_uses(self, run_id: str, push_id: str, ordinals: Iterable[int]) -> None:
        """Record that records of a run lie in tasks of a push, whichever run made them."""
        table = t.run_tasks
        with self._begin() as connection:
            for ordinal in ordinals:
                same = and_(table.c.run_id == run_id, table.c.push_id == push_id, table.c.ordinal == ordinal)
                if connection.execute(select(table.c.run_id).where(same)).first() is None:
                    connection.execute(insert(table).values(run_id=run_id, push_id=push_id, ordinal=ordinal))

    def tasks_of_run(self, run_id: str, server: str) -> list[PushedTask]:
        """Return the finished tasks on a server that hold records which a run pushed, oldest first."""
        table, used = t.push_tasks, t.run_tasks
        same = and_(used.c.push_id == table.c.push_id, used.c.ordinal == table.c.ordinal)
        joined = select(table).join(t.pushes, t.pushes.c.push_id == table.c.push_id).join(used, same)
        wanted = and_(used.c.run_id == run_id, t.pushes.c.server == server, table.c.state == "done")
        return self._tasks(joined.where(wanted).order_by(table.c.task_id))

    def task_by_id(self, server: str, task_id: int) -> PushedTask | None:
        """Return a task that this tool made on a server, or None for a stranger's."""
        table = t.push_tasks
        joined = select(table).join(t.pushes, t.pushes.c.push_id == table.c.push_id)
        found = self._tasks(joined.where(and_(t.pushes.c.server == server, table.c.task_id == task_id)))
        return found[0] if found else None

    def frames_of_push(self, push_id: str) -> list[PushedFrame]:
        """Return all frames of a push."""
        return self._frames(t.push_frames.c.push_id == push_id)

    def frames_of_task(self, task: PushedTask) -> list[PushedFrame]:
        """Return the frames of one task, by frame number."""
        table = t.push_frames
        return self._frames(and_(table.c.push_id == task.push_id, table.c.ordinal == task.ordinal))

    def plan_task(self, task: PushedTask) -> None:
        """Reserve a task's ordinal and name before anything is sent."""
        values = {"name": task.name, "run_id": task.run_id, "state": "planned", "task_id": None, "url": None}
        with self._begin() as connection:
            self._forget(connection, task)
            connection.execute(
                insert(t.push_tasks).values(
                    push_id=task.push_id, ordinal=task.ordinal, changed=_now(), **values
                )
            )
            connection.execute(
                insert(t.run_tasks).values(run_id=task.run_id, push_id=task.push_id, ordinal=task.ordinal)
            )
            _event(connection, "task planned", task.run_id, None, {"push": task.push_id, "name": task.name})

    def task_created(self, task: PushedTask, task_id: int, url: str) -> None:
        """Record the id of a task before its data are sent."""
        with self._begin() as connection:
            self._set_task(connection, task, state="created", task_id=task_id, url=url)
            _event(connection, "task created", task.run_id, None, {"push": task.push_id, "task": task_id})

    def task_filled(self, task: PushedTask, frames: Sequence[PushedFrame]) -> None:
        """Record a task's verified frame map."""
        with self._begin() as connection:
            self._set_task(connection, task, state="filled")
            if frames:
                connection.execute(insert(t.push_frames), [_columns(f) for f in frames])

    def task_done(self, task: PushedTask, counts: Mapping[int, int], shapes: Sequence[PushedShape]) -> None:
        """Record what was read back from a task: shapes per frame, and the hash of each."""
        table = t.push_frames
        with self._begin() as connection:
            self._set_task(connection, task, state="done")
            connection.execute(delete(t.push_shapes).where(_same_task(t.push_shapes, task)))
            if shapes:
                rows = [{"push_id": task.push_id, "ordinal": task.ordinal, **_columns(s)} for s in shapes]
                connection.execute(insert(t.push_shapes), rows)
            for frame, record_id in connection.execute(
                select(table.c.frame, table.c.record_id).where(_same_task(table, task))
            ).all():
                count = counts.get(frame, 0)
                connection.execute(
                    update(table).where(_same_task(table, task), table.c.frame == frame).values(shapes=count)
                )
                detail = {"task": task.task_id, "frame": frame, "shapes": count, "url": task.url}
                _event(connection, "pushed", task.run_id, record_id, detail)

    def forget_task(self, task: PushedTask) -> None:
        """Drop an unfinished task that is no longer on the server."""
        with self._begin() as connection:
            self._forget(connection, task)
            detail = {"push": task.push_id, "name": task.name, "task": task.task_id}
            _event(connection, "task dropped", task.run_id, None, detail)

    def _forget(self, connection: Connection, task: PushedTask) -> None:
        for table in (t.push_shapes, t.push_frames, t.run_tasks, t.push_tasks):
            connection.execute(delete(table).where(_same_task(table, task)))

    @staticmethod
    def _set_task(connection: Connection, task: PushedTask, **values: Any) -> None:
        connection.execute(
            update(t.push_tasks).where(_same_task(t.push_tasks, task)).values(changed=_now(), **values)
        )

    def _tasks(self, query: Any) -> list[PushedTask]:
        names = ("push_id", "ordinal", "name", "run_id", "state", "task_id", "url")
        with self._begin() as connection:
            return [PushedTask(**{n: row[n] for n in names}) for row in connection.execute(query).mappings()]

    def _frames(self, condition: Any) -> list[PushedFrame]:
        table = t.push_frames
        with self._begin() as connection:
            rows = connection.execute(select(table).where(condition).order_by(table.c.ordinal, table.c.frame))
            return [PushedFrame(**dict(row)) for row in rows.mappings()]

    # --- pulls ------------------------------------------------------------------------------------

    def last_pull(self, server: str, run_id: str, job_id: int) -> Pull | None:
        """Return the newest reading of a job for a run."""
        table = t.pulls
        wanted = and_(table.c.server == server, table.c.run_id == run_id, table.c.job_id == job_id)
        with self._begin() as connection:
            row = (
                connection.execute(select(table).where(wanted).order_by(table.c.id.desc()).limit(1))
                .mappings()
                .first()
            )
            if row is None:
                return None
            return Pull(**{k: v for k, v in row.items() if k not in {"id", "created"}})

    def record_pull(self, pull: Pull, records: Mapping[str, int]) -> None:
        """Record that a job was read and stored, and how many shapes each record came back with."""
        table = t.pulls
        same = and_(
            table.c.server == pull.server,
            table.c.run_id == pull.run_id,
            table.c.job_id == pull.job_id,
            table.c.updated_date == pull.updated_date,
        )
        with self._begin() as connection:
            connection.execute(delete(table).where(same))
            connection.execute(insert(table).values(created=_now(), **_columns(pull)))
            for record_id, shapes in records.items():
                detail = {"task": pull.task_id, "job": pull.job_id, "shapes": shapes, "state": pull.state}
                _event(connection, "pulled", pull.run_id, record_id, detail)

    # --- models -----------------------------------------------------------------------------------

    def record_model(
        self, version: str, path: str, name: str, run_id: str | None, card: Mapping[str, object]
    ) -> None:
        """Record a model, or where it lies now, by the version of its weights; without a run the known one stays."""
        with self._begin() as connection:
            table = t.models
            values = {"path": path, "name": name, "run_id": run_id, "card": json.dumps(card, default=str)}
            if connection.execute(select(table.c.version).where(table.c.version == version)).first() is None:
                connection.execute(
                    insert(table).values(version=version, created=_now(), is_champion=False, **values)
                )
                _event(connection, "model trained", run_id, None, {"version": version, "path": path})
            else:
                known = {name: value for name, value in values.items() if value is not None}
                connection.execute(update(table).where(table.c.version == version).values(**known))

    def model_moved(self, version: str, old: str, new: str) -> None:
        """Record that a model no longer lies at one path but at another; one that lies elsewhere is left alone."""
        table = t.models
        there = and_(table.c.version == version, table.c.path == old)
        with self._begin() as connection:
            connection.execute(update(table).where(there).values(path=new))

    def promote(self, version: str) -> None:
        """Make a recorded model the champion."""
        table = t.models
        with self._begin() as connection:
            connection.execute(update(table).values(is_champion=False))
            changed = connection.execute(
                update(table)
                .where(table.c.version == version)
                .values(is_champion=True, champion_since=_now())
            )
            if changed.rowcount != 1:
                raise LedgerError(
                    f"model {version} is not in the ledger", "Train or promote it by its path first."
                )
            row = connection.execute(
                select(table.c.run_id, table.c.path).where(table.c.version == version)
            ).one()
            _event(connection, "promoted", row.run_id, None, {"version": version, "path": row.path})

    def champion(self) -> ModelRow | None:
        """Return the model in service."""
        found = [row for row in self.models() if row.is_champion]
        return found[0] if found else None

    def models(self) -> list[ModelRow]:
        """Return all models, newest first."""
        table = t.models
        names = ("version", "path", "name", "run_id", "is_champion", "champion_since", "created")
        with self._begin() as connection:
            rows = connection.execute(select(table).order_by(table.c.created.desc())).mappings()
            return [ModelRow(**{n: row[n] for n in names}) for row in rows]

    # --- events -----------------------------------------------------------------------------------

    def events_of_record(self, record_id: str) -> list[Event]:
        """Return the life of a record in order."""
        table = t.events
        with self._begin() as connection:
            rows = connection.execute(
                select(table).where(table.c.record_id == record_id).order_by(table.c.id)
            )
            return [
                Event(r["at"], r["kind"], r["run_id"], r["record_id"], json.loads(r["detail"]))
                for r in rows.mappings()
            ]

    def record_ids_like(self, text: str, limit: int = 5) -> list[str]:
        """Return some record ids that contain a text."""
        column = t.events.c.record_id
        with self._begin() as connection:
            query = (
                select(column)
                .distinct()
                .where(column.contains(text, autoescape=True))
                .order_by(column)
                .limit(limit)
            )
            return [str(value) for value in connection.execute(query).scalars()]

    def pushes(self) -> list[tuple[str, PushKey, str]]:
        """Return all pushes as id, key and run, oldest first."""
        table = t.pushes
        with self._begin() as connection:
            return [
                (
                    r["push_id"],
                    PushKey(r["server"], r["project_id"], r["organization"], r["name"], r["kind"]),
                    r["run_id"],
                )
                for r in connection.execute(select(table).order_by(table.c.created)).mappings()
            ]

    def pulls_of_task(self, server: str, task_id: int) -> list[Pull]:
        """Return all readings of a task's jobs, oldest first."""
        table = t.pulls
        with self._begin() as connection:
            rows = connection.execute(
                select(table).where(table.c.server == server, table.c.task_id == task_id).order_by(table.c.id)
            ).mappings()
            return [Pull(**{k: v for k, v in row.items() if k not in {"id", "created"}}) for row in rows]


def _same_task(table: Any, task: PushedTask) -> Any:
    return and_(table.c.push_id == task.push_id, table.c.ordinal == task.ordinal)


def _columns(row: Any) -> dict[str, Any]:
    return {name: getattr(row, name) for name in row.__dataclass_fields__}


def _event(
    connection: Connection, kind: str, run_id: str | None, record_id: str | None, detail: Mapping[str, object]
) -> None:
    connection.execute(
        insert(t.events).values(
            at=_now(), kind=kind, run_id=run_id, record_id=record_id, detail=json.dumps(detail, default=str)
        )
    )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")

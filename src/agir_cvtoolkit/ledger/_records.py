"""Predictions and events: the life of a record."""

from __future__ import annotations

import json
from collections.abc import Iterable

from sqlalchemy import Connection, and_, insert, select

from agir_cvtoolkit.records import ManifestEntry

from . import _tables as t
from ._part import LedgerPart, add_event, now
from ._rows import Event


class Records(LedgerPart):
    """What is known of records."""

    def record_predictions(self, run_id: str, entries: Iterable[tuple[ManifestEntry, str | None]]) -> None:
        """Record predictions, each with the SHA-256 of its mask file; those already known are left alone."""
        at = now()
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
                self._see_image(connection, entry, at)
                connection.execute(
                    insert(table).values(
                        **values, uncertainty=entry.uncertainty, mask_path=entry.mask_path, created=at
                    )
                )
                detail = {
                    "model": entry.model,
                    "uncertainty": round(entry.uncertainty, 4),
                    "mask": entry.mask_path,
                }
                add_event(connection, "predicted", run_id, entry.record_id, detail)

    @staticmethod
    def _see_image(connection: Connection, entry: ManifestEntry, at: str) -> None:
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
                    first_seen=at,
                )
            )

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

"""Predictions and events: the life of a record."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from sqlalchemy import Connection, insert, select

from agir_cvtoolkit.records import ManifestEntry

from . import _tables as t
from ._part import LedgerPart, add_events, now
from ._places import note_place
from ._rows import Event

_AT_ONCE = 500
"""So many values go into one question; databases bound their number."""


class Records(LedgerPart):
    """What is known of records."""

    def record_predictions(self, run_id: str, entries: Iterable[tuple[ManifestEntry, str | None]]) -> None:
        """Record predictions, each with the SHA-256 of its mask file; those already known are left alone.

        The same mask of another original (a picture that was encoded again, a plant cut out of it) is another one.
        """
        at = now()
        table = t.predictions
        names = ("record_id", "mask_sha256", "model", "image_sha256")
        with self._begin() as connection:
            same_run = select(*(table.c[name] for name in names)).where(table.c.run_id == run_id)
            known: set[tuple[object, ...]] = {tuple(row) for row in connection.execute(same_run)}
            rows: list[dict[str, object]] = []
            events: list[tuple[str, dict[str, object]]] = []
            images: dict[str, ManifestEntry] = {}
            for entry, mask_sha256 in entries:
                key = (entry.record_id, mask_sha256, entry.model, entry.sha256 or "")
                if key in known:
                    continue
                known.add(key)
                if entry.sha256 is not None:
                    images.setdefault(entry.sha256, entry)
                rows.append(
                    {
                        **dict(zip(names, key, strict=True)),
                        "run_id": run_id,
                        "mask_path": entry.mask_path,
                        "uncertainty": entry.uncertainty,
                        "created": at,
                    }
                )
                detail = {
                    "model": entry.model,
                    "uncertainty": round(entry.uncertainty, 4),
                    "mask": entry.mask_path,
                }
                events.append((entry.record_id, detail))
            note_place(connection, run_id, self._here)
            self._see_images(connection, images, at)
            if rows:
                connection.execute(insert(table), rows)
            if events:
                add_events(connection, "predicted", run_id, events)

    @staticmethod
    def _see_images(connection: Connection, entries: Mapping[str, ManifestEntry], at: str) -> None:
        column = t.images.c.sha256
        wanted = list(entries)
        known: set[str] = set()
        for start in range(0, len(wanted), _AT_ONCE):
            some = select(column).where(column.in_(wanted[start : start + _AT_ONCE]))
            known |= set(connection.execute(some).scalars())
        rows = [
            {
                "sha256": digest,
                "width": entry.width,
                "height": entry.height,
                "source_path": entry.source_path,
                "first_seen": at,
            }
            for digest, entry in entries.items()
            if digest not in known
        ]
        if rows:
            connection.execute(insert(t.images), rows)

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
                .where(column.icontains(text, autoescape=True))
                .order_by(column)
                .limit(limit)
            )
            return [str(value) for value in connection.execute(query).scalars()]

"""Models and which of them are in service: one of each kind."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from sqlalchemy import and_, func, insert, select, update

from agir_cvtoolkit.errors import LedgerError

from . import _tables as t
from ._model_rows import ModelRow
from ._part import LedgerPart, add_event, now
from ._rounds import follow

SEGMENTATION = "segmentation"
"""The kind of all models of ledgers that know no kinds."""


class Models(LedgerPart):
    """What was trained."""

    def record_model(
        self, version: str, path: str, name: str, run_id: str | None, card: Mapping[str, object]
    ) -> None:
        """Record a model, or where it lies now, by the version of its weights; without a run the known one stays.

        Its kind is that of the card.
        """
        with self._begin() as connection:
            table = t.models
            kind = str(card.get("kind") or SEGMENTATION)
            values = {
                "path": path,
                "name": name,
                "run_id": run_id,
                "card": json.dumps(card, default=str),
                "kind": kind,
                "host": self._here.host,
            }
            if connection.execute(select(table.c.version).where(table.c.version == version)).first() is None:
                connection.execute(
                    insert(table).values(version=version, created=now(), is_champion=False, **values)
                )
                add_event(connection, "model trained", run_id, None, {"version": version, "path": path})
            else:
                known = {name: value for name, value in values.items() if value is not None}
                connection.execute(update(table).where(table.c.version == version).values(**known))
            follow(connection, run_id, "trained", {"version": version})

    def record_evaluation(self, version: str, metrics: Mapping[str, float], test_set: str) -> None:
        """Record how a model did on a test set; one that is not in the ledger is left out."""
        table = t.models
        with self._begin() as connection:
            changed = connection.execute(
                update(table)
                .where(table.c.version == version)
                .values(metrics=json.dumps(dict(metrics)), test_set=test_set)
            )
            if changed.rowcount:
                detail = {"version": version, "test_set": test_set, "metrics": dict(metrics)}
                add_event(connection, "model evaluated", None, None, detail)
                query = select(table.c.run_id).where(table.c.version == version)
                run_id = connection.execute(query).scalar_one_or_none()
                follow(connection, run_id, "evaluated", {"test_set": test_set})

    def model_moved(self, version: str, old: str, new: str) -> None:
        """Record that a model no longer lies at one path but at another; one that lies elsewhere is left alone."""
        table = t.models
        there = and_(table.c.version == version, table.c.path == old)
        with self._begin() as connection:
            connection.execute(update(table).where(there).values(path=new, host=self._here.host))

    def promote(self, version: str) -> None:
        """Make a recorded model the champion of its kind; those of other kinds stay in service."""
        table = t.models
        with self._begin() as connection:
            row = connection.execute(
                select(table.c.run_id, table.c.path, table.c.kind).where(table.c.version == version)
            ).first()
            if row is None:
                raise LedgerError(
                    f"model {version} is not in the ledger", "Train or promote it by its path first."
                )
            kind = row.kind or SEGMENTATION
            of_kind = func.coalesce(table.c.kind, SEGMENTATION) == kind
            connection.execute(update(table).where(of_kind).values(is_champion=False))
            connection.execute(
                update(table).where(table.c.version == version).values(is_champion=True, champion_since=now())
            )
            detail = {"version": version, "path": row.path, "kind": kind}
            add_event(connection, "promoted", row.run_id, None, detail)
            follow(connection, row.run_id, "promoted", {})

    def champion(self, kind: str = SEGMENTATION) -> ModelRow | None:
        """Return the model of a kind in service."""
        found = [row for row in self.models() if row.is_champion and row.kind == kind]
        return found[0] if found else None

    def model(self, version: str) -> ModelRow | None:
        """Return a model by the version of its weights."""
        found = [row for row in self.models() if row.version == version]
        return found[0] if found else None

    def models(self) -> list[ModelRow]:
        """Return all models, newest first."""
        table = t.models
        with self._begin() as connection:
            rows = connection.execute(select(table).order_by(table.c.created.desc())).mappings()
            return [_model(row) for row in rows]


def _model(row: Any) -> ModelRow:
    card = json.loads(row["card"])
    metrics = json.loads(row["metrics"]) if row["metrics"] else card.get("metrics")
    return ModelRow(
        version=row["version"],
        path=row["path"],
        name=row["name"],
        run_id=row["run_id"],
        is_champion=bool(row["is_champion"]),
        champion_since=row["champion_since"],
        created=row["created"],
        kind=row["kind"] or SEGMENTATION,
        metrics={str(key): float(value) for key, value in (metrics or {}).items() if _is_number(value)},
        test_set=row["test_set"],
        card=card,
    )


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)

"""Models and which of them is in service."""

from __future__ import annotations

import json
from collections.abc import Mapping

from sqlalchemy import and_, insert, select, update

from agir_cvtoolkit.errors import LedgerError

from . import _tables as t
from ._part import LedgerPart, add_event, now
from ._rows import ModelRow


class Models(LedgerPart):
    """What was trained."""

    def record_model(
        self, version: str, path: str, name: str, run_id: str | None, card: Mapping[str, object]
    ) -> None:
        """Record a model, or where it lies now, by the version of its weights; without a run the known one stays."""
        with self._begin() as connection:
            table = t.models
            values = {"path": path, "name": name, "run_id": run_id, "card": json.dumps(card, default=str)}
            if connection.execute(select(table.c.version).where(table.c.version == version)).first() is None:
                connection.execute(
                    insert(table).values(version=version, created=now(), is_champion=False, **values)
                )
                add_event(connection, "model trained", run_id, None, {"version": version, "path": path})
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
                update(table).where(table.c.version == version).values(is_champion=True, champion_since=now())
            )
            if changed.rowcount != 1:
                raise LedgerError(
                    f"model {version} is not in the ledger", "Train or promote it by its path first."
                )
            row = connection.execute(
                select(table.c.run_id, table.c.path).where(table.c.version == version)
            ).one()
            add_event(connection, "promoted", row.run_id, None, {"version": version, "path": row.path})

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

"""Which records people have labelled, or are about to."""

from __future__ import annotations

import json

from sqlalchemy import and_, select

from . import _tables as t
from ._part import LedgerPart


class InWork(LedgerPart):
    """Records that need no second look."""

    def labelled_records(self) -> set[str]:
        """Return the records of all jobs that came back finished, those without any shape too."""
        table = t.events
        with self._begin() as connection:
            found = connection.execute(
                select(table.c.record_id, table.c.detail).where(
                    table.c.kind == "pulled", table.c.record_id.is_not(None)
                )
            )
            return {str(name) for name, detail in found if json.loads(detail).get("state") == "completed"}

    def pushed_records(self) -> set[str]:
        """Return the records of all tasks that were made."""
        tasks, found = t.push_tasks, set()
        for table in (t.push_frames, t.push_aliases):
            same = and_(table.c.push_id == tasks.c.push_id, table.c.ordinal == tasks.c.ordinal)
            query = select(table.c.record_id).distinct().join(tasks, same).where(tasks.c.state == "done")
            with self._begin() as connection:
                found |= {str(name) for name in connection.execute(query).scalars()}
        return found

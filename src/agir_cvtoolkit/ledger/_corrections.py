"""Corrections: what became of each proposal."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import and_, delete, insert, select

from . import _tables as t
from ._part import LedgerPart, columns_of, now
from ._rows import CorrectionRow


class Corrections(LedgerPart):
    """What people did with proposals."""

    def record_corrections(
        self, server: str, run_id: str, job_id: int, rows: Sequence[CorrectionRow]
    ) -> None:
        """Record what became of the proposals of a job; what an earlier reading of it said is replaced."""
        table = t.corrections
        same = and_(table.c.server == server, table.c.run_id == run_id, table.c.job_id == job_id)
        with self._begin() as connection:
            connection.execute(delete(table).where(same))
            if rows:
                at = now()
                connection.execute(insert(table), [columns_of(row) | {"created": at} for row in rows])

    def corrections_of_run(self, run_id: str) -> list[CorrectionRow]:
        """Return all corrections that a run pulled, by task, job and frame."""
        table = t.corrections
        order = (table.c.task_id, table.c.job_id, table.c.frame, table.c.id)
        with self._begin() as connection:
            rows = connection.execute(select(table).where(table.c.run_id == run_id).order_by(*order))
            names = CorrectionRow.__dataclass_fields__
            return [CorrectionRow(**{n: row[n] for n in names}) for row in rows.mappings()]

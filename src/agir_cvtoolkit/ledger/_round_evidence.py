"""What has come back of a loop's batches: what a policy and a budget go by."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sqlalchemy import and_, func, select

from . import _tables as t
from ._corrections import Corrections
from ._pull_rows import CorrectionRow

_NAMES = tuple(CorrectionRow.__dataclass_fields__)


class RoundEvidence(Corrections):
    """Corrections by the order in which they came back."""

    def newest_pull(self, run_ids: Collection[str]) -> int:
        """Return the number of the newest pull of some runs, 0 where nothing came back."""
        table = t.pulls
        query = select(func.max(table.c.id)).where(table.c.run_id.in_(list(run_ids)))
        with self._begin() as connection:
            return int(connection.execute(query).scalar_one() or 0)

    def pulled_at(self, run_ids: Collection[str], after: int) -> str | None:
        """Return when the first pull of some runs beyond a number was made, None where there is none."""
        table = t.pulls
        query = select(func.min(table.c.created)).where(table.c.run_id.in_(list(run_ids)), table.c.id > after)
        with self._begin() as connection:
            found = connection.execute(query).scalar_one()
            return None if found is None else str(found)

    def corrections_by_pull(
        self, run_ids: Collection[str], *, after: int = 0, until: int | None = None
    ) -> Sequence[CorrectionRow]:
        """Return the corrections of jobs that some runs pulled.

        Args:
            run_ids: of the runs.
            after: only of jobs whose newest pull has a number beyond this one.
            until: and up to this one; None for all.
        """
        pulls, table = t.pulls, t.corrections
        newest = func.max(pulls.c.id)
        jobs = (
            select(pulls.c.server, pulls.c.run_id, pulls.c.job_id)
            .where(pulls.c.run_id.in_(list(run_ids)))
            .group_by(pulls.c.server, pulls.c.run_id, pulls.c.job_id)
            .having(newest > after)
        )
        if until is not None:
            jobs = jobs.having(newest <= until)
        found = jobs.subquery()
        same = and_(
            found.c.server == table.c.server,
            found.c.run_id == table.c.run_id,
            found.c.job_id == table.c.job_id,
        )
        query = (
            select(table)
            .join(found, same)
            .order_by(table.c.task_id, table.c.job_id, table.c.frame, table.c.id)
        )
        with self._begin() as connection:
            rows = connection.execute(query).mappings()
            return [CorrectionRow(**{name: row[name] for name in _NAMES}) for row in rows]

"""Jobs that nobody has completed, and the pictures that would be trained on because of them."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable
from pathlib import Path

from agir_cvtoolkit.errors import LedgerError
from agir_cvtoolkit.ledger import Ledger

from ._pulled import PulledTask

_log = logging.getLogger(__name__)


def is_unfinished(state: str, stage: str) -> bool:
    """Whether nobody has said of a job that its annotation is done, or a reviewer has rejected it.

    In validation and acceptance a job is new again although its annotation was completed.
    """
    return state == "rejected" or (state != "completed" and stage == "annotation")


def unfinished_pictures(
    url: str | None, out_root: Path, run_id: str, tasks: Iterable[PulledTask], pictures: Collection[Path]
) -> int:
    """Count the pictures whose job was not completed when it was read, as the ledger knows.

    Args:
        url: of the ledger; None for the file in `out_root`.
        out_root: folder of the runs.
        run_id: that the tasks were pulled into.
        tasks: as pulled.
        pictures: masks of the pictures that are asked for.
    """
    count = 0
    try:
        with Ledger.open_to_read(url, out_root) as ledger:
            for task in tasks:
                pulls = ledger.last_pulls(task.url.rpartition("/tasks/")[0], run_id)
                jobs = {job_id for job_id, pull in pulls.items() if is_unfinished(pull.state, pull.stage)}
                own = (frame for frame in task.frames if frame.job_id in jobs and frame.mask is not None)
                count += sum(1 for frame in own if task.folder / (frame.mask or "") in pictures)
    except LedgerError as error:
        _log.warning("whether the jobs were completed is not known: %s", error)
    return count

"""Shapes that came into a job twice, because a request that was thought lost arrived after it was repeated."""

from __future__ import annotations

from collections import Counter

from .failures import UNCERTAIN
from .job_content import ContentReader, Key
from .job_stream import job_items
from .labels import LabelSet
from .replacing import HeldShape, delete_by_id
from .session import CvatSession


def remove_doubled(session: CvatSession, job_id: int, labels: LabelSet, doubled: Counter[Key]) -> None:
    """Take the newest copies of doubled shapes out of a job.

    Args:
        session: where the job is.
        job_id: of the job.
        labels: of its task or project.
        doubled: how many copies of each (frame, geometry hash) are too many.

    Raises:
        RemoteError: of its kinds.
    """
    copies = _newest_copies(session, job_id, labels, doubled)
    attempt = 0
    while copies:
        attempt += 1
        try:
            # An id that is gone already is no error to the server, so this may be repeated.
            delete_by_id(session, job_id, copies, labels)
        except UNCERTAIN:
            if attempt >= session.policy.attempts:
                raise
            session.clock.sleep(session.policy.wait(attempt))
        else:
            return


def _newest_copies(
    session: CvatSession, job_id: int, labels: LabelSet, doubled: Counter[Key]
) -> list[HeldShape]:
    found: list[tuple[int, Key]] = []
    for name, item in job_items(session, job_id):
        if name != "shapes" or not isinstance(item.get("id"), int):
            continue
        content = ContentReader(labels)
        content.add(name, item)
        keys = content.annotations(job_id).keys()
        found += [(item["id"], key) for key in keys if key in doubled]
    left = doubled.copy()
    copies = []
    for number, key in sorted(found, reverse=True):
        if left[key] > 0:
            left[key] -= 1
            copies.append(HeldShape(number, key[0], key[1]))
    return copies

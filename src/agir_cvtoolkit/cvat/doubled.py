"""Shapes that came into a job twice, because a request that was thought lost arrived after it was repeated."""

from __future__ import annotations

from collections import Counter

from .failures import UNCERTAIN
from .job_content import ContentReader, Key
from .job_stream import job_items
from .labels import LabelSet
from .replacing import HeldShape, delete_by_id, signature_of
from .session import CvatSession


def remove_doubled(session: CvatSession, job_id: int, labels: LabelSet, doubled: Counter[Key]) -> None:
    """Take the newest copies of doubled shapes out of a job, those that are the same in every respect.

    A shape in the same place that differs in a flag, an attribute or its source is somebody's work and stays.

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
    found: list[tuple[int, Key, str]] = []
    for name, item in job_items(session, job_id):
        signature = signature_of(item, labels) if name == "shapes" else None
        if signature is None or not isinstance(item.get("id"), int):
            continue
        content = ContentReader(labels)
        content.add(name, item)
        keys = content.annotations(job_id).keys()
        found += [(item["id"], key, signature) for key in keys if key in doubled]
    left = doubled.copy()
    same = Counter(signature for _, _, signature in found)
    copies = []
    for number, key, signature in sorted(found, reverse=True):
        if left[key] > 0 and same[signature] > 1:
            left[key] -= 1
            same[signature] -= 1
            copies.append(HeldShape(number, key[0], signature))
    return copies

"""One change to the annotations of a job."""

from __future__ import annotations

import os
from pathlib import Path

from .failures import is_page
from .session import CvatSession, parsed


def patch_job(session: CvatSession, job_id: int, action: str, body: bytes, subject: str) -> None:
    """Create or delete annotations in one request; it is not repeated by itself after a lost answer.

    Args:
        session: where the job is.
        job_id: of the job.
        action: ``create`` or ``delete``.
        body: the server's JSON: ``{"version":0,"tags":[...],"tracks":[...],"shapes":[...]}``.
        subject: what is done, for messages.

    Raises:
        RemoteError: of its kinds; after those of `failures.UNCERTAIN` nobody knows whether it was done.
    """
    response = session.request(
        "PATCH",
        f"/api/jobs/{job_id}/annotations/",
        subject,
        body=body,
        content_type="application/json",
        headers={"Accept-Encoding": session.packing},
        params={"action": action},
        timeout=300.0,
        # The answer repeats what was asked, done or not: what the job holds is read afterwards.
        to_file=Path(os.devnull),
    )
    if is_page(response):
        parsed(response, subject)

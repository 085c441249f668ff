"""One change to the annotations of a job."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from agir_cvtoolkit.json_stream import texts_of

from .failures import is_page
from .json_numbers import item_from
from .session import CvatSession, parsed
from .transport import PIECE_BYTES

CREATE = "create"
DELETE = "delete"
UPDATE = "update"


def patch_job(session: CvatSession, job_id: int, action: str, body: bytes, subject: str) -> None:
    """Create, change or delete annotations in one request; it is not repeated by itself after a lost answer.

    Args:
        session: where the job is.
        job_id: of the job.
        action: `CREATE`, `UPDATE` or `DELETE`.
        body: the server's JSON: ``{"version":0,"tags":[...],"tracks":[...],"shapes":[...]}``.
        subject: what is done, for messages.

    Raises:
        RemoteError: of its kinds; after those of `failures.UNCERTAIN` nobody knows whether it was done.
    """
    _send(session, job_id, action, body, subject, Path(os.devnull))


def create_in_job(session: CvatSession, job_id: int, body: bytes, subject: str) -> int:
    """Create annotations as `patch_job` does, and count those that the server has given an id.

    It gives ids when it stores; an answer that cannot be read counts as none.
    """
    with tempfile.TemporaryDirectory(prefix="agir-") as folder:
        path = Path(folder) / "answer.json"
        _send(session, job_id, CREATE, body, subject, path)
        try:
            return sum(_ids(path))
        except (OSError, ValueError):
            return 0


def _send(session: CvatSession, job_id: int, action: str, body: bytes, subject: str, answer: Path) -> None:
    response = session.request(
        "PATCH",
        f"/api/jobs/{job_id}/annotations/",
        subject,
        body=body,
        content_type="application/json",
        headers={"Accept-Encoding": session.packing},
        params={"action": action},
        timeout=300.0,
        to_file=answer,
    )
    if is_page(response):
        parsed(response, subject)


def _ids(path: Path) -> Iterator[bool]:
    with path.open("rb") as stream:
        for _, text in texts_of(iter(lambda: stream.read(PIECE_BYTES), b"")):
            number = item_from(text).get("id")
            yield isinstance(number, int) and not isinstance(number, bool)

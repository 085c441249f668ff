"""The annotations of a job as they come from the server, one after the other."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from agir_cvtoolkit.errors import ServerFaultError
from agir_cvtoolkit.json_stream import texts_of

from .failures import is_page
from .json_numbers import item_from
from .session import CvatSession, parsed
from .transport import PIECE_BYTES, Response


def job_items(session: CvatSession, job_id: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every annotation of a job with the name of its list: ``tags``, ``shapes``, ``tracks``.

    Frames come in any order. The answer waits in a temporary file, so that memory is that of one item; the
    points of a mask are an int64 array where all are whole.

    Raises:
        NotFoundError: there is no such job.
        ServerFaultError: the answer cannot be understood.
    """
    with tempfile.TemporaryDirectory(prefix="agir-") as folder:
        path = Path(folder) / "annotations.json"
        download_job(session, job_id, path)
        yield from items_of_file(path, job_id)


def download_job(session: CvatSession, job_id: int, path: Path) -> None:
    """Write the annotations of a job to a file, byte by byte as the server says them.

    Raises:
        NotFoundError: there is no such job.
        ServerFaultError: what came is a web page.
    """
    subject = _subject(job_id)
    headers = {"Accept-Encoding": session.packing}
    response = session.request(
        "GET", f"/api/jobs/{job_id}/annotations/", subject, headers=headers, to_file=path
    )
    with path.open("rb") as stream:
        start = Response(response.status, response.headers, stream.read(2000))
    if is_page(start):
        parsed(start, subject)


def items_of_file(path: Path, job_id: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the annotations in a file that `download_job` wrote; see `job_items`.

    Raises:
        ServerFaultError: they cannot be understood.
    """
    with path.open("rb") as stream:
        try:
            for name, text in texts_of(iter(lambda: stream.read(PIECE_BYTES), b"")):
                yield name, item_from(text)
        except ValueError as error:
            raise ServerFaultError(
                f"The server's answer cannot be read, could not {_subject(job_id)}: {error}",
                "Run the same command again.",
            ) from error


def _subject(job_id: int) -> str:
    return f"read the annotations of job {job_id}"

"""The annotations of a job as they come from the server, one after the other."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from itertools import chain
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
    subject = f"read the annotations of job {job_id}"
    with tempfile.TemporaryDirectory(prefix="agir-") as folder:
        path = Path(folder) / "annotations.json"
        headers = {"Accept-Encoding": session.packing}
        response = session.request(
            "GET", f"/api/jobs/{job_id}/annotations/", subject, headers=headers, to_file=path
        )
        with path.open("rb") as stream:
            head = stream.read(PIECE_BYTES)
            try:
                for name, text in texts_of(chain([head], iter(lambda: stream.read(PIECE_BYTES), b""))):
                    yield name, item_from(text)
            except ValueError as error:
                start = Response(response.status, response.headers, head[:2000])
                if is_page(start):
                    parsed(start, subject)
                raise ServerFaultError(
                    f"The server's answer cannot be read, could not {subject}: {error}",
                    "Run the same command again.",
                    status=response.status,
                ) from error

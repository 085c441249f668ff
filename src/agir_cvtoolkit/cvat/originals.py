"""Pictures as they were uploaded, byte for byte."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from agir_cvtoolkit.errors import RefusedError, RemoteError, ServerFaultError
from agir_cvtoolkit.pictures import sha256_of
from agir_cvtoolkit.progress import Progress, Silent
from agir_cvtoolkit.runs import atomic_path

from .session import CvatSession


@dataclass(frozen=True)
class OriginalWanted:
    """A picture to be fetched.

    Attributes:
        frame: its number in the task.
        path: where it is put.
        sha256: that it must have; None where nobody knows.
        job_id: of an annotation job that it is in; through it an account that may not see the task is served.
    """

    frame: int
    path: Path
    sha256: str | None = None
    job_id: int | None = None


def download_original(
    session: CvatSession,
    task_id: int,
    frame: int,
    path: Path,
    sha256: str | None = None,
    job_id: int | None = None,
) -> Path:
    """Fetch one frame's original and put it at `path`; the file appears whole and right, or not at all.

    Byte-identical to the upload, unless the picture was one that EXIF turns: that one the server stores anew.
    It is asked for through the task: through a ground-truth job the server encodes it anew.

    Args:
        session: where the task is.
        task_id: of the task.
        frame: its number in the task.
        path: where it is put.
        sha256: that it must have; None where nobody knows.
        job_id: of an annotation job that it is in; asked instead of the task.

    Raises:
        NotFoundError: there is no such task.
        ServerFaultError: what came is no picture, or not the one that was pushed.
    """
    subject = f"download the original of frame {frame} of task {task_id}"
    params = {"type": "frame", "number": frame, "quality": "original"}
    with atomic_path(path) as part:
        response = session.request(
            "GET",
            f"/api/tasks/{task_id}/data/" if job_id is None else f"/api/jobs/{job_id}/data",
            subject,
            params=params,
            to_file=part,
            timeout=300.0,
            headers={"Accept": "*/*"},
        )
        kind = response.headers.get("content-type", "")
        if not part.is_file() or part.stat().st_size == 0 or "html" in kind or "json" in kind:
            raise ServerFaultError(
                f"The server sent no picture, could not {subject}", "Open the task in CVAT."
            )
        if sha256 is not None and sha256_of(part) != sha256:
            raise ServerFaultError(
                f"Frame {frame} of task {task_id} is not the picture that was pushed: its content differs",
                "Was the picture replaced on the server or in its storage? Push it again in a new task.",
            )
    return path


def download_originals(
    session: CvatSession,
    task_id: int,
    wanted: Iterable[OriginalWanted],
    *,
    in_flight: int = 4,
    progress: Progress | None = None,
) -> dict[int, RemoteError]:
    """Fetch several originals at once, skipping files that are there already and right.

    Returns:
        The frames that failed, each with its reason; the others are at their paths.
    """
    open_ones = [original for original in wanted if not _is_there(original)]
    failed: dict[int, RemoteError] = {}
    if not open_ones:
        return failed
    with (progress or Silent()).bar("Downloading pictures", len(open_ones)) as bar:

        def fetch(original: OriginalWanted) -> None:
            try:
                _fetch(session, task_id, original)
            except RemoteError as error:
                failed[original.frame] = error
            bar.advance()

        with ThreadPoolExecutor(max(1, in_flight), "cvat-download") as pool:
            futures = [pool.submit(fetch, original) for original in open_ones]
            try:
                for future in futures:
                    future.result()
            except BaseException as error:
                if isinstance(error, KeyboardInterrupt):
                    session.stop()
                pool.shutdown(wait=True, cancel_futures=True)
                raise
    return failed


def _fetch(session: CvatSession, task_id: int, original: OriginalWanted) -> None:
    try:
        download_original(session, task_id, original.frame, original.path, original.sha256)
    except RefusedError as error:
        if error.status != 403 or original.job_id is None:
            raise
        download_original(session, task_id, original.frame, original.path, original.sha256, original.job_id)


def _is_there(original: OriginalWanted) -> bool:
    if not original.path.is_file():
        return False
    return original.sha256 is None or sha256_of(original.path) == original.sha256

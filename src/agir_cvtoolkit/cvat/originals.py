"""Pictures as they were uploaded, byte for byte."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from agir_cvtoolkit.errors import RemoteError, ServerFaultError
from agir_cvtoolkit.progress import Progress, Silent

from .session import CvatSession


def download_original(session: CvatSession, task_id: int, frame: int, path: Path) -> Path:
    """Fetch one frame's original and put it at `path`; the file appears whole or not at all.

    Byte-identical to the upload, unless the picture was one that EXIF turns: that one the server stores anew.

    Raises:
        NotFoundError: there is no such task.
        ServerFaultError: what came is no picture.
    """
    subject = f"download the original of frame {frame} of task {task_id}"
    params = {"type": "frame", "number": frame, "quality": "original"}
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        response = session.request(
            "GET",
            f"/api/tasks/{task_id}/data/",
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
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return path


def download_originals(
    session: CvatSession,
    task_id: int,
    wanted: Iterable[tuple[int, Path]],
    *,
    in_flight: int = 4,
    progress: Progress | None = None,
) -> dict[int, RemoteError]:
    """Fetch several originals at once, skipping files that are there already.

    Returns:
        The frames that failed, each with its reason; the others are at their paths.
    """
    open_ones = [(frame, path) for frame, path in wanted if not path.is_file()]
    failed: dict[int, RemoteError] = {}
    with (progress or Silent()).bar("Downloading pictures", len(open_ones)) as bar:

        def fetch(frame: int, path: Path) -> None:
            try:
                download_original(session, task_id, frame, path)
            except RemoteError as error:
                failed[frame] = error
            bar.advance()

        with ThreadPoolExecutor(max(1, in_flight), "cvat-download") as pool:
            futures = [pool.submit(fetch, frame, path) for frame, path in open_ones]
            try:
                for future in futures:
                    future.result()
            except BaseException:
                pool.shutdown(wait=True, cancel_futures=True)
                raise
    return failed

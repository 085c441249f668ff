"""Pictures on their way into a task: in bounded groups, several in flight, streamed from disk."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any
from urllib.parse import quote

from agir_cvtoolkit.errors import NotFoundError, PictureError
from agir_cvtoolkit.progress import Bar

from .background import Outcome, wait_for_request, wait_until
from .failures import UNCERTAIN
from .multipart import FilePart, MultipartBody
from .session import CvatSession, parsed, to_json
from .tasks import get_task

LARGEST_FILE = 1000 * 1024 * 1024
"""A request above 1 GiB is turned away by the server's own proxy."""


@dataclass(frozen=True)
class PictureToSend:
    """A picture file.

    Attributes:
        name: of the frame; unique in the task, without folders.
        width, height: of the upright picture in pixels, compared with the server's; 0 if not known.
    """

    name: str
    path: Path
    width: int = 0
    height: int = 0


@dataclass(frozen=True)
class UploadOptions:
    """How pictures are sent and kept.

    Attributes:
        image_quality: of what annotators see, in percent; originals are kept whatever it is.
        chunk_size: pictures that a browser loads at once; None for the server's choice. Small ones make the
            task ready sooner.
        use_cache: prepare what annotators see on demand.
        group_bytes, group_files: largest group of one request, in bytes and in files.
        in_flight: groups under way at once.
        deadline_s: longest time that the server may take to prepare the task.
    """

    image_quality: int = 95
    chunk_size: int | None = None
    use_cache: bool = True
    group_bytes: int = 32 * 1024 * 1024
    group_files: int = 50
    in_flight: int = 4
    deadline_s: float = 3600.0


class GroupLost(Exception):  # noqa: N818 - not an error yet: the task is made anew
    """Nobody knows which files of a group arrived; sending them again would be answered with 500.

    Attributes:
        cause: what happened to the request.
    """

    def __init__(self, cause: Exception) -> None:
        super().__init__(str(cause))
        self.cause = cause


def check_pictures(pictures: Sequence[PictureToSend]) -> None:
    """Check names and files before anything is made on the server.

    Raises:
        PictureError: two have one name, a name has a folder in it, a file is missing, empty or too large.
    """
    doubled = [name for name, count in Counter(picture.name for picture in pictures).items() if count > 1]
    if doubled:
        raise PictureError(
            f"Several pictures have the name '{doubled[0]}'", "Names must be unique in a task."
        )
    for picture in pictures:
        if not picture.name or "/" in picture.name or "\\" in picture.name:
            raise PictureError(f"'{picture.name}' cannot be the name of a frame", "Names have no folders.")
        try:
            size = picture.path.stat().st_size
        except OSError as error:
            raise PictureError(
                f"picture {picture.path} cannot be read: {error.strerror}", "Run the stage again."
            ) from error
        if not 0 < size <= LARGEST_FILE:
            raise PictureError(
                f"picture {picture.path} has {size:,} bytes",
                f"CVAT takes 1 to {LARGEST_FILE:,} in one file; convert it or leave it out.",
            )


def groups_of(pictures: Sequence[PictureToSend], options: UploadOptions) -> list[list[PictureToSend]]:
    """Split pictures into groups below the options' bounds; one that is larger goes alone."""
    groups: list[list[PictureToSend]] = []
    room, size = 0, 0
    for picture in pictures:
        length = picture.path.stat().st_size
        if not groups or room == 0 or size + length > options.group_bytes:
            groups.append([])
            room, size = options.group_files, 0
        groups[-1].append(picture)
        room, size = room - 1, size + length
    return groups


def send_pictures(
    session: CvatSession,
    task_id: int,
    pictures: Sequence[PictureToSend],
    options: UploadOptions,
    bar: Bar,
) -> None:
    """Send all pictures to an empty task and wait until the server has prepared it.

    The frames get the order of `pictures`, whichever group arrives first.

    Raises:
        GroupLost: it cannot be known what arrived.
        RefusedError: the server does not take them; the text is the server's.
        DeadlineError: the server was not ready in time.
        RemoteError: of its kinds.
    """
    path = f"/api/tasks/{task_id}/data/"
    subject = f"upload pictures to task {task_id}"
    _repeat(session, lambda: _start(session, path, subject))
    stop = Event()

    def send(group: list[PictureToSend]) -> None:
        files = [
            FilePart(f"client_files[{i}]", picture.name, picture.path) for i, picture in enumerate(group)
        ]
        body = MultipartBody({"image_quality": str(options.image_quality)}, files, stop)
        try:
            session.request(
                "POST",
                path,
                subject,
                body=body,
                content_type=body.content_type,
                headers={"Upload-Multiple": "true"},
                timeout=600.0,
            )
        except UNCERTAIN as error:
            raise GroupLost(error) from error
        bar.advance(len(group))

    groups = groups_of(pictures, options)
    with ThreadPoolExecutor(max(1, min(options.in_flight, len(groups))), "cvat-upload") as pool:
        futures = [pool.submit(send, group) for group in groups]
        try:
            done, _ = wait(futures, return_when=FIRST_EXCEPTION)
            failed = [error for future in done if (error := future.exception()) is not None]
            if failed:
                raise next((error for error in failed if not isinstance(error, GroupLost)), failed[0])
        except BaseException:
            stop.set()
            pool.shutdown(wait=True, cancel_futures=True)
            raise
    _finish(session, task_id, [picture.name for picture in pictures], options)


def _start(session: CvatSession, path: str, subject: str) -> None:
    session.request("POST", path, subject, headers={"Upload-Start": "true"}, body=b"")


def _finish(session: CvatSession, task_id: int, names: list[str], options: UploadOptions) -> None:
    subject = f"prepare task {task_id}"
    content: dict[str, object] = {
        "image_quality": options.image_quality,
        "sorting_method": "predefined",
        "upload_file_order": names,
        "use_cache": options.use_cache,
    }
    if options.chunk_size is not None:
        content["chunk_size"] = options.chunk_size
    request_id: str | None = None

    def finish() -> None:
        nonlocal request_id
        request_id = _finish_once(session, task_id, subject, content)

    def begun() -> bool:
        nonlocal request_id
        usual = f"action=create&target=task&target_id={task_id}"
        try:
            state: Any = session.get(
                f"/api/requests/{quote(usual, safe='')}", f"ask how far it is to {subject}"
            )
        except NotFoundError:
            return get_task(session, task_id).size > 0
        request_id = str(state.get("id") or usual) if isinstance(state, dict) else usual
        return True

    _repeat(session, finish, begun)
    if request_id is None or wait_for_request(session, request_id, subject, options.deadline_s) == Outcome(
        "vanished"
    ):
        wait_until(session, lambda: get_task(session, task_id).size or None, subject, options.deadline_s)


def _finish_once(session: CvatSession, task_id: int, subject: str, content: dict[str, object]) -> str | None:
    response = session.request(
        "POST",
        f"/api/tasks/{task_id}/data/",
        subject,
        headers={"Upload-Finish": "true"},
        body=to_json(content),
        content_type="application/json",
        timeout=300.0,
    )
    answer = parsed(response, subject) if response.body else None
    found = answer.get("rq_id") if isinstance(answer, dict) else None
    return found if isinstance(found, str) and found else None


def _repeat(session: CvatSession, send: Callable[[], None], done: Callable[[], bool] | None = None) -> None:
    attempt = 0
    while True:
        attempt += 1
        try:
            send()
            return
        except UNCERTAIN:
            if done is not None and done():
                return
            if attempt >= session.policy.attempts:
                raise
            session.clock.sleep(session.policy.wait(attempt))

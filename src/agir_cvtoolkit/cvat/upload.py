"""Pictures on their way into a task: in bounded groups, several in flight, streamed from disk."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from threading import Event

from agir_cvtoolkit.errors import PictureError, RefusedError
from agir_cvtoolkit.progress import Bar

from .failures import UNCERTAIN
from .multipart import FilePart, MultipartBody
from .preparation import prepare, send_until_known
from .session import CvatSession

LARGEST_FILE = 1000 * 1024 * 1024
"""A request above 1 GiB is turned away by the server's own proxy."""

CHUNK_PIXELS = 13_000_000
MOST_IN_CHUNK = 36

_NOTHING = ("No media data found", "Traceback")

REPAIRS = 3
"""How often groups that did not arrive are sent again, beside once for each of them."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PictureToSend:
    """A picture file.

    Attributes:
        name: of the frame; unique in the task. Without folders, unless the server takes it from a place of
            its own: then it is its path there.
        path: the file here.
        width, height: of the upright picture in pixels, compared with the server's; 0 if not known.
        sha256: of the file in hex, compared with the server's where it takes the picture from its own place;
            None if not known.
    """

    name: str
    path: Path
    width: int = 0
    height: int = 0
    sha256: str | None = None


@dataclass(frozen=True)
class UploadOptions:
    """How pictures are sent and kept.

    Attributes:
        image_quality: of what annotators see, in percent; originals are kept whatever it is.
        chunk_size: pictures that a browser loads at once; None for `chunk_size_for` the pictures.
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
    """Nobody knows whether the files of a group arrived; sending them again may be answered with 500.

    Attributes:
        cause: what happened to the request.
        pictures: of the group.
    """

    def __init__(self, cause: Exception, pictures: Sequence[PictureToSend]) -> None:
        super().__init__(str(cause))
        self.cause = cause
        self.pictures = pictures


def check_pictures(pictures: Sequence[PictureToSend], *, sent: bool = True) -> None:
    """Check names and files before anything is made on the server.

    Args:
        pictures: of one task.
        sent: whether they are sent; else only their names matter, which are paths on the server.

    Raises:
        PictureError: two have one name, a name has a folder in it, a file is missing, empty or too large.
    """
    doubled = [name for name, count in Counter(picture.name for picture in pictures).items() if count > 1]
    if doubled:
        raise PictureError(
            f"Several pictures have the name '{doubled[0]}'", "Names must be unique in a task."
        )
    for picture in pictures if sent else ():
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

    The frames get the order of `pictures`, whichever group arrives first. A group of which not all bytes went
    out is sent again: no server has taken it. Where only the answer is lost, the end of the upload is the
    question what has arrived: the list of all names goes with it, and a server that lacks some names them,
    forgets nothing, and may be sent just these. So no picture is ever sent to a server that has it, which would
    answer with 500.

    Raises:
        GroupLost: pictures did not arrive, or nobody knows, and sending them again is not safe.
        RefusedError: the server does not take them; the text is the server's.
        DeadlineError: the server was not ready in time.
        RemoteError: of its kinds.
    """
    path = f"/api/tasks/{task_id}/data/"
    subject = f"upload pictures to task {task_id}"
    send_until_known(session, lambda: _start(session, path, subject))
    unsure = _send_groups(session, path, subject, groups_of(pictures, options), options, bar)
    content: dict[str, object] = {
        **shown_as(pictures, options),
        "sorting_method": "predefined",
        "upload_file_order": [picture.name for picture in pictures],
    }
    repairs = 0
    while True:
        try:
            prepare(session, task_id, content, {"Upload-Finish": "true"}, options.deadline_s)
            return
        except RefusedError as error:
            if unsure and error.status is None and any(word in error.problem for word in _NOTHING):
                # Where not one picture has arrived, the list is not looked at: the server begins, and fails.
                missing = unsure
            elif unsure and error.status == 400:
                missing = [group for group in unsure if _is_named(group.pictures, error.problem)]
            else:
                raise
            repairs += 1
            if not missing or repairs > REPAIRS + len(unsure):
                raise unsure[0] from error
            _log.warning("sending %d groups of pictures again that did not arrive", len(missing))
        _send_groups(session, path, subject, [group.pictures for group in missing], options)


def _is_named(group: Sequence[PictureToSend], said: str) -> bool:
    return any(f"{before} {picture.name} (missing)" in said for picture in group for before in ":,")


def shown_as(pictures: Sequence[PictureToSend], options: UploadOptions) -> dict[str, object]:
    """Return how annotators shall see the pictures, as the server is told."""
    content: dict[str, object] = {"image_quality": options.image_quality, "use_cache": options.use_cache}
    chunk_size = options.chunk_size or chunk_size_for(pictures)
    return content if chunk_size is None else content | {"chunk_size": chunk_size}


def chunk_size_for(pictures: Sequence[PictureToSend]) -> int | None:
    """Return how many pictures a browser should load at once; None where no size is known.

    The server makes the first chunk before a task is ready, which is most of the time that it takes, and
    an annotator sees the first picture when a whole chunk is there. So a chunk is about `CHUNK_PIXELS`.
    """
    largest = max((picture.width * picture.height for picture in pictures), default=0)
    return max(1, min(MOST_IN_CHUNK, CHUNK_PIXELS // largest)) if largest else None


def _send_groups(
    session: CvatSession,
    path: str,
    subject: str,
    groups: Sequence[Sequence[PictureToSend]],
    options: UploadOptions,
    bar: Bar | None = None,
) -> list[GroupLost]:
    """Send groups, several at once, and return those of which only the answer is lost."""
    stop = Event()
    unsure: list[GroupLost] = []

    def send(group: Sequence[PictureToSend]) -> None:
        attempt = 0
        while True:
            attempt += 1
            body = _body_of(group, options, stop)
            try:
                _send_group(session, path, subject, body)
                break
            except UNCERTAIN as error:
                if body.went_out:
                    unsure.append(GroupLost(error, group))
                    if len(unsure) > options.in_flight:
                        raise unsure[-1] from error
                    break
                if stop.is_set() or attempt >= session.policy.attempts:
                    raise
                _log.warning("a group of %d pictures was cut on its way, sending it again", len(group))
                session.clock.sleep(session.policy.wait(attempt))
        if bar is not None:
            bar.advance(len(group))

    with ThreadPoolExecutor(max(1, min(options.in_flight, len(groups))), "cvat-upload") as pool:
        futures = [pool.submit(send, group) for group in groups]
        try:
            done, _ = wait(futures, return_when=FIRST_EXCEPTION)
            failed = [error for future in done if (error := future.exception()) is not None]
            if failed:
                raise next((error for error in failed if not isinstance(error, GroupLost)), failed[0])
        except BaseException as error:
            stop.set()
            if isinstance(error, KeyboardInterrupt):
                session.stop()
            pool.shutdown(wait=True, cancel_futures=True)
            raise
    return unsure


def _body_of(group: Sequence[PictureToSend], options: UploadOptions, stop: Event) -> MultipartBody:
    files = [FilePart(f"client_files[{i}]", picture.name, picture.path) for i, picture in enumerate(group)]
    return MultipartBody({"image_quality": str(options.image_quality)}, files, stop)


def _send_group(session: CvatSession, path: str, subject: str, body: MultipartBody) -> None:
    session.request(
        "POST",
        path,
        subject,
        body=body,
        content_type=body.content_type,
        headers={"Upload-Multiple": "true"},
        timeout=600.0,
    )


def _start(session: CvatSession, path: str, subject: str) -> None:
    session.request("POST", path, subject, headers={"Upload-Start": "true"}, body=b"")

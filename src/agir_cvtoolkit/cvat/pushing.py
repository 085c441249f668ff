"""A task with its pictures: wholly there, or not at all."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from agir_cvtoolkit.errors import AgirError, PictureError
from agir_cvtoolkit.progress import Progress, Silent

from .frames import FrameMap, check_frames, read_frame_map
from .server_files import ServerPlace, check_originals, take_from_server
from .session import CvatSession
from .tasks import TaskRequest, create_task, delete_task
from .upload import GroupLost, PictureToSend, UploadOptions, check_pictures, send_pictures

TRIES = 3
"""How often a task is made anew because a group of pictures was lost on the way."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TaskCreated:
    """A task with all its pictures.

    Attributes:
        url: of its page for people.
        frame_map: which picture is which frame, as read back.
    """

    task_id: int
    url: str
    frame_map: FrameMap


def create_task_with_pictures(
    session: CvatSession,
    request: TaskRequest,
    pictures: Sequence[PictureToSend],
    on_created: Callable[[int], None] = lambda task_id: None,
    progress: Progress | None = None,
    *,
    options: UploadOptions | None = None,
    on_deleted: Callable[[int], None] = lambda task_id: None,
    place: ServerPlace | None = None,
) -> TaskCreated:
    """Make a task with pictures, wait until it is prepared, and check its frames by name and size.

    On any failure, Ctrl-C included, the half-made task is deleted. Where it cannot be known which pictures
    arrived, the task is deleted and made anew, since a server answers a picture sent twice with 500.

    Args:
        session: in the organization of the project.
        request: the task; its name is unique.
        pictures: in the order that the frames get.
        on_created: called with the id before any data are sent; again for a task that is made anew.
        progress: counts pictures.
        options: how they are sent.
        on_deleted: called with the id of a half-made task that was deleted.
        place: where the server finds the pictures by itself; they are then not sent, their names are paths
            there, and of a few the server's original is compared with the file here. Ask
            `check_server_files` before.

    Raises:
        PictureError: a picture cannot be sent; nothing was made.
        FrameMapError: the server's frames are not the pictures that were sent.
        RemoteError: of its kinds; says so if the half-made task could not be deleted.
    """
    if not pictures:
        raise PictureError(f"Task '{request.name}' would have no pictures", "Choose records first.")
    check_pictures(pictures, sent=place is None)
    how = options or UploadOptions()
    for attempt in range(1, TRIES + 1):
        task = create_task(session, request)
        try:
            on_created(task.id)
            with (progress or Silent()).bar("Uploading pictures", len(pictures)) as bar:
                if place is None:
                    send_pictures(session, task.id, pictures, how, bar)
                else:
                    take_from_server(session, task.id, place, pictures, how, bar)
            frames = read_frame_map(session, task.id)
            sizes = {p.name: (p.width, p.height) if p.width and p.height else None for p in pictures}
            check_frames(frames, sizes)
            if place is not None:
                check_originals(session, frames, pictures)
        except GroupLost as lost:
            _remove(session, task.id, lost.cause, on_deleted)
            if attempt == TRIES:
                raise lost.cause from lost
            _log.warning("pictures of task %d were lost on the way, starting anew: %s", task.id, lost.cause)
            session.clock.sleep(session.policy.wait(attempt))
        except BaseException as error:
            _remove(session, task.id, error, on_deleted)
            raise
        else:
            return TaskCreated(task.id, session.task_url(task.id), frames)
    raise AssertionError("the last try returns or raises")


def _remove(
    session: CvatSession, task_id: int, why: BaseException, on_deleted: Callable[[int], None]
) -> None:
    if isinstance(why, KeyboardInterrupt):
        session.stop()
    try:
        delete_task(session, task_id)
    except AgirError as error:
        page = session.task_url(task_id)
        note = f"The half-made task could not be deleted ({error.problem}); the next upload-cvat removes it: {page}"
        if isinstance(why, AgirError):
            why.next_step = f"{why.next_step} {note}".strip()
        else:
            _log.error("%s", note)
            why.add_note(note)
    else:
        on_deleted(task_id)

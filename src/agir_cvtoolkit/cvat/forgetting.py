"""One frame of a task removed, as far as a server removes a frame."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from .frames import read_frame_map
from .job_patch import DELETE, patch_job
from .jobs import find_jobs
from .session import CvatSession
from .tasks import delete_task

_KINDS = ("shapes", "tags")


@dataclass(frozen=True)
class FrameForgotten:
    """What was removed of a frame.

    Attributes:
        with_task: the whole task is gone, as it had no other frame left; so is the picture.
        annotations: shapes and tags that were deleted.
        tracks: that lie on the frame and others too; they stay.
    """

    with_task: bool
    annotations: int = 0
    tracks: int = 0


def forget_frame(session: CvatSession, task_id: int, frame: int) -> FrameForgotten:
    """Delete a frame's shapes and tags, then take the frame out of the task.

    The server keeps the picture of a frame that was taken out; only the deletion of its task removes it. A task that
    shows nothing else is deleted.

    Args:
        session: where the task is.
        task_id: of the task.
        frame: its number in the task.

    Raises:
        NotFoundError: the task is gone.
        RemoteError: of its other kinds.
    """
    frames = read_frame_map(session, task_id)
    others = [e for e in frames.entries if e.frame != frame and e.frame not in frames.deleted_frames]
    if not others:
        delete_task(session, task_id)
        return FrameForgotten(with_task=True)
    deleted = tracks = 0
    for job in find_jobs(session, task_ids=[task_id], required_status=None):
        if frame not in job.frames:
            continue
        subject = f"forget frame {frame} of task {task_id}"
        content: Any = session.get(f"/api/jobs/{job.id}/annotations/", subject)
        content = content if isinstance(content, dict) else {}
        own = {
            kind: [item for item in content.get(kind) or [] if item.get("frame") == frame] for kind in _KINDS
        }
        count = sum(map(len, own.values()))
        if count:
            body = {"version": 0, "tracks": [], **own}
            patch_job(session, job.id, DELETE, json.dumps(body).encode(), subject)
        deleted += count
        tracks += sum(
            any(shape.get("frame") == frame for shape in track.get("shapes") or [])
            for track in content.get("tracks") or []
        )
    wanted = sorted({*frames.deleted_frames, frame})
    session.send_json(
        "PATCH",
        f"/api/tasks/{task_id}/data/meta",
        f"delete frame {frame} of task {task_id}",
        {"deleted_frames": wanted},
    )
    return FrameForgotten(with_task=False, annotations=deleted, tracks=tracks)

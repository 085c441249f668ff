"""What reviewers say of frames: CVAT's issues, with their place on the picture and the comments below them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from agir_cvtoolkit.errors import NotFoundError, RefusedError

from .session import CvatSession
from .whole_numbers import LARGEST_ID, MOST_FRAMES, whole_number

_IDS_AT_ONCE = 100


@dataclass(frozen=True)
class ReviewComment:
    """What somebody said.

    Attributes:
        who: user name; empty where the account is gone.
        at: as the server writes it (ISO 8601, UTC).
    """

    who: str
    at: str
    text: str


@dataclass(frozen=True)
class ReviewIssue:
    """Something that a reviewer has pointed at.

    Attributes:
        frame: number of the frame in the task.
        position: x1, y1, x2, y2, ... in pixels of the picture: mostly two corners of a box.
        comments: oldest first; the first is what the issue is about.
    """

    id: int
    job_id: int
    frame: int
    position: tuple[float, ...]
    resolved: bool
    owner: str
    created: str
    comments: tuple[ReviewComment, ...]


def read_issues(session: CvatSession, task_ids: Sequence[int]) -> dict[int, tuple[ReviewIssue, ...]]:
    """Read what was said of the frames of some tasks; where nothing was said it takes a request for a hundred of them.

    Returns:
        By task, by frame and id; a task of which nothing was said, or which this account may not ask about, is not
        in it.

    Raises:
        RemoteError: of its kinds.
    """
    found = {}
    for task_id in _spoken_of(session, sorted(set(task_ids))):
        try:
            listed = _of_task(session, task_id)
        except (NotFoundError, RefusedError):
            continue
        if listed:
            found[task_id] = tuple(sorted(listed, key=lambda issue: (issue.frame, issue.id)))
    return found


def _spoken_of(session: CvatSession, task_ids: Sequence[int]) -> list[int]:
    """Return the tasks that may have issues: a hundred are asked about at once."""
    found: list[int] = []
    for at in range(0, len(task_ids), _IDS_AT_ONCE):
        part = list(task_ids[at : at + _IDS_AT_ONCE])
        rule = {"in": [{"var": "task_id"}, part]}
        params = {"filter": orjson.dumps(rule).decode(), "page": 1, "page_size": 1}
        try:
            answer = session.get("/api/issues", "look for issues", params)
        except NotFoundError:
            return []
        except RefusedError:
            answer = None  # a server that does not know the filter
        count = answer.get("count") if isinstance(answer, dict) else None
        found += part if count != 0 else []
    return found


def _of_task(session: CvatSession, task_id: int) -> list[ReviewIssue]:
    items = list(session.pages("/api/issues", f"list issues of task {task_id}", {"task_id": task_id}))
    if not items:
        return []
    said: dict[int, list[tuple[int, ReviewComment]]] = {}
    for job_id in dict.fromkeys(item.get("job") for item in items):
        subject = f"list comments of job {job_id}"
        for item in session.pages("/api/comments", subject, {"job_id": job_id}):
            number = whole_number(item, "id", "a comment", most=LARGEST_ID)
            issue = whole_number(item, "issue", f"comment {number}", most=LARGEST_ID)
            comment = ReviewComment(_who(item), str(item.get("created_date") or ""), _text(item))
            said.setdefault(issue, []).append((number, comment))
    return [_issue(item, said) for item in items]


def _issue(item: Any, said: dict[int, list[tuple[int, ReviewComment]]]) -> ReviewIssue:
    number = whole_number(item, "id", "an issue", most=LARGEST_ID)
    of = f"issue {number}"
    position = item.get("position")
    places = position if isinstance(position, list) else []
    comments = sorted(said.get(number, ()), key=lambda pair: pair[0])
    return ReviewIssue(
        number,
        whole_number(item, "job", of, most=LARGEST_ID),
        whole_number(item, "frame", of, most=MOST_FRAMES),
        tuple(float(value) for value in places if isinstance(value, int | float)),
        bool(item.get("resolved")),
        _who(item),
        str(item.get("created_date") or ""),
        tuple(comment for _, comment in comments),
    )


def _who(item: Any) -> str:
    owner = item.get("owner")
    return str(owner.get("username") or "") if isinstance(owner, dict) else ""


def _text(item: Any) -> str:
    return str(item.get("message") or "")

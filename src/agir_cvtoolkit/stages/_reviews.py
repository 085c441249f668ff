"""What reviewers said of frames, kept in the run beside the annotations."""

from __future__ import annotations

import logging
from collections.abc import Collection
from dataclasses import asdict
from pathlib import Path

from agir_cvtoolkit.cvat import CvatSession
from agir_cvtoolkit.cvat.reviews import read_issues
from agir_cvtoolkit.errors import DataError, RemoteError
from agir_cvtoolkit.ledger import Event
from agir_cvtoolkit.runs import Run, list_runs, open_run, read_json_object, write_json

from ._pulled import FRAME_MAP, folders, read_frame_map_file

REVIEWS = "reviews.json"
_log = logging.getLogger(__name__)


def store_reviews(run: Run, session: CvatSession, task_ids: Collection[int]) -> int:
    """Write ``reviews.json`` into the folders of pulled tasks, by number of the frame; count the open issues.

    A task of which nothing was ever said gets none; one whose issues were deleted gets an empty one. Where the server
    fails, what lies there stays, and the pull is none the worse for it: the next one asks again.
    """
    places = {task_id: path for task_id, path in folders(run).items() if task_id in task_ids}
    try:
        found = read_issues(session, sorted(places))
    except RemoteError as error:
        _log.warning("what reviewers have said was not read: %s", error)
        return 0
    for task_id, folder in places.items():
        issues = found.get(task_id, ())
        if not issues and not (folder / REVIEWS).is_file():
            continue
        frames: dict[str, list[dict[str, object]]] = {}
        for issue in issues:
            frames.setdefault(str(issue.frame), []).append(asdict(issue))
        content = {"task_id": task_id, "frames": frames}
        write_json(folder / REVIEWS, content)
    return sum(not issue.resolved for issues in found.values() for issue in issues)


def said_of(out_root: Path, record_id: str) -> tuple[Event, ...]:
    """Return what reviewers said of a record in any run, as events; files that are damaged tell nothing."""
    found: dict[tuple[str, int], Event] = {}
    for run in (open_run(out_root, run_id) for run_id in list_runs(out_root)):
        for path in sorted(run.path("cvat_downloads").glob(f"*/{REVIEWS}")):
            try:
                task = read_frame_map_file(path.parent / FRAME_MAP)
                frames = read_json_object(path).get("frames")
            except DataError:
                continue
            own = {str(frame.frame) for frame in task.frames if frame.record_id == record_id}
            listed = frames.items() if isinstance(frames, dict) else ()
            for issue in (issue for number, issues in listed if number in own for issue in issues):
                found[task.url, int(issue["id"])] = _event(run.run_id, record_id, task.task_id, issue)
    return tuple(found.values())


def _event(run_id: str, record_id: str, task_id: int, issue: dict[str, object]) -> Event:
    comments = issue.get("comments")
    said = (
        " / ".join(f"{one['who']}: {one['text']}" for one in comments) if isinstance(comments, list) else ""
    )
    detail = {
        "task": task_id,
        "job": issue.get("job_id"),
        "state": "resolved" if issue.get("resolved") else "open",
        "said": said,
    }
    return Event(str(issue.get("created") or ""), "review", run_id, record_id, detail)

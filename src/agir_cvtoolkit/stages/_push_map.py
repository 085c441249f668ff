"""The frame map of a growing data set: every record of a push, over all its tasks, in one file of the run."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from pathlib import Path

from agir_cvtoolkit.records import file_stem
from agir_cvtoolkit.runs import Run, write_bytes

from ._push_words import Push, job_page

FOLDER = "cvat_uploads"


def write_frame_map(run: Run, push: Push) -> None:
    """Write ``cvat_uploads/<name of the push>/frame_map.jsonl`` where it differs from what is there.

    One line for each record: ``record_id``, ``task_id``, ``frame`` (its number in the task), ``file_name``,
    ``sha256`` of the picture, ``url`` of its page, and ``alias_of``: the record that brought the picture
    there, null for that record itself.
    """
    content = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in _lines(push))
    path = _path(run, push.name)
    encoded = content.encode("utf-8", "surrogatepass")
    if not path.is_file() or path.read_bytes() != encoded:
        write_bytes(path, encoded)


def has_frame_map(run: Run, name: str) -> bool:
    """Whether a run has a frame map of the push of this name."""
    return _path(run, name).is_file()


def keep_frames(run: Run, name: str, task_ids: Collection[int | None]) -> None:
    """Take the frames of all other tasks out of a push's frame map, where the run has one."""
    path = _path(run, name)
    if not path.is_file():
        return
    lines = path.read_bytes().splitlines(keepends=True)
    kept = [
        line for line in lines if json.loads(line.decode("utf-8", "surrogatepass"))["task_id"] in task_ids
    ]
    if len(kept) < len(lines):
        write_bytes(path, b"".join(kept))


def _path(run: Run, name: str) -> Path:
    return run.path(FOLDER, file_stem(name), "frame_map.jsonl")


def _lines(push: Push) -> Iterator[dict[str, object]]:
    ledger, session = push.ledger, push.session
    tasks = {t.ordinal: t for t in ledger.tasks_of_push(push.push_id) if t.state == "done"}
    jobs = [job for job in ledger.jobs_of_push(push.push_id) if job.ordinal in tasks]
    job_of = {(job.ordinal, frame): job.job_id for job in jobs for frame in job.frames}
    known: dict[tuple[int, int], tuple[str, dict[str, object]]] = {}
    for frame in ledger.frames_of_push(push.push_id):
        task_id = tasks[frame.ordinal].task_id if frame.ordinal in tasks else None
        if task_id is None:
            continue
        place = (frame.ordinal, frame.frame)
        job_id = job_of.get(place)
        url = session.task_url(task_id)
        line: dict[str, object] = {
            "task_id": task_id,
            "frame": frame.frame,
            "file_name": frame.file_name,
            "sha256": frame.sha256,
            "url": url if job_id is None else job_page(session, task_id, job_id, frame.frame),
        }
        known[place] = (frame.record_id, line)
        yield {"record_id": frame.record_id, **line, "alias_of": None}
    for alias in ledger.aliases_of_push(push.push_id):
        if (alias.ordinal, alias.frame) in known:
            owner, line = known[alias.ordinal, alias.frame]
            yield {"record_id": alias.record_id, **line, "alias_of": owner}

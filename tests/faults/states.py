"""What is there in the end: on the server, in the ledger and in the run's folder, free of what chance decides.

Ids of tasks, jobs, labels and shapes are given by the server and differ when a task was made anew; in their
place stand names. In the place of times stands that there is one. Nothing is left out but the content of logs.
"""

from __future__ import annotations

import hashlib
import json
import re
import sqlite3
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tests.sandbox.plain import Plain

Json = Any

_FINGERPRINT = re.compile(r"[0-9a-f]{16}$")
_TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d")
_TASK_KEYS = {"task_id", "task"}
_JOB_KEYS = {"job_id", "job"}
_IN_TEXT = re.compile(r"(?P<what>tasks/|jobs/|target_id=|cvat_downloads/|\btask |\bjob )(?P<id>\d+)")
_LIFE = {"pushed", "pulled"}


class Names:
    """Names for the ids that the server gave."""

    def __init__(self, tasks: Mapping[int, str], jobs: Mapping[int, str]) -> None:
        self._tasks = tasks
        self._jobs = jobs

    def task(self, key: int) -> str:
        return self._tasks.get(key, "a task that is gone")

    def job(self, key: int) -> str:
        return self._jobs.get(key, "a job that is gone")

    def plain(self, value: Json, key: str = "") -> Json:
        """Return a JSON-like value with names for ids and without times."""
        if isinstance(value, Mapping):
            return {k: self.plain(v, k) for k, v in value.items()}
        if isinstance(value, list | tuple):
            return [self.plain(item, key) for item in value]
        if isinstance(value, int) and not isinstance(value, bool):
            return self.task(value) if key in _TASK_KEYS else self.job(value) if key in _JOB_KEYS else value
        if isinstance(value, str):
            if key == "state" and _FINGERPRINT.match(value):
                return "of its time"  # of the figures of corrections: made of dates of files
            return "a time" if _TIME.match(value) else _IN_TEXT.sub(self._in_text, value)
        return value

    def _in_text(self, found: re.Match[str]) -> str:
        key = int(found["id"])
        named = self.job(key) if found["what"].startswith("job") else self.task(key)
        return f"{found['what']}<{named}>"


def server_state(plain: Plain) -> tuple[Json, Names]:
    """Return everything on the server, and the names of its tasks and jobs."""
    assert plain.log_in().status == 200
    tasks = sorted(_listed(plain, "tasks"), key=lambda task: (str(task["name"]), int(task["id"])))
    names: dict[int, str] = {}
    jobs: dict[int, str] = {}
    state = []
    for task in tasks:
        names[task["id"]] = task["name"]
        own = sorted(
            _listed(plain, "jobs", f"task_id={task['id']}"), key=lambda j: (j["start_frame"], j["id"])
        )
        jobs |= {job["id"]: f"{task['name']} from {job['start_frame']}" for job in own}
        state.append(_task_state(plain, task, own))
    projects = [(item["name"], item["id"]) for item in _listed(plain, "projects")]
    return {"projects": sorted(projects), "tasks": state}, Names(names, jobs)


def _task_state(plain: Plain, task: Json, jobs: list[Json]) -> Json:
    key = task["id"]
    labels = _listed(plain, "labels", f"task_id={key}")
    named = {
        item["id"]: item["name"] for label in labels for item in (label, *(label.get("sublabels") or ()))
    }
    specs = {spec["id"]: spec["name"] for label in labels for spec in label.get("attributes") or ()}
    meta = plain("GET", f"/api/tasks/{key}/data/meta")
    frames = meta.json["frames"] if meta.status == 200 else f"none ({meta.status})"
    found = plain("GET", f"/api/tasks/{key}/annotations/")
    content = found.json if found.status == 200 else {}
    pictures = []
    for number in range(len(frames) if isinstance(frames, list) else 0):
        query = f"type=frame&number={number}&quality=original"
        pictures.append(_hash(plain("GET", f"/api/tasks/{key}/data/?{query}").data))
    return {
        "name": task["name"],
        "project": task.get("project_id"),
        "labels": sorted(label["name"] for label in labels),
        "frames": [(f["name"], f["width"], f["height"]) for f in frames]
        if isinstance(frames, list)
        else frames,
        "deleted frames": meta.json.get("deleted_frames") if meta.status == 200 else None,
        "pictures": pictures,
        "jobs": [(j["start_frame"], j["stop_frame"], j["state"], j["stage"], j.get("type")) for j in jobs],
        "annotations": {
            kind: sorted((_without_ids(item, named, specs) for item in content.get(kind, ())), key=json.dumps)
            for kind in ("shapes", "tags", "tracks")
        },
    }


def _without_ids(item: Json, labels: Mapping[int, str], specs: Mapping[int, str]) -> Json:
    if isinstance(item, list):
        return [_without_ids(one, labels, specs) for one in item]
    if not isinstance(item, dict):
        return item
    kept = {k: _without_ids(v, labels, specs) for k, v in item.items() if k not in {"id", "clientID"}}
    if "label_id" in kept:
        kept["label_id"] = labels.get(kept["label_id"], "a label that is gone")
    if "spec_id" in kept:
        kept["spec_id"] = specs.get(kept["spec_id"], "an attribute that is gone")
    return kept


def _listed(plain: Plain, kind: str, query: str = "") -> list[Json]:
    got = plain("GET", f"/api/{kind}?page_size=1000&{query}")
    assert got.status == 200, got.data
    return list(got.json["results"])


def ledger_state(path: Path, names: Names) -> Json:
    """Return all rows of all tables; of the events those that a record's life is told by, each as often as it is."""
    if not path.exists():
        return None
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as database:
        database.row_factory = sqlite3.Row
        tables = [
            row[0]
            for row in database.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY 1")
        ]
        state = {}
        for table in tables:
            rows = [dict(row) for row in database.execute(f'SELECT * FROM "{table}"')]
            if table == "events":
                rows = [row for row in rows if row["kind"] in _LIFE]
            plain = [_ledger_row(row, names) for row in rows]
            if table == "events":  # a job that is read again after an interruption is told twice, and was
                plain = [
                    row for n, row in enumerate(plain) if row["kind"] != "pulled" or row not in plain[:n]
                ]
            state[table] = sorted(plain, key=json.dumps)
    database.close()
    return state


def _ledger_row(row: dict[str, Any], names: Names) -> Json:
    for key, value in row.items():
        if isinstance(value, bytes):
            row[key] = _hash(value)
        elif isinstance(value, str) and value[:1] in {"{", "["}:
            try:
                row[key] = json.loads(value)
            except ValueError:
                continue
    row.pop("id", None)
    return names.plain(row)


def run_state(root: Path, names: Names) -> Json:
    """Return every file of a run: pictures by their bytes, JSON by its content, logs by being there."""
    return {str(names.plain(name)): content for name, content in sorted(_files(root, names))}


def _files(root: Path, names: Names) -> Iterator[tuple[str, Json]]:
    for path in root.rglob("*"):
        if not path.is_file():
            continue
        name = str(path.relative_to(root))
        if path.suffix in {".log", ".lock"} or path.parent.name == "logs" or name.startswith("cfg."):
            yield name, "there"
        elif path.suffix == ".json":
            yield name, names.plain(json.loads(path.read_text(encoding="utf-8")))
        elif path.suffix == ".jsonl":
            lines = path.read_text(encoding="utf-8").splitlines()
            yield name, [names.plain(json.loads(line)) for line in lines]
        else:
            yield name, _hash(path.read_bytes())


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def without_passes(state: Json) -> Json:
    """Return a state without the numbers of passes and the metrics of earlier ones."""
    if isinstance(state, dict):
        left_out = {"pass", "number", "history"}
        return {key: without_passes(value) for key, value in state.items() if key not in left_out}
    return [without_passes(item) for item in state] if isinstance(state, list) else state


def differences(expected: Json, found: Json, where: str = "") -> list[str]:
    """Return in words where two states differ."""
    if isinstance(expected, dict) and isinstance(found, dict):
        told = []
        for key in sorted(expected.keys() | found.keys(), key=str):
            place = f"{where}/{key}"
            if key not in found:
                told.append(f"{place} is missing")
            elif key not in expected:
                told.append(f"{place} is too many: {_short(found[key])}")
            else:
                told += differences(expected[key], found[key], place)
        return told
    both_lists = isinstance(expected, list | tuple) and isinstance(found, list | tuple)
    if both_lists and len(expected) == len(found):
        return [
            text
            for n, pair in enumerate(zip(expected, found, strict=True))
            for text in differences(*pair, f"{where}/{n}")
        ]
    if both_lists:
        return [f"{where} has {len(found)} for {len(expected)}: {_short(found)} for {_short(expected)}"]
    return [] if expected == found else [f"{where} is {_short(found)} for {_short(expected)}"]


def _short(value: Json) -> str:
    text = json.dumps(value, default=str)
    return text if len(text) < 300 else f"{text[:300]}..."

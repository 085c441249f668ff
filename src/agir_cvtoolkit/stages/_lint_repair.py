"""Repairs of what lint has found: after a backup, into jobs that nobody has saved meanwhile, and looked at afterwards."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from agir_cvtoolkit.cvat import CvatSession, JobInfo
from agir_cvtoolkit.cvat.failures import UNCERTAIN
from agir_cvtoolkit.cvat.job_stream import download_job
from agir_cvtoolkit.cvat.mending import (
    Item,
    ItemKey,
    delete_items,
    items_by_key,
    mended,
    signature,
    signatures_of_file,
    update_items,
)
from agir_cvtoolkit.cvat.replacing import read_one_job
from agir_cvtoolkit.quality.lint_finding import Finding, Repair
from agir_cvtoolkit.runs import atomic_path

SAVED = "somebody saved the job meanwhile"
_VERSION = 1


@dataclass(frozen=True)
class Repaired:
    """What became of the repairs of one job.

    Attributes:
        left: why a shape was not repaired, by its list and id; the others were.
        backup: the file that puts them back.
        note: what else there is to say of the job.
    """

    left: Mapping[ItemKey, str] = field(default_factory=dict)
    backup: Path | None = None
    note: str = ""


def key_of(finding: Finding) -> ItemKey | None:
    """Return which annotation a finding is about; None where it is none that can be repaired."""
    if finding.repair is None or finding.shape_id is None:
        return None
    return ("tags" if finding.kind == "tag" else "shapes", finding.shape_id)


def repair_job(
    session: CvatSession, job: JobInfo, content: Path, findings: Sequence[Finding], folder: Path
) -> Repaired:
    """Repair annotations of a job.

    The job is read again just before it is written to; where its date, state or stage is another than before its
    annotations were read, nothing is written. What is left of the race is one request long: who saves within it is
    told of afterwards.

    Args:
        session: where the job is.
        job: as it was just before `content` was read.
        content: the annotations, as `download_job` wrote them; copied into the backup.
        findings: with the repairs.
        folder: of the backup.

    Raises:
        RemoteError: of its kinds, before anything was written.
    """
    repairs = _merged(findings)
    before = items_by_key(content, job.id, frozenset(repairs))
    after = {key: _mended(before[key], repair) for key, repair in repairs.items() if key in before}
    hashes = signatures_of_file(content, job.id)
    backup = _back_up(session, job, content, before, after, folder)
    now = read_one_job(session, job.id)
    if (now.updated_date, now.state, now.stage) != (job.updated_date, job.state, job.stage):
        return Repaired(dict.fromkeys(repairs, SAVED), backup)
    try:
        update_items(session, job.id, {key: item for key, item in after.items() if item is not None})
        delete_items(session, job.id, {key: before[key] for key, item in after.items() if item is None})
    except UNCERTAIN:
        pass  # what the server has now says how far it came
    there = _now(session, job.id)
    left = {key: "the server did not take it" for key, item in after.items() if there.get(key) != _hash(item)}
    others = any(there.get(key) != value for key, value in hashes.items() if key not in after)
    return Repaired(left, backup, SAVED if others or there.keys() - hashes.keys() else "")


def _mended(item: Item, repair: Repair) -> Item | None:
    if repair.drop:
        return None
    return mended(
        item,
        points=repair.points,
        element_points=repair.element_points,
        absent=repair.absent,
        values=repair.values,
    )


def _merged(findings: Sequence[Finding]) -> dict[ItemKey, Repair]:
    """Join the repairs of each annotation: what is deleted needs no other."""
    found: dict[ItemKey, Repair] = {}
    for finding in findings:
        key, repair = key_of(finding), finding.repair
        if key is None or repair is None:
            continue
        one = found.get(key, Repair(""))
        found[key] = Repair(
            repair.says,
            one.drop or repair.drop,
            one.points if repair.points is None else repair.points,
            {**one.element_points, **repair.element_points},
            one.absent or repair.absent,
            {**one.values, **repair.values},
        )
    return found


def _back_up(
    session: CvatSession,
    job: JobInfo,
    content: Path,
    before: Mapping[ItemKey, Item],
    after: Mapping[ItemKey, Item | None],
    folder: Path,
) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    stem, number = f"job_{job.id}", 1
    while (folder / f"{stem}.repairs.json").exists():
        number += 1
        stem = f"job_{job.id}-{number}"
    raw = folder / f"{stem}.annotations.json"
    with atomic_path(raw) as path:
        shutil.copyfile(content, path)
    body: dict[str, Any] = {
        "version": _VERSION,
        "server": session.url,
        "task_id": job.task_id,
        "job_id": job.id,
        "updated_date": job.updated_date,
        "annotations": raw.name,
        "changes": [
            {"list": key[0], "id": key[1], "before": before[key], "after": after[key]} for key in after
        ],
    }
    listed = folder / f"{stem}.repairs.json"
    with atomic_path(listed) as path:
        path.write_bytes(orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_INDENT_2))
    return listed


def _now(session: CvatSession, job_id: int) -> dict[ItemKey, bytes]:
    with tempfile.TemporaryDirectory(prefix="agir-") as folder:
        path = Path(folder) / "annotations.json"
        download_job(session, job_id, path)
        return signatures_of_file(path, job_id)


def _hash(item: Item | None) -> bytes | None:
    return None if item is None else signature(item)

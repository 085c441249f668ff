"""Take repairs of lint back: what it changed is as it was, unless somebody has changed it since."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from agir_cvtoolkit.cvat import CvatSession
from agir_cvtoolkit.cvat.job_stream import download_job
from agir_cvtoolkit.cvat.mending import (
    Item,
    ItemKey,
    create_items,
    signature,
    signatures_of_file,
    update_items,
)
from agir_cvtoolkit.errors import DataError, UsageError

_ENDING = ".repairs.json"


@dataclass(frozen=True)
class RestoredJob:
    """What became of the repairs of one job.

    Attributes:
        restored: annotations that are as they were again.
        there: those that were so already.
        left: why others were not put back, by id.
    """

    task_id: int
    job_id: int
    restored: int
    there: int
    left: dict[str, str]


@dataclass(frozen=True)
class Backup:
    """A backup of one job, as `_lint_repair` writes it."""

    path: Path
    server: str
    task_id: int
    job_id: int
    before: dict[ItemKey, Item]
    after: dict[ItemKey, Item | None]


def read_backups(path: Path) -> list[Backup]:
    """Read a backup of one job, or all in a folder.

    Raises:
        UsageError: there is none.
        DataError: it is damaged.
    """
    if path.is_dir():
        found = sorted(path.glob(f"*{_ENDING}"))
    else:
        name = path.name.replace(".annotations.json", _ENDING)
        found = [path.with_name(name)] if path.with_name(name).is_file() else []
    if not found:
        raise UsageError(
            f"{path} is no backup of lint-cvat", f"Name a job_<id>{_ENDING}, or the folder of several."
        )
    return [_read(one) for one in found]


def restore_job(session: CvatSession, backup: Backup, *, dry_run: bool) -> RestoredJob:
    """Put back what was repaired in one job.

    Raises:
        RemoteError: of its kinds.
    """
    now = _now(session, backup.job_id)
    left: dict[str, str] = {}
    wanted: dict[ItemKey, Item] = {}
    there = 0
    for key, before in backup.before.items():
        after, current = backup.after[key], now.get(key)
        if current == signature(before):
            there += 1
        elif current is None and after is not None:
            left[str(key[1])] = "somebody has deleted it since"
        elif current is not None and (after is None or current != signature(after)):
            left[str(key[1])] = "somebody has changed it since"
        else:
            wanted[key] = before
    if wanted and not dry_run:
        update_items(session, backup.job_id, wanted)
        now = _now(session, backup.job_id)
        # Some servers do not make anew what they do not have.
        create_items(session, backup.job_id, {key: item for key, item in wanted.items() if key not in now})
        values = list(_now(session, backup.job_id).values())
        for key, item in wanted.items():
            if signature(item) not in values:
                left[str(key[1])] = "the server did not take it"
    restored = len(wanted) - sum(1 for key in wanted if str(key[1]) in left)
    return RestoredJob(backup.task_id, backup.job_id, restored, there, left)


def _now(session: CvatSession, job_id: int) -> dict[ItemKey, bytes]:
    with tempfile.TemporaryDirectory(prefix="agir-") as folder:
        path = Path(folder) / "annotations.json"
        download_job(session, job_id, path)
        return signatures_of_file(path, job_id)


def _read(path: Path) -> Backup:
    try:
        content: Any = orjson.loads(path.read_bytes())
        changes = content["changes"]
        keys = [(str(change["list"]), int(change["id"])) for change in changes]
        return Backup(
            path,
            str(content["server"]),
            int(content["task_id"]),
            int(content["job_id"]),
            {key: dict(change["before"]) for key, change in zip(keys, changes, strict=True)},
            {
                key: None if change["after"] is None else dict(change["after"])
                for key, change in zip(keys, changes, strict=True)
            },
        )
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}", "Check its permissions.") from error
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{path} is damaged: {error!r}", "The .annotations.json beside it holds the whole job."
        ) from error

"""Runs brought up to date with what the ledger says of a push, whichever call was killed before it could."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from agir_cvtoolkit.ledger import Ledger, PushKey
from agir_cvtoolkit.runs import Run, StagePass, list_runs

from ._push_map import has_frame_map, keep_frames

_UPLOAD = "upload-cvat"


def tidy_runs(out_root: Path, ledger: Ledger, key: PushKey, run_ids: Iterable[str] = ()) -> None:
    """Take tasks that the ledger no longer knows out of the frame maps of a push, and reopen uploads without any.

    Only what is there counts, not who deleted it and when: the next call repairs what a killed one has left.

    Args:
        out_root: where the runs are.
        ledger: of the workspace.
        key: of the push.
        run_ids: further runs of it, which may have no frame map.
    """
    also = set(run_ids)
    same_name = [push_id for push_id, other, _ in ledger.pushes() if other.name == key.name]
    there = {task.task_id for push_id in same_name for task in ledger.tasks_of_push(push_id)}
    for run_id in sorted(list_runs(out_root)):
        run = Run(run_id, out_root / run_id)
        if not has_frame_map(run, key.name) and run_id not in also:
            continue
        keep_frames(run, key.name, there)
        if run.is_done(_UPLOAD) and not ledger.has_pushed(run_id):
            run.reopen(StagePass(_UPLOAD, "", 1, "done"))

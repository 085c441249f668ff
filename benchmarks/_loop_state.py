"""Where a loop has ended, in what can be compared between two workspaces."""

from __future__ import annotations

import json
import re
from typing import Any

from agir_cvtoolkit.cvat import Credentials, CvatSession
from agir_cvtoolkit.demo.loop_run import NAME, LoopWorkspace
from agir_cvtoolkit.demo.workspace import ACCOUNT
from agir_cvtoolkit.ledger import Ledger
from agir_cvtoolkit.runs import open_run

_OF_THE_MOMENT = {"asked", "tasks", "pulls"}
_PUSH = re.compile(r"\[[0-9a-f]+-")
"""A task's name bears the id of its push, which is drawn anew for each workspace, and the task's number in it."""


def end_state(workspace: LoopWorkspace) -> dict[str, Any]:
    """Return rounds, tasks with their annotations, corrections, models and the champion, without times and ids."""
    with Ledger.open_to_read(None, workspace.out_root) as ledger:
        rounds = ledger.rounds(NAME)
        champion = ledger.champion()
        corrections = ledger.corrections_by_pull([row.run_id for row in rounds])
        chosen = {row.run_id: [one.unit_id for one in ledger.selections(row.run_id)] for row in rounds}
        models = sorted((model.version, sorted(model.metrics.items())) for model in ledger.models())
        moves = [(e.number, e.kind, e.detail.get("to")) for e in ledger.round_events(NAME)]
    runs = [open_run(workspace.out_root, row.run_id) for row in rounds]
    return {
        "rounds": [
            {
                "number": row.number,
                "state": row.state,
                "run": row.run_id,
                "figures": {k: v for k, v in row.figures.items() if k not in _OF_THE_MOMENT},
            }
            for row in rounds
        ],
        "events": moves,
        "chosen": chosen,
        "tasks": _tasks(workspace.url),
        "corrections": sorted(
            (row.run_id, row.record_id, row.outcome, row.label, row.iou) for row in corrections
        ),
        "models": models,
        "champion": champion.version if champion else None,
        "score": rounds[-1].figures.get("champion_score") or 0.0 if rounds else 0.0,
        "splits": [
            json.loads(run.path("dataset", "splits.json").read_text()) if run.path("dataset").is_dir() else {}
            for run in runs
        ],
    }


def differences(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    """Return what differs, in words."""
    return [f"{key}: {one[key]!r} / {other[key]!r}"[:2000] for key in one if one[key] != other[key]]


def _tasks(url: str) -> list[Any]:
    session = CvatSession.open(Credentials(url, *ACCOUNT))
    tasks = session.get("/api/tasks?page_size=500", "tasks")["results"]
    found = []
    for task in tasks:
        frames = session.get(f"/api/tasks/{task['id']}/data/meta", "a task")["frames"]
        shapes = session.get(f"/api/tasks/{task['id']}/annotations/", "a task")["shapes"]
        drawn = sorted((shape["frame"], shape["type"], json.dumps(shape["points"])) for shape in shapes)
        found.append((_PUSH.sub("[", task["name"]), [frame["name"] for frame in frames], drawn))
    return sorted(found)

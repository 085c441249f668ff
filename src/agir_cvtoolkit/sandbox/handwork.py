"""What an annotator's hand does on the server: log in, save changes as CVAT's own page does, and count them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from .browser import Browser

Json = dict[str, Any]

_EDITED_SOURCE = {"auto": "semi-auto"}


@dataclass(frozen=True)
class OracleReport:
    """What the annotator did.

    Attributes:
        frames: how many frames had a truth to look at.
        accepted, edited, added, deleted: counts of shapes.
        pixels_changed: between foreground and background, over all masks.
    """

    frames: int = 0
    accepted: int = 0
    edited: int = 0
    added: int = 0
    deleted: int = 0
    pixels_changed: int = 0


@contextmanager
def session(url: str, credentials: tuple[str, str]) -> Iterator[Browser]:
    """Log in with user name and password, until the end of the block."""
    browser = Browser(url, *credentials)
    try:
        yield browser
    finally:
        browser.close()


@contextmanager
def at_work(browser: Browser, job: Json) -> Iterator[None]:
    """Report the work on a job at its end, as CVAT's page does, marked as no person's: nothing may be planned by it."""
    where = {"job_id": job["id"], "task_id": job["task_id"], "project_id": job.get("project_id")}
    events = [_event("load:job", where)]
    yield
    events.append(_event("save:job", where))
    browser.post("/api/events", {"events": events, "timestamp": events[-1]["timestamp"]})


def _event(scope: str, where: Json) -> Json:
    now = datetime.now(UTC).isoformat()
    return {"scope": scope, "timestamp": now, "payload": '{"simulated": true}', **where}


@dataclass
class Changes:
    """What is to be saved of one job."""

    created: list[Json] = field(default_factory=list)
    updated: list[Json] = field(default_factory=list)
    deleted: list[Json] = field(default_factory=list)


def save_changes(browser: Browser, job_id: int, changes: Changes) -> None:
    """Save what was changed in a job, in the order of CVAT's page."""
    path = f"/api/jobs/{job_id}/annotations/?action="
    for action, shapes in (
        ("update", changes.updated),
        ("create", changes.created),
        ("delete", changes.deleted),
    ):
        if shapes:
            browser.patch(path + action, {"version": 0, "tags": [], "shapes": shapes, "tracks": []})


def edited(shape: Json, points: list[float], label_id: int) -> Json:
    """Return a shape with other points or another label; it keeps its id, and says that a person has edited it."""
    source = _EDITED_SOURCE.get(str(shape["source"]), shape["source"])
    changed = {"points": points, "label_id": label_id, "source": source}
    if label_id != shape["label_id"]:
        changed["attributes"] = []
    return shape | changed


def new_shape(number: int, label_id: int, kind: str, points: list[float]) -> Json:
    """Return a shape as a person draws it."""
    return {
        "type": kind,
        "frame": number,
        "label_id": label_id,
        "points": points,
        "occluded": False,
        "outside": False,
        "z_order": 0,
        "rotation": 0.0,
        "group": 0,
        "source": "manual",
        "attributes": [],
        "elements": [],
    }

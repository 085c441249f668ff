"""Which tasks of a push are gone, and how few requests it takes to know."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import orjson
import pytest

from agir_cvtoolkit.cvat import Response
from agir_cvtoolkit.ledger import Ledger, PushedFrame, PushedTask, PushKey
from agir_cvtoolkit.stages._connect import Target
from agir_cvtoolkit.stages._push_plan import vanished_tasks
from tests.cvat.fakes import URL, Call, FakeTransport, Script, ok, opened

KEY = PushKey(URL, None, None, "Barley", "segmentations")
COUNT = 250


def pushed(ledger: Ledger, count: int) -> None:
    ledger.open_push(KEY, "run")
    for number in range(1, count + 1):
        task = PushedTask(KEY.push_id, number, f"Barley {number}", "run", "planned", None, None)
        ledger.plan_task(task)
        ledger.task_created(task, number, f"{URL}/tasks/{number}")
        picture = f"img_{number}.png"
        frame = PushedFrame(KEY.push_id, number, 0, f"img_{number}", picture, "ab", 8, 6, "cd", 1)
        ledger.task_filled(task, [frame])
        ledger.task_done(task, {0: 1})


def listing(names: dict[int, str]) -> Callable[[Call], Response]:
    """List the asked tasks as a server does that knows filters."""

    def answer(call: Call) -> Response:
        asked = next(rule["in"][1] for rule in orjson.loads(call.params["filter"])["and"])
        results = [{"id": number, "name": names[number]} for number in asked if number in names]
        return ok({"count": len(results), "next": None, "results": results})

    return answer


def vanished(
    count: int, names: dict[int, str], scripts: dict[str, Script] | None = None
) -> tuple[list[int | None], Counter[str]]:
    transport = FakeTransport({"GET /api/tasks": listing(names)} | (scripts or {}))
    session = opened(transport)
    transport.calls.clear()
    with Ledger.open("sqlite://", Path("unused")) as ledger:
        pushed(ledger, count)
        found = vanished_tasks(KEY, Target(session, None, None), ledger)
    return [task.task_id for task in found], Counter(call.path for call in transport.calls)


def test_tasks_that_are_all_there_take_one_request_for_a_hundred() -> None:
    names = {number: f"Barley {number}" for number in range(1, COUNT + 1)}
    assert vanished(COUNT, names) == ([], {"/api/tasks": 3})


def test_nothing_pushed_takes_no_request() -> None:
    assert vanished(0, {}) == ([], {})


@pytest.mark.parametrize(("picture", "gone"), [("img_3.png", [7]), ("other.png", [3, 7])])
def test_only_what_is_missing_or_renamed_is_looked_at_by_itself(picture: str, gone: list[int]) -> None:
    """A renamed task is there if it has its pictures; one that the list lacks if it can be read."""
    names = {number: f"Barley {number}" for number in range(1, 11) if number not in {5, 7}}
    names[3] = "done by Ann"
    frames = {"size": 1, "frames": [{"name": picture, "width": 8, "height": 6}], "deleted_frames": []}
    scripts: dict[str, Script] = {
        "GET /api/tasks/3": ok({"id": 3, "name": "done by Ann"}),
        "GET /api/tasks/3/data/meta": ok(frames | {"start_frame": 0, "stop_frame": 0, "frame_filter": ""}),
        "GET /api/tasks/5": ok({"id": 5, "name": "Barley 5"}),
    }
    found, requests = vanished(10, names, scripts)
    assert found == gone
    single = {"/api/tasks/3", "/api/tasks/3/data/meta", "/api/tasks/5", "/api/tasks/7"}
    assert requests == Counter({"/api/tasks", *single})

"""What the rules of speaking to CVAT promise and no other test looks at, through whole commands."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

import agir_cvtoolkit.cvat.annotations as writing
from agir_cvtoolkit.cvat import CvatSession, PictureToSend, pushing
from agir_cvtoolkit.cvat.upload import send_pictures
from agir_cvtoolkit.errors import RefusedError
from agir_cvtoolkit.ledger import Ledger
from agir_cvtoolkit.sandbox import Fault
from agir_cvtoolkit.stages import Call
from agir_cvtoolkit.stages.upload_cvat import upload_cvat

from .annotator import RECORDS, Person, Wire, only_task
from .workspace import Workspace

pytestmark = pytest.mark.integration


def in_two_jobs() -> Call:
    return Call(overrides=("cvat_upload.segment_size=2",))


def test_frames_in_another_order_than_they_were_sent(
    proposed: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rule 3: a record is the frame that carries its name, on the way out and back."""
    expected = {record: proposed.predicted_mask(record) for record in RECORDS}
    for task in proposed.tasks():
        assert proposed.plain("DELETE", f"/api/tasks/{task['id']}").status == 204

    def turned(session: CvatSession, task_id: int, pictures: Sequence[PictureToSend], *rest: Any) -> None:
        send_pictures(session, task_id, pictures[::-1], *rest)

    monkeypatch.setattr(pushing, "send_pictures", turned)
    upload_cvat()
    task_id = only_task(proposed)
    names = [frame["name"] for frame in proposed.frames(task_id)]
    assert names == [f"{record}.png" for record in reversed(RECORDS)]
    proposed.complete(task_id)
    proposed.cli("download-cvat")
    pulled = proposed.pulled(task_id)
    for record, mask in expected.items():
        found = pulled[record]
        assert found is not None
        assert np.array_equal(found > 0, mask > 0), record


def tag(person: Person) -> None:
    """Mark a frame as a whole, which no proposal of ours does."""
    label = next(iter(person.workspace.labels(person.task_id)))
    content = {"version": 0, "tags": [{"frame": 0, "label_id": label}], "tracks": [], "shapes": []}
    path = f"/api/jobs/{person.job_id}/annotations/?action=create"
    assert person.workspace.plain("PATCH", path, content).status == 200
    person.saved = {shape["id"]: shape for shape in person.shapes()}


def draw_with_help(person: Person) -> None:
    """Save a shape as the interface's tools make it, which does not call itself manual."""
    label = next(iter(person.workspace.labels(person.task_id)))
    points = [1.0, 1.0, 7.5, 8.0]
    drawn = {"type": "rectangle", "frame": 0, "label_id": label, "points": points, "source": "semi-auto"}
    person.send("create", drawn)


@pytest.mark.parametrize("act", [Person.add, Person.edit, draw_with_help, tag])
@pytest.mark.parametrize("end", ["Ctrl-C", "refused"])
def test_work_that_begins_while_the_first_push_goes_on_survives_its_end(
    proposed: Workspace, monkeypatch: pytest.MonkeyPatch, act: Callable[[Person], None], end: str
) -> None:
    """Rule 10: a half-made task is removed only where nobody works, whoever made it and when."""
    for task in proposed.tasks():
        assert proposed.plain("DELETE", f"/api/tasks/{task['id']}").status == 204
    people: list[Person] = []

    def save(number: int, request: str) -> None:
        if not request.startswith("PATCH") or "/annotations" not in request:
            return
        task_id = only_task(proposed)
        first, second = (job["id"] for job in proposed.jobs(task_id))
        if request.split("/")[1] == str(second) and not people:
            people.append(Person(proposed, task_id, first).load())
            act(people[0])
            if end == "Ctrl-C":
                raise KeyboardInterrupt
            proposed.sandbox.add_fault(
                Fault(rf"/api/jobs/{second}/annotations", method="PATCH", status=400, body="json")
            )

    with monkeypatch.context() as patched:
        Wire(save).tapped(patched)
        with pytest.raises(KeyboardInterrupt if end == "Ctrl-C" else RefusedError):
            upload_cvat(in_two_jobs())
    (person,) = people
    assert {shape["id"]: shape for shape in person.shapes()} == person.saved
    result = upload_cvat(in_two_jobs())
    assert only_task(proposed) == person.task_id
    assert {shape["id"]: shape for shape in person.shapes()} == person.saved
    assert result.added == 3


@pytest.mark.parametrize("killed", [False, True])
def test_what_a_person_adds_between_the_look_and_the_first_write_stays(
    proposed: Workspace, monkeypatch: pytest.MonkeyPatch, killed: bool
) -> None:
    """Rule 10: the first proposals are put in beside what is there, whenever it came there."""
    for task in proposed.tasks():
        assert proposed.plain("DELETE", f"/api/tasks/{task['id']}").status == 204
    people: list[Person] = []

    def kill(number: int, request: str) -> None:
        if _writes(request):
            wire.stop = 0
            raise KeyboardInterrupt

    def save(number: int, request: str) -> None:
        if _writes(request) and not people:
            people.append(Person(proposed, only_task(proposed), int(request.split("/")[1])))
            people[0].add()

    if killed:
        with monkeypatch.context() as patched:
            wire = Wire(kill).tapped(patched)
            with pytest.raises(KeyboardInterrupt):
                upload_cvat()
    with monkeypatch.context() as patched:
        Wire(save).tapped(patched)
        upload_cvat()
    (person,) = people
    assert person.chosen in person.shapes()
    assert len(person.shapes()) > len(RECORDS)


def _writes(request: str) -> bool:
    return request.startswith(("PUT", "PATCH")) and "/annotations" in request


def test_the_ledger_knows_of_each_step_before_it_is_taken(
    proposed: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rule 6: the name before the task, its id before the data, its shapes before they are sent."""
    for task in proposed.tasks():
        assert proposed.plain("DELETE", f"/api/tasks/{task['id']}").status == 204
    known: dict[str, object] = {}

    def look(number: int, request: str) -> None:
        step = request if request == "POST tasks" else "data" if request.endswith("/data/") else ""
        step = "shapes" if _writes(request) else step
        if step and step not in known:
            with Ledger.open(None, proposed.root / "outputs" / "runs") as ledger:
                (push_id,) = [push_id for push_id, _, _ in ledger.pushes()]
                (task,) = ledger.tasks_of_push(push_id)
                shapes = sum(len(ledger.shapes_of_frame(task, frame)) for frame in range(3))
                known[step] = (task.state, task.task_id is not None, shapes > 0)

    small = {**(writing.write_new.__kwdefaults__ or {}), "body_bytes": 10}
    monkeypatch.setattr(writing.write_new, "__kwdefaults__", small)
    with monkeypatch.context() as patched:
        Wire(look).tapped(patched)
        upload_cvat()
    assert known == {
        "POST tasks": ("planned", False, False),
        "data": ("created", True, False),
        "shapes": ("filled", True, True),
    }


def delete_one(person: Person) -> None:
    person.send("delete", person.loaded[0])


def flag(person: Person) -> None:
    person.send("update", person.loaded[0] | {"occluded": True})


@pytest.mark.parametrize("act", [delete_one, flag])
def test_a_deletion_or_a_flag_while_the_first_push_goes_on_keeps_its_task(
    proposed: Workspace, monkeypatch: pytest.MonkeyPatch, act: Callable[[Person], None]
) -> None:
    """Rule 10: what is not exactly as it was sent is a person's, also where there is nothing more than was sent."""
    for task in proposed.tasks():
        assert proposed.plain("DELETE", f"/api/tasks/{task['id']}").status == 204
    people: list[Person] = []

    def save(number: int, request: str) -> None:
        if not _writes(request) or people:
            return
        task_id = only_task(proposed)
        first, second = (job["id"] for job in proposed.jobs(task_id))
        if request.split("/")[1] == str(second):
            people.append(Person(proposed, task_id, first).load())
            act(people[0])
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        Wire(save).tapped(patched)
        with pytest.raises(KeyboardInterrupt):
            upload_cvat(in_two_jobs())
    (person,) = people
    upload_cvat(in_two_jobs())
    assert only_task(proposed) == person.task_id
    assert {shape["id"]: shape for shape in person.shapes()} == person.saved


def test_what_a_person_deletes_while_the_push_goes_on_stays_deleted(
    proposed: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    for task in proposed.tasks():
        assert proposed.plain("DELETE", f"/api/tasks/{task['id']}").status == 204
    people: list[Person] = []
    written: list[str] = []

    def save(number: int, request: str) -> None:
        if _writes(request):
            written.append(request)
        elif written and not people:
            people.append(Person(proposed, only_task(proposed), int(written[0].split("/")[1])).load())
            delete_one(people[0])

    with monkeypatch.context() as patched:
        Wire(save).tapped(patched)
        assert upload_cvat().exit_code == 0
    (person,) = people
    assert upload_cvat().exit_code == 0
    assert only_task(proposed) == person.task_id
    assert {shape["id"]: shape for shape in person.shapes()} == person.saved

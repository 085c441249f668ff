"""``lint-cvat`` against a server: found, repaired after a backup, put back; what people do meanwhile stays."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from agir_cvtoolkit import Call
from agir_cvtoolkit.cli import main
from agir_cvtoolkit.cvat import (
    Credentials,
    CvatSession,
    LabelSet,
    NewLabel,
    PictureToSend,
    TaskRequest,
    create_project,
    create_task_with_pictures,
    find_jobs,
    read_labels,
)
from agir_cvtoolkit.cvat.mending import update_items
from agir_cvtoolkit.errors import UsageError
from agir_cvtoolkit.ledger import Ledger, PushedFrame, PushedShape, PushedTask, PushKey
from agir_cvtoolkit.pictures import save_png
from agir_cvtoolkit.plain_shapes import pack
from agir_cvtoolkit.sandbox import Sandbox, SandboxOptions
from agir_cvtoolkit.shapes import Rectangle, Shape
from agir_cvtoolkit.stages import _lint_repair as repairing
from agir_cvtoolkit.stages.lint_cvat import LintResult, lint_cvat, lint_restore

pytestmark = pytest.mark.integration

W, H = 40, 30


class Work:
    """A task of two pictures in its own project, and what is drawn in it."""

    def __init__(self, sandbox: Sandbox, folder: Path) -> None:
        self.session = CvatSession.open(
            Credentials(sandbox.url, sandbox.options.username, sandbox.options.password)
        )
        labels = (
            NewLabel("weed"),
            NewLabel("blob", "mask"),
            NewLabel("dog", "skeleton", sublabels=("nose", "tail")),
        )
        self.project_id = create_project(self.session, "lint", labels).id
        pictures = []
        for name in ("a.png", "b.png"):
            save_png(np.zeros((H, W, 3), np.uint8), folder / name)
            pictures.append(PictureToSend(name, folder / name, W, H))
        request = TaskRequest("t", self.project_id)
        self.task_id = create_task_with_pictures(self.session, request, pictures).task_id
        (self.job,) = find_jobs(self.session, task_ids=[self.task_id], required_status=None)
        self.labels: LabelSet = read_labels(self.session, project_id=self.project_id)

    def shape(self, kind: str, points: list[float], label: str = "weed", **more: Any) -> dict[str, Any]:
        found = {"type": kind, "frame": 0, "label_id": self.labels.find(label).id, "points": points}
        return found | {"source": "manual"} | more

    def patch(self, action: str, *shapes: dict[str, Any]) -> None:
        body = {"version": 0, "tags": [], "tracks": [], "shapes": list(shapes)}
        path = f"/api/jobs/{self.job.id}/annotations/"
        self.session.send_json("PATCH", path, "draw", body, {"action": action})

    def shapes(self) -> list[dict[str, Any]]:
        answer = self.session.get(f"/api/jobs/{self.job.id}/annotations/", "read")
        return sorted(answer["shapes"], key=lambda shape: int(shape["id"]))

    def content(self) -> list[tuple[object, ...]]:
        return [(s["id"], s["type"], s["source"], s["points"], len(s["elements"])) for s in self.shapes()]

    def draw_mistakes(self) -> None:
        nose = self.labels.find("dog").sublabels[0].id
        dog = self.shape("skeleton", [], "dog")
        dog["elements"] = [
            {"type": "points", "frame": 0, "label_id": nose, "points": [5.0, 5.0], "outside": False}
        ]
        del dog["points"]
        self.patch(
            "create",
            self.shape("rectangle", [1.0, 1.0, W + 1.0, 9.0]),
            self.shape("rectangle", [1.0, 1.0, W + 900.0, 9.0]),
            self.shape("rectangle", [5.0, 5.0, 5.0, 9.0], source="auto"),
            self.shape("polygon", [1.0, 1.0, 9.0, 1.0, 9.0, 9.0]),
            self.shape("polygon", [1.0, 1.0, 9.0, 1.0, 9.0, 9.0], source="auto"),
            self.shape("mask", [0, 12, W - 2, 0, W + 1, 2], "blob"),
            self.shape("mask", [7, 0, 0, 2, 2], "blob"),
            dog,
        )


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with Sandbox(
        SandboxOptions(tmp_path_factory.mktemp("lint") / "sandbox", anonymous_limit=10_000)
    ) as started:
        yield started


@pytest.fixture
def work(sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Work:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CVAT_URL", sandbox.url)
    monkeypatch.setenv("CVAT_USERNAME", sandbox.options.username)
    monkeypatch.setenv("CVAT_PASSWORD", sandbox.options.password)
    return Work(sandbox, tmp_path)


def found(work: Work, **more: Any) -> LintResult:
    return lint_cvat(task_ids=[work.task_id], **more)


FINDINGS = {"out_of_bounds": 2, "degenerate": 1, "duplicate": 1, "broken_mask": 2, "skeleton": 1}


def test_mistakes_are_listed_with_where_they_are(work: Work) -> None:
    assert found(work).exit_code == 0
    work.draw_mistakes()
    result = found(work)
    assert result.counts == FINDINGS
    assert (result.jobs, result.shapes, result.exit_code) == (1, 8, 4)
    row = next(row for row in result.findings if row.rule == "degenerate")
    assert (row.picture, row.kind, row.label, row.is_machine) == ("a.png", "rectangle", "weed", True)
    assert row.url.endswith(f"/tasks/{work.task_id}/jobs/{work.job.id}?frame=0")
    assert lint_cvat(project_id=work.project_id).counts == FINDINGS
    assert not Path("outputs").exists()


def test_of_a_program_only_what_nobody_has_taken_over_is_repaired(work: Work) -> None:
    work.draw_mistakes()
    before = work.content()
    assert lint_cvat(Call(dry_run=True), task_ids=[work.task_id], fix="machine").repaired == 2
    assert work.content() == before
    result = found(work, fix="machine")
    assert result.repaired == 2
    assert [one for one in before if one[2] == "manual"] == work.content()
    assert {row.outcome for row in result.findings if row.repair} == {
        "repaired",
        "a person's: --fix human repairs it",
    }


def test_a_programs_shape_in_a_job_that_was_worked_in_is_a_persons(work: Work) -> None:
    work.draw_mistakes()
    work.session.send_json("PATCH", f"/api/jobs/{work.job.id}", "begin", {"state": "in progress"})
    before = work.content()
    assert found(work, fix="machine").repaired == 0
    assert work.content() == before


def test_everything_safe_is_repaired_and_put_back(work: Work) -> None:
    work.draw_mistakes()
    before = work.content()
    result = found(work, fix="human")
    assert result.repaired == 5
    assert found(work).counts == {"out_of_bounds": 1, "broken_mask": 1}
    assert result.backup is not None
    planned = lint_restore(result.backup, Call(dry_run=True))
    assert planned.jobs[0].restored == 5
    assert work.content() != before
    (back,) = lint_restore(result.backup).jobs
    assert (back.restored, back.there, back.left) == (5, 0, {})
    assert work.content() == before
    (again,) = lint_restore(result.backup / f"job_{work.job.id}.annotations.json").jobs
    assert (again.restored, again.there) == (0, 5)


def test_what_a_person_changed_after_the_repair_stays_hers(work: Work) -> None:
    work.draw_mistakes()
    result = found(work, fix="human")
    moved = work.shapes()[0]
    moved["points"] = [2.0, 2.0, 20.0, 20.0]
    work.patch("update", moved)
    assert result.backup is not None
    done = lint_restore(result.backup)
    assert done.exit_code == 1
    assert done.jobs[0].left == {str(moved["id"]): "somebody has changed it since"}
    assert work.shapes()[0]["points"] == [2.0, 2.0, 20.0, 20.0]


def test_a_job_that_is_saved_meanwhile_is_left_alone(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    work.draw_mistakes()
    back_up: Callable[..., Path] = repairing._back_up

    def saved_then(*args: Any) -> Path:
        work.patch("create", work.shape("rectangle", [1.0, 1.0, 20.0, 20.0]))
        return back_up(*args)

    monkeypatch.setattr(repairing, "_back_up", saved_then)
    before = work.content()
    result = found(work, fix="human")
    assert result.repaired == 0
    assert {row.outcome for row in result.findings if row.repair} == {repairing.SAVED}
    assert work.content()[: len(before)] == before


def test_a_save_within_the_last_request_is_told_of(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    work.draw_mistakes()
    update = update_items

    def saved_beside(*args: Any) -> None:
        update(*args)
        work.patch("create", work.shape("rectangle", [1.0, 1.0, 20.0, 20.0]))

    monkeypatch.setattr(repairing, "update_items", saved_beside)
    result = found(work, fix="human")
    assert result.repaired == 5
    assert "somebody saved the job meanwhile" in result.notes[0]


def test_deleted_pictures_and_empty_finished_jobs(work: Work) -> None:
    work.session.send_json("PATCH", f"/api/jobs/{work.job.id}", "finish", {"state": "completed"})
    assert found(work).counts == {"empty_job": 1}
    work.patch("create", work.shape("rectangle", [1.0, 1.0, 9.0, 9.0]))
    work.session.send_json("PATCH", f"/api/tasks/{work.task_id}/data/meta", "cut", {"deleted_frames": [0]})
    (row,) = found(work).findings
    assert (row.rule, row.picture) == ("deleted_frame", "a.png")


def test_nothing_named_and_nothing_there(work: Work) -> None:
    with pytest.raises(UsageError, match="nothing is named"):
        lint_cvat()
    with pytest.raises(UsageError, match="no jobs of task 99999"):
        lint_cvat(task_ids=[99999])
    with pytest.raises(UsageError, match="goes with neither"):
        lint_cvat(Call(run="a"), project_id=work.project_id)
    with pytest.raises(UsageError, match="no backup"):
        lint_restore(Path("nothing"))


def run(*words: str) -> Result:
    return CliRunner().invoke(main, ["lint-cvat", *words], prog_name="agir-cvtoolkit")


def test_of_a_pushed_task_only_what_the_push_left_is_a_programs(work: Work) -> None:
    ours = Rectangle(label="weed", points=((1.0, 1.0), (9.0, 9.0)))
    as_pushed(work, ours)
    points = [1.0, 1.0, 9.0, 9.0]
    work.patch(
        "create",
        work.shape("rectangle", points, source="file"),
        work.shape("rectangle", points, source="file"),  # somebody has pasted it
        work.shape(
            "rectangle", [5.0, 5.0, 5.0, 9.0], source="auto"
        ),  # somebody has run a model on the server
    )
    result = found(work, call=Call(dry_run=True), fix="machine")
    assert {(row.rule, row.is_machine) for row in result.findings} == {
        ("duplicate", True),
        ("degenerate", False),
    }
    assert result.repaired == 1


def test_jobs_are_checked_in_their_order_however_many_are_read_at_once(work: Work) -> None:
    work.draw_mistakes()
    one = found(work, jobs=1)
    assert (found(work, jobs=8).findings, one.counts) == (one.findings, FINDINGS)


def as_pushed(work: Work, shape: Shape) -> None:
    """Let the ledger say that this tool has made the task, with one proposal on its first picture."""
    with Ledger.open(None, Path("outputs/runs")) as ledger:
        key = PushKey(work.session.url, work.project_id, None, f"push {work.task_id}", "detections")
        push = ledger.open_push(key, "r")
        task = PushedTask(push, 0, "t", "r", "planned", None, None)
        ledger.plan_task(task)
        ledger.task_created(task, work.task_id, work.session.task_url(work.task_id))
        ledger.task_filled(task, [PushedFrame(push, 0, 0, "a", "a.png", "x", W, H, "x")])
        left = PushedShape(0, 0, shape.label, shape.kind, shape.geometry_hash(), pack(shape))
        ledger.task_done(task, {0: 1}, [left])


def test_on_the_command_line(work: Work) -> None:
    task = ("--task-id", str(work.task_id))
    assert run(*task).stdout == "Nothing wrong in 1 job of 1 task, 0 annotations\n"
    work.draw_mistakes()
    listed = run(*task)
    assert listed.exit_code == 4
    assert "degenerate     frame 0 a.png rectangle" in listed.stdout
    assert "5 can be repaired: add --fix human" in listed.stdout
    content = json.loads(run(*task, "--json").stdout)
    assert content["counts"] == FINDINGS
    fixed = run(*task, "--fix", "human", "--backup", "saved")
    assert "5 repaired\nTake them back with: agir-cvtoolkit lint-cvat --restore saved" in fixed.stdout
    assert "5 put back" in run("--restore", "saved").stdout
    assert run("--restore", "saved", "--fix").exit_code == 2

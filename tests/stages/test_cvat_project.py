"""``cvat-project`` against a server: made, changed, refused, interrupted, and written back to a file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from agir_cvtoolkit import Call
from agir_cvtoolkit.cli import main
from agir_cvtoolkit.cvat import (
    Credentials,
    CvatSession,
    LabelSet,
    PictureToSend,
    TaskRequest,
    create_task_with_pictures,
    find_jobs,
    read_labels,
    write_new,
)
from agir_cvtoolkit.errors import RefusedError, UsageError
from agir_cvtoolkit.pictures import save_png
from agir_cvtoolkit.sandbox import Sandbox, SandboxOptions
from agir_cvtoolkit.sandbox.faults import Fault
from agir_cvtoolkit.shapes import Rectangle
from agir_cvtoolkit.stages.cvat_project import (
    ProjectPlanned,
    cvat_project_apply,
    cvat_project_plan,
    cvat_project_pull,
)

pytestmark = pytest.mark.integration

FILE = """
name: Field
bug_tracker: https://bugs.example.org
labels:
  - name: weed
    type: rectangle
    color: "#ff0000"
    attributes:
      - {name: stage, values: [young, old]}
  - name: bird
    type: skeleton
    points: [beak, {name: tail, color: "#00ff00", attributes: [{name: seen, values: [yes, no]}]}]
    edges: [[beak, tail]]
  - spare
"""


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with Sandbox(
        SandboxOptions(tmp_path_factory.mktemp("project") / "sandbox", anonymous_limit=10_000)
    ) as started:
        yield started


@pytest.fixture(autouse=True)
def _workspace(sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CVAT_URL", sandbox.url)
    monkeypatch.setenv("CVAT_USERNAME", sandbox.options.username)
    monkeypatch.setenv("CVAT_PASSWORD", sandbox.options.password)
    session = session_of(sandbox)
    for project in list(session.pages("/api/projects", "list")):
        session.request("DELETE", f"/api/projects/{project['id']}", "clear")
    sandbox.forget_requests()
    yield
    sandbox.faults.replace(())


def session_of(sandbox: Sandbox) -> CvatSession:
    return CvatSession.open(Credentials(sandbox.url, sandbox.options.username, sandbox.options.password))


def written(text: str = FILE) -> str:
    Path("field.yaml").write_text(text, encoding="utf-8")
    return "field.yaml"


def applied(text: str = FILE) -> ProjectPlanned:
    return cvat_project_apply(written(text))


def kinds(found: ProjectPlanned) -> list[str]:
    return [step.kind for step in found.steps]


def labels(sandbox: Sandbox, found: ProjectPlanned) -> LabelSet:
    return read_labels(session_of(sandbox), project_id=found.project_id)


def draw_a_weed(sandbox: Sandbox, project_id: int, folder: Path) -> int:
    session = session_of(sandbox)
    save_png(np.zeros((30, 40, 3), np.uint8), folder / "a.png")
    pictures = [PictureToSend("a.png", folder / "a.png", 40, 30)]
    task = create_task_with_pictures(session, TaskRequest("t", project_id), pictures)
    (job,) = find_jobs(session, task_ids=[task.task_id], required_status=None)
    box = Rectangle(label="weed", points=((1, 1), (9, 9)), source="manual", attributes={"stage": "old"})
    write_new(session, job, {0: [box]})
    return task.task_id


def test_a_project_is_made_once_and_then_nothing_is_left_to_do(sandbox: Sandbox) -> None:
    assert kinds(cvat_project_plan(written())) == ["create", "add", "add", "add"]
    made = applied()
    assert made.applied
    assert made.exit_code == 0
    assert cvat_project_plan("field.yaml").is_done
    sandbox.forget_requests()
    again = applied()
    assert again.is_done
    assert not again.applied
    assert not [r for r in sandbox.requests() if r.method in {"PATCH", "PUT", "DELETE"}]
    assert not [r for r in sandbox.requests() if r.method == "POST" and "login" not in str(r)]


def test_all_changes_go_in_one_request_and_ids_stay(sandbox: Sandbox) -> None:
    made = applied()
    before = {label.name: label.id for label in labels(sandbox, made)}
    text = FILE.replace("- name: weed", "- name: Unkraut\n    was: weed").replace("#ff0000", "#0000ff")
    text = (
        text.replace("[young, old]", "[young, old, dead]")
        .replace("- spare", "- other")
        .replace("beak", "snout")
    )
    text = text.replace("points: [snout", "points: [{name: snout, was: beak}").replace(
        "https://bugs", "https://new"
    )
    sandbox.forget_requests()
    assert kinds(applied(text)) == ["change", "rename", "change", "add", "remove"]
    assert len([r for r in sandbox.requests() if r.method == "PATCH"]) == 1
    found = labels(sandbox, made)
    assert found.find("Unkraut").id == before["weed"]
    assert found.find("Unkraut").color == "#0000ff"
    assert found.find("bird").id == before["bird"]
    assert [sub.name for sub in found.find("bird").sublabels] == ["snout", "tail"]
    assert cvat_project_plan("field.yaml").is_done


def test_a_label_with_shapes_stays_and_the_plan_says_where_they_are(sandbox: Sandbox, tmp_path: Path) -> None:
    made = applied()
    assert made.project_id is not None
    task_id = draw_a_weed(sandbox, made.project_id, tmp_path)
    before = [(label.id, label.name, label.type) for label in labels(sandbox, made)]
    for text in (
        FILE.replace("- name: weed", "- name: other"),
        FILE.replace("type: rectangle", "type: mask"),
    ):
        found = applied(text + "  - and one more\n")
        assert found.exit_code == 4
        assert not found.applied
        assert f"1 shape in task {task_id} (1)" in found.refused[0].detail
        assert [(label.id, label.name, label.type) for label in labels(sandbox, made)] == before
    found = applied(FILE.replace("[young, old]", "[young]"))
    assert "'old'" in found.refused[0].detail
    assert applied(FILE.replace("- name: weed", "- name: other\n    was: weed")).applied
    kept = applied(FILE.replace("- name: weed", "- name: third") + "other_labels: keep\n")
    assert kept.applied
    assert {"other", "third"} <= set(labels(sandbox, made).names)


def test_a_lost_answer_is_made_good(sandbox: Sandbox) -> None:
    made = applied()
    sandbox.faults.replace((Fault(r"/api/projects/\d+", "cut_after", "PATCH"),))
    assert applied(FILE.replace("- spare", "- other")).applied
    assert labels(sandbox, made).names == ("weed", "bird", "other")


def test_what_is_pulled_is_what_was_applied(sandbox: Sandbox) -> None:
    made = applied()
    pulled = cvat_project_pull("Field", output=Path("pulled.yaml"))
    assert pulled.project_id == made.project_id
    assert cvat_project_plan("pulled.yaml").is_done
    with pytest.raises(UsageError, match="there already"):
        cvat_project_pull("Field", output=Path("pulled.yaml"))
    assert cvat_project_pull(str(made.project_id)).text == Path("pulled.yaml").read_text(encoding="utf-8")


def test_twins_are_told_apart_by_id(sandbox: Sandbox) -> None:
    first = applied()
    session_of(sandbox).send_json("POST", "/api/projects", "twin", {"name": "Field", "labels": []})
    with pytest.raises(UsageError, match=f"2 projects are named 'Field': {first.project_id}, "):
        cvat_project_plan(written())
    assert cvat_project_plan("field.yaml", project_id=first.project_id).is_done


def test_a_project_that_changes_while_the_plan_is_read_is_left(sandbox: Sandbox) -> None:
    made = applied()

    def ask(planned: ProjectPlanned) -> bool:
        more = {"labels": [{"name": "hers", "type": "any", "attributes": []}]}
        session_of(sandbox).send_json("PATCH", f"/api/projects/{made.project_id}", "hers", more)
        return True

    with pytest.raises(RefusedError, match="while the plan was looked at"):
        cvat_project_apply(written(FILE + "  - mine\n"), ask=ask)
    assert "mine" not in labels(sandbox, made).names
    assert cvat_project_apply("field.yaml", Call(dry_run=True)).applied is False


def run(*words: str) -> Result:
    return CliRunner().invoke(main, ["cvat-project", *words], prog_name="agir-cvtoolkit")


def test_on_the_command_line() -> None:
    written()
    assert "dog24-skeleton" in run("list").stdout
    planned = run("plan", "field.yaml")
    assert "+ add      label 'weed': rectangle; #ff0000; attributes stage" in planned.stdout
    assert run("apply", "field.yaml").exit_code == 2
    done = run("apply", "field.yaml", "--yes")
    assert done.exit_code == 0
    assert "1 created, 3 added" in done.stdout
    assert json.loads(run("apply", "field.yaml", "--yes", "--json").stdout)["applied"] is False
    assert run("pull", "Field").stdout.startswith("name: Field\n")
    assert run("plan", "nothing.yaml").exit_code == 2
    assert run("apply", "dog24-skeleton", "--yes", "--name", "Dogs").exit_code == 0
    assert run("plan", "dog24-skeleton", "--name", "Dogs").stdout.startswith("Nothing to change")

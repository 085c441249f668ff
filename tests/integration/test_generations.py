"""The whole flow of the client against every generation of the server: the same results, by what each one has.

Queried and predicted once; every test gets a copy of that folder and the running server of its generation. From 2.48
on the client proves itself by an access token, before that by the password.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import agir_cvtoolkit.config
import agir_cvtoolkit.cvat.session
from agir_cvtoolkit.config import Settings
from agir_cvtoolkit.cvat import (
    Credentials,
    CvatSession,
    NewLabel,
    PictureToSend,
    TaskRequest,
    create_project,
    create_task_with_pictures,
    find_jobs,
    read_job,
    write_new,
)
from agir_cvtoolkit.masks import encode
from agir_cvtoolkit.pictures import save_png
from agir_cvtoolkit.sandbox import GENERATIONS, Fault, generation_of
from agir_cvtoolkit.shapes import Mask, Rectangle
from agir_cvtoolkit.stages import _pull_read
from tests.sandbox.generations import Generations
from tests.sandbox.plain import Plain, pictures

from .annotator import LABEL, Person, contents, predict_anew
from .conftest import FastClock
from .test_job_types import APART, Made, make
from .workspace import CREDENTIALS, Json, Workspace

pytestmark = pytest.mark.integration

ANEW = ("-o", "cvat_download.overwrite_existing=true")


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Generations]:
    found = Generations(tmp_path_factory.mktemp("generations"))
    yield found
    found.close()


@pytest.fixture(scope="module")
def begun(
    servers: Generations,
    tmp_path_factory: pytest.TempPathFactory,
    _remembered: Callable[..., Settings],
) -> Path:
    """A user's folder, queried and predicted."""
    root = tmp_path_factory.mktemp("begun")
    server = servers.sandbox(GENERATIONS[0])
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        patch.setattr(agir_cvtoolkit.config, "load_settings", _remembered)
        space = Workspace(root, server, Plain(server.url))
        space.keys()
        space.fill()
        space.predicted()
    return root


@pytest.fixture(params=GENERATIONS)
def version(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def space(
    servers: Generations,
    begun: Path,
    version: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    _remembered: Callable[..., Settings],
) -> Iterator[Workspace]:
    """A copy of the folder, and an empty server of a generation."""
    root = tmp_path / "work"
    shutil.copytree(begun, root, symlinks=True)
    for name in ("CVAT_URL", "CVAT_HOST", "CVAT_USERNAME", "CVAT_PASSWORD", "CVAT_ACCESS_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(root)
    monkeypatch.setattr(agir_cvtoolkit.cvat.session, "SystemClock", FastClock)
    monkeypatch.setattr(agir_cvtoolkit.config, "load_settings", _remembered)
    server, plain = servers.sandbox(version), servers.plain(version)
    for kind in ("tasks", "projects"):
        for item in plain("GET", f"/api/{kind}?page_size=500").json["results"]:
            assert plain("DELETE", f"/api/{kind}/{item['id']}").status == 204
    found = Workspace(root, server, plain)
    if has_tokens(version):
        found.keys(access_token=token(plain), password="not the password")
    else:
        found.keys()
    server.forget_requests()
    yield found
    server.faults.replace(())
    plain.close()


def has_tokens(version: str) -> bool:
    return generation_of(version).access_tokens


def token(plain: Plain, **spec: Any) -> str:
    got = plain("POST", "/api/auth/access_tokens", {"name": "robot", **spec})
    assert got.status == 201, got.data
    return str(got.json["value"])


def asked(space: Workspace) -> list[str]:
    """Return what was asked for since the list was started anew, without queries."""
    return [f"{seen.method} {seen.target.partition('?')[0].rstrip('/')}" for seen in space.sandbox.requests()]


def pull(space: Workspace, *words: str) -> Json:
    space.cli("download-cvat", *words)
    return dict(space.metrics()["download-cvat"])


def pulled_files(space: Workspace) -> dict[str, bytes]:
    root = space.run / "cvat_downloads"
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("masks/*.png"))}


def test_a_push_is_exact_and_a_second_one_writes_nothing(space: Workspace, version: str) -> None:
    project = space.project(LABEL)
    space.conf("cvat_upload", {"project_id": project, "per_component": True, "segment_size": 1})
    space.sandbox.forget_requests()
    pushed = space.upload()
    assert (pushed["uploaded_annotations"], len(pushed["tasks"])) == (3, 1)
    by_password = "POST /api/auth/login" in asked(space)
    assert by_password != has_tokens(version)
    assert ("GET /api/auth/access_tokens/self" in asked(space)) == has_tokens(version)
    task_id = pushed["task_id"]
    for number, frame in enumerate(space.frames(task_id)):
        path = f"/api/tasks/{task_id}/data?type=frame&quality=original&number={number}"
        assert space.plain("GET", path).data == (space.run / "images" / frame["name"]).read_bytes()
    if generation_of(version).writes_score:
        sure = {f"{entry['record_id']}.png": 1 - entry["uncertainty"] for entry in space.manifest().values()}
        names = [frame["name"] for frame in space.frames(task_id)]
        for shape in space.shapes(task_id):
            assert shape["score"] == pytest.approx(sure[names[shape["frame"]]], abs=1e-4)
    before = space.state()
    space.sandbox.forget_requests()
    assert space.upload()["already_there"] == 3
    assert space.writes() == []
    assert not [line for line in asked(space) if "annotations" in line]
    assert space.state() == before


def test_new_predictions_replace_what_nobody_touched_and_nothing_else(space: Workspace) -> None:
    project = space.project(LABEL)
    space.conf("cvat_upload", {"project_id": project, "per_component": True, "segment_size": 1})
    task_id = space.upload()["task_id"]
    first, second, third = space.jobs(task_id)
    person = Person(space, task_id, first["id"]).load()
    person.edit()
    untouched = {shape["id"]: shape for shape in space.shapes(task_id) if shape["frame"] == 2}
    predict_anew(space, 5, "img_0", "img_1")
    again = space.upload(code=None)
    assert (again["replaced"], again["left_alone"], again["already_there"]) == (1, 1, 1)
    assert {shape["id"]: shape for shape in person.shapes()} == person.saved
    assert {shape["id"]: shape for shape in space.shapes(task_id) if shape["frame"] == 2} == untouched
    # The replaced job holds what a push of the new predictions alone would have put there.
    replaced = contents([shape for shape in space.shapes(task_id) if shape["frame"] == 1])
    alone = space.upload("-o", "cvat_upload.task_name=alone")["task_id"]
    assert replaced == contents([shape for shape in space.shapes(alone) if shape["frame"] == 1])
    space.sandbox.forget_requests()
    assert space.upload(code=None)["replaced"] == 0
    assert space.writes() == []
    # Undone is what nobody touched, and the task with the person's work stays.
    before = space.state()[str(task_id)]
    space.cli("undo", "alone", "--yes")
    outcome = space.cli("undo", space.upload(code=None)["name"], "--yes", code=1)
    assert f"/tasks/{task_id}" in outcome.stdout
    assert space.state() == {str(task_id): before}
    assert [job["id"] for job in space.jobs(task_id)] == [first["id"], second["id"], third["id"]]


def test_a_pull_is_exact_incremental_and_the_same_by_export(
    space: Workspace, version: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    space.conf("cvat_upload", {"segment_size": 1})
    task_id = space.upload()["task_id"]
    job = space.jobs(task_id)[1]["id"]
    space.complete(task_id)
    assert (pull(space)["jobs_read"], pull(space)["jobs_read"]) == (3, 0)
    for record_id, mask in space.pulled(task_id).items():
        assert mask is not None
        assert np.array_equal(mask != 0, space.predicted_mask(record_id) != 0)
    drawn = {**space.shapes(task_id)[0], "frame": 1, "points": [0, 5, 1, 2, 3, 4, 4], "source": "manual"}
    drawn.pop("id")
    content = {"version": 0, "tags": [], "tracks": [], "shapes": [drawn]}
    assert space.plain("PUT", f"/api/jobs/{job}/annotations/", content).status == 200
    result = pull(space)
    assert (result["jobs_read"], result["frames"], result["shapes"]) == (1, 3, 3)
    found = space.pulled(task_id)["img_1"]
    assert found is not None
    assert np.argwhere(found).tolist() == [[3, 2], [3, 3], [3, 4], [4, 2], [4, 3]]
    assert result["corrections"]["accepted"] == 2
    as_json = pulled_files(space)
    monkeypatch.setattr(_pull_read, "EXPORT_FROM_PIXELS", 1)
    space.sandbox.forget_requests()
    assert pull(space, *ANEW)["jobs_read"] == 3
    assert f"POST /api/jobs/{job}/dataset/export" in asked(space)
    assert f"GET /api/jobs/{job}/annotations" not in asked(space)
    assert pulled_files(space) == as_json
    if generation_of(version).old_exports:
        # Where only the export of those days works.
        space.sandbox.add_fault(Fault("/dataset/export", status=404, times=0, body="json"))
        space.sandbox.forget_requests()
        assert pull(space, *ANEW)["jobs_read"] == 3
        old = [seen.target for seen in space.sandbox.requests() if "action=download" in seen.target]
        assert len(old) == 3
        assert all(f"/api/jobs/{one['id']}/annotations?" in "".join(old) for one in space.jobs(task_id))
        assert pulled_files(space) == as_json


@pytest.mark.parametrize("kind", ["source.type=detections", "mask_strategy=polygon"])
def test_boxes_and_polygons_come_back_accepted_and_can_be_undone(space: Workspace, kind: str) -> None:
    words = ("-o", f"cvat_upload.{kind}")
    pushed = space.upload(*words)
    task_id = pushed["task_id"]
    kinds = {shape["type"] for shape in space.shapes(task_id)}
    assert kinds == ({"polygon"} if "polygon" in kind else {"rectangle"})
    space.sandbox.forget_requests()
    space.upload(*words)
    assert space.writes() == []
    space.complete(task_id)
    corrections = pull(space)["corrections"]
    assert corrections["proposals"] == corrections["accepted"] == pushed["shapes"] > 0
    space.upload(*words, "-o", "cvat_upload.task_name=another")
    space.cli("undo", "another", "--yes")
    assert [task["id"] for task in space.tasks()] == [task_id]


def test_ground_truth_and_replicas_are_left_out_and_stored_apart(space: Workspace, version: str) -> None:
    plays = generation_of(version)
    key = "initial_replicas" if plays.initial_replicas else "consensus_replicas"
    made = make(space, space.plain, 6, {key: 2} if plays.consensus else {})
    with_truth(made)
    first, second = made.jobs("annotation")
    (truth,) = made.jobs("ground_truth")
    replicas = made.jobs(plays.replica)
    assert len(replicas) == (4 if plays.consensus else 0)
    made.draw(truth, 1, 4)
    for job in (first, second, *replicas):
        made.draw(job, *range(job["start_frame"], job["stop_frame"] + 1))
    made.complete()
    result = made.pull()
    assert (result["jobs"], result["frames"], result["shapes"]) == (2, 6, 6)
    assert {frame["job_id"] for frame in made.frames()} == {first["id"], second["id"]}
    own = made.frames()
    result = made.pull(*APART, "-o", "cvat_download.include_images=true")
    assert (result["jobs"], result["jobs_read"]) == (3 + len(replicas), 1 + len(replicas))
    assert sorted(result["tasks"][0]["apart"]) == sorted(job["id"] for job in (truth, *replicas))
    assert [frame["record_id"] for frame in made.frames()] == [frame["record_id"] for frame in own]
    for job in replicas:
        frames = made.frame_map(f"replicas/job_{job['id']}/frames.json")["frames"]
        assert len(frames) == 3
    truths = made.frame_map(f"ground_truth/job_{truth['id']}/frames.json")["frames"]
    assert [frame["record_id"] for frame in truths] == ["f01", "f04"]
    originals = {
        path.name: path.read_bytes() for path in made.folder.rglob("*.png") if path.parent.name == "images"
    }
    assert originals == pictures(6)


def with_truth(made: Made) -> None:
    chosen = {"task_id": made.task_id, "frame_selection_method": "manual", "frames": [1, 4]}
    got = made.plain("POST", "/api/jobs", {"type": "ground_truth", **chosen})
    assert got.status == 201, got.data


ATTRIBUTE = {
    "name": "confidence",
    "mutable": False,
    "input_type": "text",
    "default_value": "",
    "values": [""],
}


def test_confidences_go_where_the_server_has_a_place_for_them(space: Workspace, version: str) -> None:
    session = CvatSession.open(Credentials(space.sandbox.url, *CREDENTIALS), clock=FastClock())
    labels = (NewLabel("weed"), NewLabel("sure", "any", attributes=(ATTRIBUTE,)))
    project = create_project(session, "Sure", labels)
    path = space.root / "a.png"
    save_png(np.zeros((8, 12, 3), dtype=np.uint8), path)
    task = create_task_with_pictures(
        session, TaskRequest("sure", project.id), [PictureToSend("a.png", path, 12, 8)]
    )
    (job,) = find_jobs(session, task_ids=[task.task_id], required_status=None)
    runs = encode(np.eye(8, 12, dtype=bool))
    assert runs is not None
    sent: list[Mask | Rectangle] = [
        Mask(label="weed", runs=runs.lengths, box=runs.box, confidence=0.125),
        Rectangle(label="sure", points=((1.0, 1.0), (5.0, 5.0)), confidence=0.75),
    ]
    write_new(session, job, {0: sent})
    writes = generation_of(version).writes_score
    there = {shape["type"]: shape for shape in space.shapes(task.task_id)}
    assert (there["mask"].get("score"), there["rectangle"].get("score")) == (
        (0.125, 0.75) if writes else (None, None)
    )
    assert [one["value"] for one in there["rectangle"]["attributes"]] == ["" if writes else "0.7500"]
    back = {shape.kind: shape for shape in read_job(session, job.id).shapes[0]}
    assert back["rectangle"].confidence == 0.75
    assert back["mask"].confidence == (0.125 if writes else None)
    assert np.array_equal(back["mask"].runs, runs.lengths)  # type: ignore[union-attr]


def test_a_token_that_may_only_read_pulls_and_does_not_push(
    space: Workspace, version: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    later = (datetime.now(UTC) + timedelta(days=90)).replace(microsecond=0)
    if not has_tokens(version):
        space.keys(access_token="robot-1")
        outcome = space.cli("upload-cvat", code=3)
        assert "This server has no access tokens (they came with CVAT 2.48)" in outcome.stderr
        assert "robot-1" not in outcome.text
        found = space.cli("doctor", code=3).stdout
        assert "no access tokens" in found
        return
    task_id = space.upload()["task_id"]
    space.complete(task_id)
    space.keys(access_token=token(space.plain, read_only=True, expiry_date=later.isoformat()))
    space.sandbox.forget_requests()
    another = ("-o", "cvat_upload.task_name=b")
    for command in (["upload-cvat", *another], ["undo", push_id(space), "--yes"]):
        outcome = space.cli(*command, code=3)
        (line,) = [one for one in outcome.stderr.splitlines() if "read-only" in one]
        assert "The access token 'robot' from .keys" in line
        assert f"{space.sandbox.url}/profile#security" in line
    assert space.writes() == []
    assert "Would upload 3 of 3" in space.cli("upload-cvat", "--dry-run", *another).stdout
    assert pull(space)["frames"] == 3
    monkeypatch.setattr(_pull_read, "EXPORT_FROM_PIXELS", 1)
    assert pull(space, *ANEW)["frames"] == 3
    assert len([line for line in space.writes() if "/dataset/export" in line]) == 1
    found = space.cli("doctor").stdout
    (line,) = [one for one in found.splitlines() if "access token" in one]
    assert f"expires {later:%Y-%m-%d %H:%M} UTC, in 8" in line
    assert "read-only" in line


def push_id(space: Workspace) -> str:
    return str(space.metrics()["upload-cvat"]["push_id"])

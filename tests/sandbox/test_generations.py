from __future__ import annotations

import io
import time
import zipfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from agir_cvtoolkit.errors import ConfigError
from agir_cvtoolkit.sandbox import GENERATIONS, Sandbox, SandboxOptions, generation_of

from .generations import TOKEN, Generations
from .plain import Got, Plain, pictures, rectangle, shapes

pytestmark = pytest.mark.integration

_FORMAT = "format=CVAT%20for%20images%201.1"


@pytest.fixture(params=GENERATIONS)
def version(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def plain(generations: Generations, version: str) -> Plain:
    return generations.plain(version)


def _numbers(version: str) -> tuple[int, ...]:
    return generation_of(version).version


def _annotations(plain: Plain, task: dict[str, Any]) -> str:
    return f"/api/tasks/{task['id']}/annotations/"


def _label(plain: Plain, task: dict[str, Any]) -> int:
    return int(plain("GET", f"/api/labels?task_id={task['id']}").json["results"][0]["id"])


def test_about_names_the_version(plain: Plain, version: str) -> None:
    about = plain("GET", "/api/server/about").json
    assert about["version"] == version
    assert ("subtitle" in about) == (_numbers(version) >= (2, 32))


@pytest.mark.parametrize("wrong", ["2.19.9", "1.7", "newest", ""])
def test_versions_that_cannot_be_played(tmp_path: Path, wrong: str) -> None:
    with pytest.raises(ConfigError, match="cannot play"):
        SandboxOptions(tmp_path, version=wrong)


def test_a_version_may_be_short(tmp_path: Path) -> None:
    assert SandboxOptions(tmp_path, version="2.60").version == "2.60.0"
    assert SandboxOptions(tmp_path, version="2.61.3-dev").generation.writes_score


def test_a_task_is_made_annotated_and_exported(plain: Plain) -> None:
    task = plain.task(pictures(2))
    put = plain("PUT", _annotations(plain, task), shapes(rectangle(_label(plain, task))))
    assert (put.status, len(put.json["shapes"])) == (200, 1)
    begun = plain("POST", f"/api/tasks/{task['id']}/dataset/export?{_FORMAT}&save_images=True")
    assert begun.status == 202
    ended = plain.wait(begun.json["rq_id"])
    got = plain("GET", ended["result_url"].removeprefix(plain.url))
    assert "images/f01.png" in zipfile.ZipFile(io.BytesIO(got.data)).namelist()


def _until_ready(plain: Plain, path: str) -> list[int]:
    seen: list[int] = []
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        seen.append(plain("GET", path).status)
        if seen[-1] != 202:
            return seen
        time.sleep(0.01)
    raise AssertionError(seen)


@pytest.mark.parametrize("kind", ["tasks", "jobs", "projects"])
@pytest.mark.parametrize("part", ["dataset", "annotations"])
def test_the_old_export(plain: Plain, version: str, kind: str, part: str) -> None:
    project = plain.project()
    task = plain.task(pictures(2), project_id=project["id"])
    job = plain("GET", f"/api/jobs?task_id={task['id']}").json["results"][0]
    number = {"tasks": task["id"], "jobs": job["id"], "projects": project["id"]}[kind]
    path = f"/api/{kind}/{number}/{part}?{_FORMAT}"
    if _numbers(version) >= (2, 32):
        got = plain("GET", path)
        assert got.status == 410
        assert "POST .../dataset/export" in got.json
        return
    early = plain("GET", f"{path}&action=download")
    assert (early.status, early.json) == (400, "Export has not finished")
    seen = _until_ready(plain, path)
    assert (seen[0], seen[-1]) == (202, 201)
    got = plain("GET", f"{path}&action=download")
    assert got.status == 200
    names = zipfile.ZipFile(io.BytesIO(got.data)).namelist()
    assert "annotations.xml" in names
    assert (len(names) > 1) == (part == "dataset")
    assert plain("GET", f"{path}&action=download").status == 400, "what was fetched is forgotten"
    assert plain("GET", f"/api/{kind}/{number}/{part}?format=Nope").status == 400
    assert plain("GET", f"{path}&action=dance").status == 400


def test_the_status_of_a_creation(plain: Plain) -> None:
    task = plain.task(pictures(1))
    status = plain("GET", f"/api/tasks/{task['id']}/status")
    assert (status.status, status.json["state"]) == (200, "Finished")


def test_bearer(plain: Plain, version: str) -> None:
    got = Plain(plain.url)("GET", "/api/users/self", headers={"Authorization": f"Bearer {TOKEN}"})
    if _numbers(version) < (2, 48):
        assert (got.status, got.json["detail"]) == (401, "Authentication credentials were not provided.")
        assert plain("GET", "/api/auth/access_tokens").status == 404
    else:
        assert got.json["username"] == "admin"
        wrong = Plain(plain.url)("GET", "/api/users/self", headers={"Authorization": "Bearer nope"})
        assert (wrong.status, wrong.json["detail"]) == (401, "Invalid token.")


@pytest.mark.parametrize("version", ["2.48.0", "2.80.0"])
def test_access_tokens(plain: Plain) -> None:
    made = plain("POST", "/api/auth/access_tokens", {"name": "mine", "read_only": True})
    assert made.status == 201
    token, number = made.json["value"], made.json["id"]
    path = f"/api/auth/access_tokens/{number}"
    assert "value" not in plain("GET", path).json

    def with_token(method: str, where: str, content: object = None) -> Got:
        return Plain(plain.url)(method, where, content, headers={"Authorization": f"Bearer {token}"})

    assert with_token("GET", "/api/projects").status == 200
    assert with_token("POST", "/api/projects", {"name": "p"}).status == 403
    assert with_token("GET", "/api/auth/access_tokens/self").json["id"] == number
    plain("PATCH", path, {"read_only": False})
    assert with_token("POST", "/api/projects", {"name": "p"}).status == 201
    assert with_token("POST", "/api/auth/access_tokens", {"name": "child"}).status == 403
    past = (datetime.now(UTC) - timedelta(seconds=1)).isoformat()
    assert plain("PATCH", path, {"expiry_date": past}).status == 200
    assert with_token("GET", "/api/projects").status == 401
    assert number not in [t["id"] for t in plain("GET", "/api/auth/access_tokens").json["results"]]
    assert plain("PATCH", path, {"expiry_date": None}).status == 200
    assert with_token("GET", "/api/projects").status == 200
    assert plain("DELETE", path).status == 204
    assert with_token("GET", "/api/projects").status == 401


def test_scores(plain: Plain, version: str) -> None:
    task = plain.task(pictures(1))
    path, label = _annotations(plain, task), _label(plain, task)
    kept = plain("PUT", path, shapes(rectangle(label, score=0.25))).json["shapes"][0]
    if _numbers(version) >= (2, 60):
        assert kept["score"] == 0.25
        assert plain("PUT", path, shapes(rectangle(label))).json["shapes"][0]["score"] == 1.0
        assert plain("PUT", path, shapes(rectangle(label, score=1.5))).status == 400
    else:
        assert "score" not in kept


def test_a_score_that_can_only_be_read(generations: Generations) -> None:
    plain = generations.plain("2.56.0")
    task = plain.task(pictures(1))
    content = shapes(rectangle(_label(plain, task), score=0.25))
    assert plain("PUT", _annotations(plain, task), content).json["shapes"][0]["score"] == 1.0


def test_ids_and_points_are_checked_by_later_servers_only(plain: Plain, version: str) -> None:
    task = plain.task(pictures(1))
    path, label = _annotations(plain, task), _label(plain, task)
    with_id = shapes(rectangle(label) | {"id": 5000})
    got = plain("PATCH", f"{path}?action=create", with_id)
    assert got.status == (400 if _numbers(version) >= (2, 41) else 200)
    assert plain("PUT", path, with_id).status == got.status
    short = shapes(rectangle(label, points=[1, 2, 3]))
    assert plain("PUT", path, short).status == (400 if _numbers(version) >= (2, 40) else 200)
    without = plain("PATCH", f"{path}?action=delete", shapes(rectangle(label)))
    assert without.status == (400 if _numbers(version) >= (2, 41) else 200)


def test_replicas(plain: Plain, version: str) -> None:
    numbers = _numbers(version)
    key = "initial_replicas" if numbers >= (2, 80) else "consensus_replicas"
    task = plain.task(pictures(4), spec={key: 2, "segment_size": 2})
    jobs = plain("GET", f"/api/jobs?task_id={task['id']}&sort=id").json["results"]
    if numbers < (2, 27):
        assert [job["type"] for job in jobs] == ["annotation"] * 2
        assert "parent_job_id" not in jobs[0]
        return
    kind = "replica" if numbers >= (2, 80) else "consensus_replica"
    assert [job["type"] for job in jobs] == ["annotation", kind, kind] * 2
    first = jobs[0]["id"]
    assert [job["parent_job_id"] for job in jobs] == [None, first, first, None, first + 3, first + 3]
    count = "replicas_count" if numbers >= (2, 80) else "consensus_replicas"
    assert [job[count] for job in jobs[:2]] == [2, 0]
    assert ("consensus_enabled" in task) == (numbers < (2, 80))
    assert ("initial_replicas" in task) == (numbers >= (2, 80))
    found = plain("GET", f"/api/jobs?task_id={task['id']}&type={kind}").json
    assert found["count"] == 4
    other = "consensus_replica" if kind == "replica" else "replica"
    assert plain("GET", f"/api/jobs?type={other}").status == 400
    label = _label(plain, task)
    plain("PUT", f"/api/jobs/{first + 1}/annotations/", shapes(rectangle(label)))
    assert plain("GET", _annotations(plain, task)).json["shapes"] == []
    plain("PUT", _annotations(plain, task), shapes(rectangle(label, 1)))
    held = [len(plain("GET", f"/api/jobs/{job['id']}/annotations/").json["shapes"]) for job in jobs[:3]]
    assert held == [1, 1, 0]


@pytest.mark.parametrize("count", [1, 11, -1])
def test_replica_counts_that_cannot_be(generations: Generations, count: int) -> None:
    spec = {"name": "t", "labels": [{"name": "a"}], "consensus_replicas": count}
    assert generations.plain("2.42.0")("POST", "/api/tasks", spec).status == 400


def test_ground_truth_jobs_exist_in_every_generation(plain: Plain, version: str) -> None:
    task = plain.task(pictures(4))
    wanted = {
        "type": "ground_truth",
        "task_id": task["id"],
        "frame_selection_method": "manual",
        "frames": [1, 3],
    }
    job = plain("POST", "/api/jobs", wanted)
    assert (job.status, job.json["type"], job.json["frame_count"]) == (201, "ground_truth", 2)
    layout = plain("GET", f"/api/tasks/{task['id']}/validation_layout")
    if _numbers(version) < (2, 21):
        assert layout.status == 404
        assert plain("GET", f"/api/jobs/{job.json['id']}/validation_layout").status == 404
    else:
        assert layout.json["validation_frames"] == [1, 3]


def test_label_types_and_intervals(plain: Plain, version: str) -> None:
    later = _numbers(version) >= (2, 66)
    got = plain("POST", "/api/projects", {"name": "p", "labels": [{"name": "a", "type": "interval"}]})
    assert got.status == (201 if later else 400)
    task = plain.task(pictures(1))
    assert ("intervals" in plain("GET", _annotations(plain, task)).json) == later


def test_fields_that_came_later(plain: Plain, version: str) -> None:
    numbers = _numbers(version)
    project = plain.project()
    task = plain.task(pictures(1), project_id=project["id"])
    job = plain("GET", f"/api/jobs?task_id={task['id']}").json["results"][0]
    meta = plain("GET", f"/api/tasks/{task['id']}/data/meta").json
    assert ("validation_mode" in task) == (numbers >= (2, 21))
    assert ("chunks_updated_date" in meta) == (numbers >= (2, 21))
    assert ("organization_id" in task) == (numbers >= (2, 48))
    assert ("cloud_storage_id" in meta) == (numbers >= (2, 48))
    assert ("project_name" in task) == ("task_name" in job) == (numbers >= (2, 60))
    assert ("media_type" in task) == ("media_type" in job) == (numbers >= (2, 67))


def test_one_folder_may_be_played_by_another_version(tmp_path: Path) -> None:
    with Sandbox(SandboxOptions(tmp_path, version="2.20")) as sandbox:
        client = Plain(sandbox.url)
        client.log_in()
        task = client.task(pictures(2))
    with Sandbox(SandboxOptions(tmp_path, version="2.80")) as sandbox:
        client = Plain(sandbox.url)
        client.log_in()
        assert client("GET", f"/api/tasks/{task['id']}").json["initial_replicas"] == 0
        assert client("GET", "/api/jobs").json["results"][0]["type"] == "annotation"

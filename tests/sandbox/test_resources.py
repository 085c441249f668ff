from __future__ import annotations

import json
import uuid
from urllib.parse import quote

import pytest

from .plain import Plain, pictures

pytestmark = pytest.mark.integration

_SKELETON = {
    "name": "dog",
    "type": "skeleton",
    "sublabels": [{"name": "nose", "type": "points"}, {"name": "tail", "type": "points"}],
    "svg": '<circle data-element-id="1" data-node-id="1" data-label-name="nose"></circle>',
}


@pytest.mark.parametrize(
    ("kind", "name"), [("projects", "Project"), ("tasks", "Task"), ("jobs", "Job"), ("labels", "Label")]
)
def test_missing_objects(plain: Plain, kind: str, name: str) -> None:
    got = plain("GET", f"/api/{kind}/99")
    assert (got.status, got.json) == (404, {"detail": f"No {name} matches the given query."})


def test_labels_with_attributes_and_skeletons(plain: Plain) -> None:
    attribute = {"name": "state", "mutable": True, "input_type": "select", "values": ["a", "b"]}
    project = plain.project([{"name": "plant", "type": "mask", "attributes": [attribute]}, _SKELETON])
    labels = plain.labels(project["id"])
    assert labels["plant"]["attributes"][0]["default_value"] == "a"
    assert labels["plant"]["project_id"] == project["id"]
    nose = labels["dog"]["sublabels"][0]
    assert f'data-label-id="{nose["id"]}"' in labels["dog"]["svg"]
    assert nose["has_parent"]
    assert set(labels) == {"plant", "dog"}


def test_labels_are_added_changed_and_deleted_by_patch(plain: Plain) -> None:
    project = plain.project()
    path = f"/api/projects/{project['id']}"
    assert plain("PATCH", path, {"labels": [{"name": "weed"}]}).status == 200
    labels = plain.labels(project["id"])
    assert set(labels) == {"plant", "weed"}
    change = [{"id": labels["weed"]["id"], "name": "crop"}, {"id": labels["plant"]["id"], "deleted": True}]
    assert plain("PATCH", path, {"labels": change}).status == 200
    assert set(plain.labels(project["id"])) == {"crop"}
    assert plain("PATCH", path, {"labels": [{"name": "crop"}]}).status == 400


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        ({}, "This field is required."),
        ({"name": "t"}, "Label set or project_id must be present"),
        ({"name": "t", "project_id": 99}, "Project matching query does not exist."),
        ({"name": "t", "labels": [{"name": "a"}, {"name": "a"}]}, "unique"),
        ({"name": "t", "labels": [{"name": "a", "type": "blob"}]}, "is not a valid choice."),
    ],
)
def test_tasks_that_cannot_be(plain: Plain, spec: object, text: str) -> None:
    got = plain("POST", "/api/tasks", spec)
    assert got.status == 400
    assert text in got.data.decode()


def test_labels_and_project_exclude_each_other(plain: Plain) -> None:
    project = plain.project()
    got = plain("POST", "/api/tasks", {"name": "t", "project_id": project["id"], "labels": [{"name": "a"}]})
    assert got.status == 400


def test_names_may_repeat(plain: Plain) -> None:
    assert plain.project()["id"] != plain.project()["id"]


def test_pages(plain: Plain) -> None:
    for _ in range(12):
        plain.project()
    first = plain("GET", "/api/projects").json
    assert (first["count"], len(first["results"])) == (12, 10)
    assert first["results"][0]["id"] == 12
    path = first["next"].removeprefix(plain.url)
    assert len(plain("GET", path).json["results"]) == 2
    beyond = plain("GET", "/api/projects?page=3")
    assert (beyond.status, beyond.json) == (404, {"detail": "Invalid page."})
    for size, shown in (("0", 10), ("-1", 10), ("junk", 10), ("100000", 12), ("all", 12)):
        assert len(plain("GET", f"/api/projects?page_size={size}").json["results"]) == shown


def test_unknown_query_and_sort_are_ignored(plain: Plain) -> None:
    for _ in range(2):
        plain.project()
    assert plain("GET", "/api/projects?sort=nothing&whatever=5").json["count"] == 2


def test_segments_and_overlap(plain: Plain) -> None:
    task = plain.task(pictures(10), spec={"segment_size": 4, "overlap": 1})
    jobs = plain("GET", f"/api/jobs?task_id={task['id']}").json["results"]
    assert [(j["start_frame"], j["stop_frame"]) for j in reversed(jobs)] == [(0, 3), (3, 6), (6, 9)]
    assert jobs[0]["id"] > jobs[1]["id"]


def test_job_lists(plain: Plain) -> None:
    project = plain.project()
    first = plain.task(pictures(4), project_id=project["id"], spec={"segment_size": 2})
    plain.task(pictures(1))
    job = plain("GET", f"/api/jobs?task_id={first['id']}&sort=id").json["results"][0]
    plain("PATCH", f"/api/jobs/{job['id']}", {"state": "completed"})

    def ids(query: str) -> list[int]:
        return [found["id"] for found in plain("GET", f"/api/jobs?{query}").json["results"]]

    assert ids("state=completed") == [job["id"]]
    assert ids(f"project_id={project['id']}&state=new&stage=annotation") == [job["id"] + 1]
    assert ids("sort=-updated_date")[0] == job["id"]
    assert ids("task_id=999999") == []
    rule = {"and": [{"==": [{"var": "state"}, "completed"]}, {">=": [{"var": "updated_date"}, "2026-01-01"]}]}
    assert ids("filter=" + quote(json.dumps(rule))) == [job["id"]]
    assert plain("GET", "/api/jobs?state=bogus").status == 400
    turned = {"==": ["completed", {"var": "state"}]}
    assert plain("GET", "/api/jobs?filter=" + quote(json.dumps(turned))).status == 500
    unknown = {"==": [{"var": "colour"}, 1]}
    assert plain("GET", "/api/jobs?filter=" + quote(json.dumps(unknown))).status == 400


def test_stage_resets_state_and_unknown_fields_are_forbidden(plain: Plain) -> None:
    task = plain.task()
    path = f"/api/jobs/{plain('GET', '/api/jobs').json['results'][0]['id']}"

    def status() -> tuple[str, str, str, int]:
        job, found = plain("GET", path).json, plain("GET", f"/api/tasks/{task['id']}").json
        return job["stage"], job["state"], found["status"], found["jobs"]["completed"]

    plain("PATCH", path, {"state": "completed"})
    assert status() == ("annotation", "completed", "annotation", 0)
    plain("PATCH", path, {"stage": "validation"})
    assert status() == ("validation", "new", "validation", 0)
    plain("PATCH", path, {"stage": "acceptance", "state": "completed"})
    assert status() == ("acceptance", "completed", "completed", 1)
    assert plain("PATCH", path, {"colour": 1}).status == 403
    assert plain("PATCH", path, {"state": "done"}).status == 400


def test_task_filters(plain: Plain) -> None:
    project = plain.project()
    plain.task(pictures(1), project_id=project["id"], spec={"name": "here"})
    plain.task(pictures(1), spec={"name": "there"})

    def names(query: str) -> list[str]:
        return [found["name"] for found in plain("GET", f"/api/tasks?{query}").json["results"]]

    assert names(f"project_id={project['id']}") == ["here"]
    assert names("name=there") == ["there"]
    assert names("project_id=999999") == []
    assert names("search=here") == ["there", "here"]
    assert names("filter=" + quote(json.dumps({"in": [{"var": "project_id"}, [project["id"]]]}))) == ["here"]


def test_deleting_a_project_deletes_its_tasks(plain: Plain) -> None:
    project = plain.project()
    task = plain.task(pictures(1), project_id=project["id"])
    assert plain("DELETE", f"/api/projects/{project['id']}").status == 204
    assert plain("GET", f"/api/tasks/{task['id']}").status == 404
    assert plain("GET", "/api/jobs").json["count"] == 0


def test_labels_of_another_organization_are_not_listed(plain: Plain) -> None:
    slug = f"lab{uuid.uuid4().hex[:8]}"
    plain("POST", "/api/organizations", {"slug": slug, "name": "Lab"})
    content = {"name": "p", "labels": [{"name": "plant"}]}
    project = plain("POST", "/api/projects", content, headers={"X-Organization": slug}).json["id"]

    def count(**headers: str) -> int:
        path = f"/api/labels?project_id={project}"
        return int(plain("GET", path, headers=headers).json["count"])

    assert count() == 1
    assert count(**{"X-Organization": slug}) == 1
    assert count(**{"X-Organization": ""}) == 0
    assert plain("GET", "/api/labels?project_id=99999999").status == 500


@pytest.mark.parametrize("path", ["/", "/tasks/1", "/tasks/1/jobs/7"])
def test_a_browser_gets_the_page_and_no_password(plain: Plain, path: str) -> None:
    got = plain("GET", path)
    assert got.status == 200
    assert "text/html" in got.headers["content-type"]
    page = got.data.decode()
    assert "/page/js/" in page
    assert "admin123" not in page

"""Issues and comments: made, listed, resolved, gone with their job."""

from __future__ import annotations

import pytest

from agir_cvtoolkit.sandbox import Sandbox

from .plain import Plain, pictures

pytestmark = pytest.mark.integration


@pytest.fixture
def sandbox(shared_sandbox: Sandbox) -> Sandbox:
    return shared_sandbox


def test_issues_and_comments(plain: Plain) -> None:
    task = plain.task(pictures(2))
    job = plain("GET", f"/api/jobs?task_id={task['id']}").json["results"][0]
    spec = {"frame": 1, "position": [1, 2, 8, 9], "job": job["id"], "message": "tip is missing"}
    made = plain("POST", "/api/issues", spec)
    assert made.status == 201
    issue = made.json
    assert (issue["frame"], issue["position"], issue["resolved"]) == (1, [1.0, 2.0, 8.0, 9.0], False)
    assert issue["owner"]["username"] == "admin"
    said = plain("POST", "/api/comments", {"issue": issue["id"], "message": "done"})
    assert said.status == 201
    comments = plain("GET", f"/api/comments?issue_id={issue['id']}&sort=id").json["results"]
    assert [comment["message"] for comment in comments] == ["tip is missing", "done"]
    listed = plain("GET", f"/api/issues?task_id={task['id']}&resolved=false").json["results"]
    assert [(found["id"], found["comments"]["count"]) for found in listed] == [(issue["id"], 2)]
    assert plain("GET", f"/api/jobs/{job['id']}").json["issues"]["count"] == 1
    assert plain("GET", f"/api/jobs/{job['id']}").json["updated_date"] == job["updated_date"]
    resolved = plain("PATCH", f"/api/issues/{issue['id']}", {"resolved": True}).json
    assert resolved["resolved"]
    assert plain("GET", f"/api/issues?task_id={task['id']}&resolved=false").json["count"] == 0
    plain("DELETE", f"/api/tasks/{task['id']}")
    assert plain("GET", f"/api/issues/{issue['id']}").status == 404
    assert plain("GET", f"/api/comments/{said.json['id']}").status == 404


def test_issues_that_cannot_be(plain: Plain) -> None:
    task = plain.task(pictures(1))
    job = plain("GET", f"/api/jobs?task_id={task['id']}").json["results"][0]
    spec = {"frame": 0, "position": [1, 2], "job": job["id"], "message": "x"}
    for wrong in ({"frame": 5}, {"position": "here"}, {"job": 10**6}, {"message": ""}):
        assert plain("POST", "/api/issues", spec | wrong).status == 400
    for missing in spec:
        assert plain("POST", "/api/issues", {k: v for k, v in spec.items() if k != missing}).status == 400
    assert plain("POST", "/api/comments", {"issue": 10**6, "message": "x"}).status == 400

"""What reviewers say of frames: issues with a place on the picture, and the comments below them."""

from __future__ import annotations

from starlette.responses import Response

from .access import account, basic_user
from .answers import Refusal, not_found, reply, required
from .calls import Call
from .lists import list_answer
from .store import Json, now
from .tasks import forget_issue, frames_in


def list_issues(call: Call) -> Response:
    """Answer ``GET /api/issues``."""
    jobs = {job["id"]: job for job in call.store.all("job")}
    users = {user["id"]: user["username"] for user in call.store.all("user")}
    issues = [_in_organization(call, issue, jobs) for issue in call.store.all("issue")]
    return list_answer(
        call,
        issues,
        lambda i: {
            "id": i["id"],
            "job_id": i["job"],
            "task_id": jobs[i["job"]]["task_id"],
            "frame_id": i["frame"],
            "owner": users.get(i["owner_id"]),
            "assignee": users.get(i["assignee_id"]),
            "resolved": i["resolved"],
        },
        lambda i: _issue_view(call, i),
    )


def create_issue(call: Call) -> Response:
    """Answer ``POST /api/issues``: its message becomes the first comment."""
    spec = call.json_object()
    for name in ("frame", "position", "job", "message"):
        if name not in spec:
            raise required(name)
    position = spec["position"]
    if not isinstance(position, list) or not all(isinstance(value, int | float) for value in position):
        raise Refusal(400, {"position": ["A valid number is required."]})
    if not isinstance(spec["message"], str) or not spec["message"]:
        raise Refusal(400, {"message": ["This field may not be blank."]})
    store = call.store
    with store.transaction():
        job = store.get("job", spec["job"]) if isinstance(spec["job"], int) else None
        if job is None:
            raise Refusal(400, {"job": [f'Invalid pk "{spec["job"]}" - object does not exist.']})
        if spec["frame"] not in frames_in(job):
            raise Refusal(400, ["The frame is not in the job"])
        at = now()
        issue: Json = {
            "id": store.next_id("issue"),
            "frame": spec["frame"],
            "position": [float(value) for value in position],
            "job": job["id"],
            "owner_id": call.user["id"],
            "assignee_id": account(call, spec, "assignee"),
            "created_date": at,
            "updated_date": at,
            "resolved": bool(spec.get("resolved", False)),
        }
        store.put("issue", issue["id"], issue, parent=f"job:{job['id']}")
        _comment(call, issue["id"], spec["message"])
    return reply(_issue_view(call, issue), 201)


def show_issue(call: Call) -> Response:
    """Answer ``GET /api/issues/ID``."""
    return reply(_issue_view(call, call.load("issue")))


def patch_issue(call: Call) -> Response:
    """Answer ``PATCH /api/issues/ID``: resolved or opened again, given to somebody, or moved."""
    spec = call.json_object()
    with call.store.transaction():
        issue = call.load("issue")
        if "resolved" in spec:
            issue["resolved"] = bool(spec["resolved"])
        if "assignee" in spec:
            issue["assignee_id"] = account(call, spec, "assignee")
        if isinstance(spec.get("position"), list):
            issue["position"] = [float(value) for value in spec["position"]]
        issue["updated_date"] = now()
        call.store.put("issue", issue["id"], issue)
    return reply(_issue_view(call, issue))


def remove_issue(call: Call) -> Response:
    """Answer ``DELETE /api/issues/ID``."""
    with call.store.transaction():
        forget_issue(call.store, call.load("issue"))
    return Response(status_code=204)


def list_comments(call: Call) -> Response:
    """Answer ``GET /api/comments``."""
    issues = {issue["id"]: issue for issue in call.store.all("issue")}
    jobs = {job["id"]: job for job in call.store.all("job")}
    users = {user["id"]: user["username"] for user in call.store.all("user")}
    comments = [
        comment | {"organization": _in_organization(call, issues[comment["issue"]], jobs)["organization"]}
        for comment in call.store.all("comment")
    ]
    return list_answer(
        call,
        comments,
        lambda c: {
            "id": c["id"],
            "issue_id": c["issue"],
            "job_id": issues[c["issue"]]["job"],
            "frame_id": issues[c["issue"]]["frame"],
            "owner": users.get(c["owner_id"]),
        },
        lambda c: _comment_view(call, c),
    )


def create_comment(call: Call) -> Response:
    """Answer ``POST /api/comments``."""
    spec = call.json_object()
    for name in ("issue", "message"):
        if not spec.get(name):
            raise required(name)
    with call.store.transaction():
        if not isinstance(spec["issue"], int) or call.store.get("issue", spec["issue"]) is None:
            raise Refusal(400, {"issue": [f'Invalid pk "{spec["issue"]}" - object does not exist.']})
        comment = _comment(call, spec["issue"], str(spec["message"]))
    return reply(_comment_view(call, comment), 201)


def show_comment(call: Call) -> Response:
    """Answer ``GET /api/comments/ID``."""
    return reply(_comment_view(call, call.load("comment")))


def remove_comment(call: Call) -> Response:
    """Answer ``DELETE /api/comments/ID``."""
    comment = call.load("comment")
    call.store.remove("comment", comment["id"])
    return Response(status_code=204)


def _comment(call: Call, issue_id: int, message: str) -> Json:
    at = now()
    comment: Json = {
        "id": call.store.next_id("comment"),
        "issue": issue_id,
        "owner_id": call.user["id"],
        "message": message,
        "created_date": at,
        "updated_date": at,
    }
    call.store.put("comment", comment["id"], comment, parent=f"issue:{issue_id}")
    return comment


def _in_organization(call: Call, issue: Json, jobs: dict[int, Json]) -> Json:
    task = call.store.get("task", jobs[issue["job"]]["task_id"])
    if task is None:
        raise not_found("Issue")
    return issue | {"organization": task["organization"]}


def _issue_view(call: Call, issue: Json) -> Json:
    shown = ("id", "frame", "position", "job", "created_date", "updated_date", "resolved")
    comments = call.store.all("comment", parent=f"issue:{issue['id']}")
    return {name: issue[name] for name in shown} | {
        "owner": basic_user(call, issue["owner_id"]),
        "assignee": basic_user(call, issue["assignee_id"]),
        "comments": {
            "count": len(comments),
            "url": f"{call.origin}/api/comments?issue_id={issue['id']}",
        },
    }


def _comment_view(call: Call, comment: Json) -> Json:
    shown = ("id", "issue", "message", "created_date", "updated_date")
    return {name: comment[name] for name in shown} | {"owner": basic_user(call, comment["owner_id"])}

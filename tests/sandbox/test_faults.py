from __future__ import annotations

import json
import time
from pathlib import Path
from urllib.parse import quote

import pytest
import urllib3

from agir_cvtoolkit.errors import ConfigError
from agir_cvtoolkit.sandbox import Fault, Sandbox, SandboxOptions, load_faults

from .plain import Plain, pictures

pytestmark = pytest.mark.integration

_PROJECT = {"name": "p", "labels": [{"name": "a"}]}


def _count(plain: Plain) -> int:
    return int(plain("GET", "/api/projects").json["count"])


def test_a_status_hits_the_nth_request_only(sandbox: Sandbox, plain: Plain) -> None:
    sandbox.add_fault(Fault(path="^/api/projects$", method="POST", nth=2, status=503))
    got = [plain("POST", "/api/projects", _PROJECT) for _ in range(3)]
    assert [one.status for one in got] == [201, 503, 201]
    assert got[1].headers["content-type"].startswith("text/html")
    assert _count(plain) == 2


def test_throttling_by_rule(sandbox: Sandbox, plain: Plain) -> None:
    sandbox.add_fault(Fault(path="/api/tasks", status=429, body="json", retry_after=7, times=2))
    first = plain("GET", "/api/tasks")
    assert (first.status, first.headers["Retry-After"], list(first.json)) == (429, "7", ["detail"])
    assert [plain("GET", "/api/tasks").status for _ in range(2)] == [429, 200]


def test_cut_before_does_nothing(sandbox: Sandbox, plain: Plain) -> None:
    sandbox.add_fault(Fault(path="/api/projects", method="POST", action="cut_before"))
    with pytest.raises(urllib3.exceptions.HTTPError):
        plain("POST", "/api/projects", _PROJECT)
    assert _count(plain) == 0


def test_cut_after_has_done_it(sandbox: Sandbox, plain: Plain) -> None:
    sandbox.add_fault(Fault(path="/api/projects", method="POST", action="cut_after"))
    with pytest.raises(urllib3.exceptions.HTTPError):
        plain("POST", "/api/projects", _PROJECT)
    assert _count(plain) == 1


def test_cut_within_sends_half_an_answer(sandbox: Sandbox, plain: Plain) -> None:
    sandbox.add_fault(Fault(path="/api/server/about", action="cut_within"))
    with pytest.raises(urllib3.exceptions.HTTPError):
        plain("GET", "/api/server/about")
    assert plain("GET", "/api/server/about").status == 200


def test_delay(sandbox: Sandbox, plain: Plain) -> None:
    sandbox.add_fault(Fault(path="about", action="delay", delay=0.3))
    start = time.monotonic()
    assert plain("GET", "/api/server/about").status == 200
    assert time.monotonic() - start >= 0.3


def test_a_group_that_is_reset_within_leaves_no_file(sandbox: Sandbox, plain: Plain) -> None:
    made = plain("POST", "/api/tasks", {"name": "t", "labels": [{"name": "a"}]})
    path = f"/api/tasks/{made.json['id']}/data/"
    sandbox.add_fault(Fault(path=path, method="POST", nth=2, action="cut_within_request"))
    files = pictures(3, (64, 48))
    with pytest.raises(urllib3.exceptions.HTTPError):
        plain.send(made.json["id"], files)
    folder = sandbox.options.root / "data" / str(made.json["id"])
    assert list(folder.iterdir()) == []


def test_reset_within_a_request_without_body_does_nothing(sandbox: Sandbox, plain: Plain) -> None:
    key = plain("POST", "/api/projects", _PROJECT).json["id"]
    sandbox.add_fault(Fault(path="/api/projects", method="DELETE", action="cut_within_request"))
    with pytest.raises(urllib3.exceptions.HTTPError):
        plain("DELETE", f"/api/projects/{key}")
    assert _count(plain) == 1


def test_a_status_after_the_work(sandbox: Sandbox, plain: Plain) -> None:
    sandbox.add_fault(Fault(path="/api/projects", method="POST", action="status_after", status=504))
    got = plain("POST", "/api/projects", _PROJECT)
    assert (got.status, got.headers["content-type"].split(";")[0]) == (504, "text/html")
    assert _count(plain) == 1


@pytest.mark.parametrize("status", [200, 202, 507])
def test_a_page_with_any_status(sandbox: Sandbox, plain: Plain, status: int) -> None:
    sandbox.add_fault(Fault(path="/api/projects", status=status, body="html"))
    got = plain("GET", "/api/projects")
    assert got.status == status
    assert b"<html" in got.data


def test_forgotten_requests(sandbox: Sandbox, plain: Plain) -> None:
    made = plain("POST", "/api/tasks", {"name": "t", "labels": [{"name": "a"}]}).json["id"]
    rq_id = plain.send(made, pictures(1)).json["rq_id"]
    plain.wait(rq_id)
    path = f"/api/requests/{quote(rq_id, safe='')}"
    sandbox.add_fault(Fault(path="/api/requests/", action="forget"))
    got = plain("GET", path)
    assert (got.status, got.data) == (404, b"There is no request with specified id")
    assert plain("GET", path).status == 200


def test_dribble_gives_the_whole_answer_late(sandbox: Sandbox, plain: Plain) -> None:
    whole = plain("GET", "/api/users/self").data
    sandbox.add_fault(Fault(path="/api/users/self", action="dribble", delay=0.2))
    start = time.monotonic()
    assert plain("GET", "/api/users/self").data == whole
    assert time.monotonic() - start >= 0.2


def test_refused_until_accepted(sandbox: Sandbox, plain: Plain) -> None:
    plain("GET", "/api/projects")
    sandbox.add_fault(Fault(path="/api/projects", method="POST", action="refuse"))
    for _ in range(3):
        with pytest.raises(urllib3.exceptions.HTTPError):
            plain("POST", "/api/projects", _PROJECT)
    sandbox.accept()
    assert plain("POST", "/api/projects", _PROJECT).status == 201
    assert _count(plain) == 1


def test_refused_for_a_while(sandbox: Sandbox, plain: Plain) -> None:
    sandbox.add_fault(Fault(path="/api/projects", action="refuse", delay=0.2))
    start = time.monotonic()
    answered = False
    while not answered and time.monotonic() < start + 120:
        try:
            answered = plain("GET", "/api/projects").status == 200
        except urllib3.exceptions.HTTPError:
            time.sleep(0.01)
    assert answered
    assert time.monotonic() - start >= 0.2


def test_a_server_stops_behind_its_shut_door(tmp_path: Path) -> None:
    with Sandbox(SandboxOptions(tmp_path)) as sandbox:
        sandbox.add_fault(Fault(path="about", action="refuse"))
        with pytest.raises(urllib3.exceptions.HTTPError):
            Plain(sandbox.url)("GET", "/api/server/about")
    with Sandbox(SandboxOptions(tmp_path, port=int(sandbox.url.rsplit(":", 1)[1]))) as again:
        assert Plain(again.url)("GET", "/api/server/about").status == 200


def test_times_zero_hits_for_ever_and_the_query_counts(sandbox: Sandbox, plain: Plain) -> None:
    sandbox.add_fault(Fault(path=r"projects\?name=x", times=0, status=502))
    assert [plain("GET", "/api/projects?name=x").status for _ in range(3)] == [502] * 3
    assert plain("GET", "/api/projects").status == 200


def test_control_endpoint(sandbox: Sandbox) -> None:
    client = Plain(sandbox.url)
    rule = {"path": "about", "status": 500, "times": 0}
    assert client("PUT", "/sandbox/faults", [rule]).status == 200
    assert client("GET", "/api/server/about").status == 500
    assert client("GET", "/sandbox/faults").json[0]["matched"] == 1
    assert client("POST", "/sandbox/faults", {"path": "x", "statsu": 1}).status == 400
    assert client("DELETE", "/sandbox/faults").json == []
    assert client("GET", "/api/server/about").status == 200


def test_fault_file(tmp_path: Path) -> None:
    (tmp_path / "faults.json").write_text(json.dumps([{"path": "about", "status": 418}]))
    with Sandbox(SandboxOptions(tmp_path)) as sandbox:
        assert Plain(sandbox.url)("GET", "/api/server/about").status == 418


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("{}", "no JSON list"),
        ("[1]", "JSON object"),
        ('[{"path": "("}]', "regular expression"),
        ('[{"path": "x", "action": "cut_befor"}]', "Did you mean 'cut_before'"),
        ('[{"pth": "x"}]', "Did you mean 'path'"),
        ("[{}]", "cannot be read"),
    ],
)
def test_wrong_fault_files(tmp_path: Path, content: str, text: str) -> None:
    path = tmp_path / "faults.json"
    path.write_text(content)
    with pytest.raises(ConfigError, match=text):
        load_faults(path)


def test_requests_are_remembered(sandbox: Sandbox, plain: Plain) -> None:
    sandbox.forget_requests()
    sandbox.add_fault(Fault(path="/api/tasks", action="cut_before"))
    plain("GET", "/api/projects?page_size=5")
    with pytest.raises(urllib3.exceptions.HTTPError):
        plain("GET", "/api/tasks")
    seen = [(one.method, one.target, one.status) for one in sandbox.requests()]
    assert seen == [("GET", "/api/projects?page_size=5", 200), ("GET", "/api/tasks", None)]

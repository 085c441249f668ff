from __future__ import annotations

from base64 import b64encode
from http.cookies import SimpleCookie
from pathlib import Path

import pytest

from agir_cvtoolkit.errors import ConfigError
from agir_cvtoolkit.sandbox import Sandbox, SandboxOptions

from .plain import Plain, pictures

pytestmark = pytest.mark.integration


def test_about_needs_no_account(sandbox: Sandbox) -> None:
    assert Plain(sandbox.url)("GET", "/api/server/about").json["version"] == "2.42.0"


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.4", "example.org", "::"])
def test_only_loopback(tmp_path: Path, host: str) -> None:
    with pytest.raises(ConfigError, match="loopback"):
        SandboxOptions(tmp_path, host=host)


def test_a_taken_port_is_named(sandbox: Sandbox, tmp_path: Path) -> None:
    port = int(sandbox.url.rsplit(":", 1)[1])
    other = Sandbox(SandboxOptions(tmp_path / "other", port=port))
    with pytest.raises(ConfigError, match=str(port)):
        other.start()


def test_wrong_password(sandbox: Sandbox) -> None:
    got = Plain(sandbox.url).log_in(password="wrong")
    assert got.status == 400
    assert got.json == {"non_field_errors": ["Unable to log in with provided credentials."]}


def test_login_by_email(sandbox: Sandbox) -> None:
    assert Plain(sandbox.url).log_in("admin@localhost.local").status == 200


@pytest.mark.parametrize(
    ("header", "status", "detail"),
    [
        (None, 401, "Authentication credentials were not provided."),
        ("Token nope", 401, "Invalid token."),
        ("Basic " + b64encode(b"admin:admin123").decode(), 200, None),
        ("Basic " + b64encode(b"admin:nope").decode(), 401, "Invalid username/password."),
    ],
)
def test_authorization(sandbox: Sandbox, header: str | None, status: int, detail: str | None) -> None:
    headers = {} if header is None else {"Authorization": header}
    got = Plain(sandbox.url)("GET", "/api/users/self", headers=headers)
    assert got.status == status
    assert got.json.get("detail") == detail


def test_before_2_48_bearer_is_no_credential(tmp_path: Path) -> None:
    with Sandbox(SandboxOptions(tmp_path, access_token="pat-123")) as sandbox:
        got = Plain(sandbox.url)("GET", "/api/users/self", headers={"Authorization": "Bearer pat-123"})
    assert (got.status, got.json["detail"]) == (401, "Authentication credentials were not provided.")


def test_session_needs_csrf_on_writes_only(sandbox: Sandbox) -> None:
    client = Plain(sandbox.url)
    got = client.log_in()
    jar: SimpleCookie = SimpleCookie()
    for line in got.headers.getlist("set-cookie"):  # type: ignore[attr-defined]
        jar.load(line)
    client.headers = {"Cookie": "; ".join(f"{k}={m.value}" for k, m in jar.items())}
    assert client("GET", "/api/users/self").json["username"] == "admin"
    refused = client("POST", "/api/projects", {"name": "p"})
    assert refused.status == 403
    assert refused.json["detail"] == "CSRF Failed: CSRF token missing."
    wrong = client("POST", "/api/projects", {"name": "p"}, headers={"X-CSRFToken": "x"})
    assert wrong.status == 403
    right = client("POST", "/api/projects", {"name": "p"}, headers={"X-CSRFToken": jar["csrftoken"].value})
    assert right.status == 201


def test_logout_destroys_the_token_of_every_client(sandbox: Sandbox, plain: Plain) -> None:
    other = Plain(sandbox.url)
    other.log_in()
    assert other.headers == plain.headers
    assert other("POST", "/api/auth/logout").status == 200
    assert plain("GET", "/api/users/self").status == 401


def test_logins_are_throttled_even_with_the_right_password(tmp_path: Path) -> None:
    with Sandbox(SandboxOptions(tmp_path, anonymous_limit=3)) as sandbox:
        client = Plain(sandbox.url)
        assert [client.log_in(password="wrong").status for _ in range(3)] == [400] * 3
        got = client.log_in()
        assert got.status == 429
        assert 50 <= int(got.headers["Retry-After"]) <= 60
        assert got.json["detail"].startswith("Request was throttled. Expected available in ")
        assert client("GET", "/api/server/about").status == 200


def test_organizations(plain: Plain) -> None:
    assert plain("POST", "/api/organizations", {"slug": "field"}).status == 201
    assert plain("POST", "/api/organizations", {"slug": "field"}).status == 400
    plain.project()
    inside = plain("POST", "/api/projects?org=field", {"name": "q", "labels": [{"name": "a"}]}).json

    def count(query: str = "", **headers: str) -> int:
        return int(plain("GET", f"/api/projects{query}", headers=headers).json["count"])

    assert (count(), count("?org=field"), count("?org="), count("?org_id=1")) == (2, 1, 1, 1)
    assert count(**{"X-Organization": "field"}) == 1
    assert count(**{"X-Organization": ""}) == 1
    missing = plain("GET", "/api/tasks", headers={"X-Organization": "nope"})
    assert (missing.status, missing.json) == (404, {"detail": "nope organization does not exist."})
    assert plain("GET", "/api/tasks?org=field", headers={"X-Organization": "other"}).status == 400
    assert plain("GET", "/api/tasks?org=field&org_id=1").status == 400
    outside = plain("POST", "/api/tasks", {"name": "t", "project_id": inside["id"]})
    assert outside.json == ["The task and its project should be in the same organization."]
    made = plain("POST", "/api/tasks?org=field", {"name": "t", "project_id": inside["id"]})
    assert (made.status, made.json["organization"]) == (201, 1)


def test_unknown_paths_and_crashes_are_html(plain: Plain) -> None:
    for got, status in ((plain("GET", "/api/nothing"), 404), (plain("POST", "/api/projects", [1]), 500)):
        assert got.status == status
        assert got.headers["content-type"].startswith("text/html")


def test_wrong_method_and_wrong_bodies(plain: Plain) -> None:
    assert plain("DELETE", "/api/projects").status == 405
    assert (
        plain("POST", "/api/projects", body=b"{", headers={"Content-Type": "application/json"}).status == 400
    )
    assert plain("POST", "/api/projects", body=b"x", headers={"Content-Type": "text/plain"}).status == 415


def test_old_prefix_answers_alike(plain: Plain) -> None:
    plain.project()
    assert plain("GET", "/api/v1/projects").json["results"][0]["name"] == "p"


def test_gzip_when_asked(plain: Plain) -> None:
    for _ in range(5):
        plain.project()
    got = plain("GET", "/api/projects", headers={"Accept-Encoding": "gzip"})
    assert got.headers["Content-Encoding"] == "gzip"
    assert got.json["count"] == 5


def test_state_survives_a_restart(tmp_path: Path) -> None:
    options = SandboxOptions(tmp_path / "box")
    with Sandbox(options) as first:
        client = Plain(first.url)
        client.log_in()
        task = client.task(pictures(2))
    with Sandbox(options) as second:
        again = Plain(second.url)
        again.headers = client.headers
        assert again("GET", f"/api/tasks/{task['id']}").json["size"] == 2
        assert again.names(task["id"]) == ["f00.png", "f01.png"]
        frame = again("GET", f"/api/tasks/{task['id']}/data?type=frame&number=1&quality=original")
        assert frame.data == pictures(2)["f01.png"]
        assert again.task(pictures(1))["id"] == task["id"] + 1

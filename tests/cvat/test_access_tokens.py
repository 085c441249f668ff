"""Access tokens: taken where servers have them, and refused in one line that says what is wrong with them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from agir_cvtoolkit.cvat import Credentials, CvatSession, NewLabel, TaskRequest, create_task, find_tasks
from agir_cvtoolkit.errors import AuthenticationError, ConfigError, RefusedError
from agir_cvtoolkit.sandbox import Sandbox, SandboxOptions
from tests.sandbox.plain import Plain

from .fakes import URL, FakeTransport, ok, opened, page

LATER = (datetime.now(UTC) + timedelta(days=30)).replace(microsecond=0)


@dataclass
class Office:
    """Where tokens are made and revoked."""

    sandbox: Sandbox
    plain: Plain

    def token(self, **spec: Any) -> tuple[int, str]:
        got = self.plain("POST", "/api/auth/access_tokens", {"name": "laptop", **spec})
        assert got.status == 201, got.data
        return int(got.json["id"]), str(got.json["value"])

    def expire(self, number: int) -> None:
        past = (datetime.now(UTC) - timedelta(seconds=1)).isoformat()
        got = self.plain("PATCH", f"/api/auth/access_tokens/{number}", {"expiry_date": past})
        assert got.status == 200, got.data

    def revoke(self, number: int) -> None:
        assert self.plain("DELETE", f"/api/auth/access_tokens/{number}").status == 204

    def session(self, value: str) -> CvatSession:
        return CvatSession.open(Credentials(self.sandbox.url, access_token=value, origin="the keys file"))

    @property
    def page(self) -> str:
        return f"{self.sandbox.url}/profile#security"


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    with Sandbox(SandboxOptions(tmp_path_factory.mktemp("tokens"), version="2.48.0")) as running:
        plain = Plain(running.url)
        plain.log_in()
        yield Office(running, plain)
        plain.close()


@pytest.mark.integration
def test_the_server_tells_of_a_token_what_it_is(office: Office) -> None:
    number, value = office.token(expiry_date=LATER.isoformat(), read_only=True)
    token = office.session(value).access_token
    assert token is not None
    assert (token.name, token.expires, token.read_only) == ("laptop", LATER, True)
    office.revoke(number)
    _, value = office.token()
    token = office.session(value).access_token
    assert token is not None
    assert (token.expires, token.read_only) == (None, False)
    assert value not in repr(office.session(value)._line.__dict__)


@pytest.mark.integration
def test_it_costs_one_request_and_no_login(office: Office) -> None:
    _, value = office.token()
    office.sandbox.forget_requests()
    office.session(value)
    assert [seen.target for seen in office.sandbox.requests()] == [
        "/api/server/about",
        "/api/auth/access_tokens/self",
    ]


@pytest.mark.integration
@pytest.mark.parametrize("end", [Office.expire, Office.revoke])
def test_a_token_that_is_over_is_refused_at_once(office: Office, end: Any) -> None:
    number, value = office.token()
    end(office, number)
    with pytest.raises(AuthenticationError) as caught:
        office.session(value)
    text = str(caught.value)
    assert caught.value.exit_code == 3
    assert f"The access token is not accepted at {office.sandbox.url}: Invalid token." in text
    assert "expired, revoked" in text
    assert "from the keys file" in text
    assert office.page in text
    assert value not in text
    assert "\n" not in text


@pytest.mark.integration
def test_a_token_that_expires_while_it_is_used_says_when(office: Office) -> None:
    soon = datetime.now(UTC) + timedelta(days=1)
    number, value = office.token(expiry_date=soon.isoformat())
    session = office.session(value)
    token = session.access_token
    assert token is not None
    office.expire(number)
    # What the server told is a day off; the moment comes without waiting for it.
    object.__setattr__(token, "expires", datetime(2026, 1, 2, 3, 4, tzinfo=UTC))
    with pytest.raises(AuthenticationError) as caught:
        find_tasks(session, name="x")
    text = str(caught.value)
    assert "The access token 'laptop' has expired (2026-01-02 03:04 UTC), could not" in text
    assert office.page in text
    assert "it continues where it stopped" in text


@pytest.mark.integration
def test_a_token_that_is_revoked_while_it_is_used_says_so(office: Office) -> None:
    number, value = office.token()
    session = office.session(value)
    office.revoke(number)
    with pytest.raises(AuthenticationError, match="'laptop' is not accepted any more, it was revoked"):
        find_tasks(session, name="x")


@pytest.mark.integration
def test_a_read_only_token_reads_and_does_not_write(office: Office) -> None:
    _, value = office.token(read_only=True)
    session = office.session(value)
    assert find_tasks(session, name="x") == ()
    with pytest.raises(RefusedError) as caught:
        create_task(session, TaskRequest("t", None, labels=(NewLabel("weed"),)))
    assert "The access token 'laptop' is read-only, so it may not create task 't' (403)" in str(caught.value)
    assert office.page in str(caught.value)
    with pytest.raises(AuthenticationError, match="is read-only, and upload-cvat writes") as early:
        session.must_write("upload-cvat")
    assert early.value.exit_code == 3
    _, value = office.token()
    office.session(value).must_write("upload-cvat")


@pytest.mark.integration
def test_a_server_before_2_48_says_that_it_knows_none(tmp_path: Any) -> None:
    with Sandbox(SandboxOptions(tmp_path, version="2.47.0")) as running:
        with pytest.raises(AuthenticationError) as caught:
            CvatSession.open(Credentials(running.url, access_token="tok-1", origin="CVAT_ACCESS_TOKEN"))
    text = str(caught.value)
    assert "This server has no access tokens (they came with CVAT 2.48)" in text
    assert "username and password" in text
    assert "CVAT_ACCESS_TOKEN" in text
    assert "tok-1" not in text


def bearer(value: str) -> Credentials:
    return Credentials(URL, access_token=value)


@pytest.mark.parametrize("answer", [page(404), page(200), ok({"detail": "x"}, 403), ok([1]), ok({"id": 1})])
def test_a_server_that_does_not_tell_of_tokens_is_asked_who_one_is(answer: Any) -> None:
    transport = FakeTransport({"GET /api/auth/access_tokens/self": answer}, version="2.80.0")
    session = opened(transport, credentials=bearer("tok"))
    assert session.access_token is None
    assert transport.of("GET /api/users/self")[0].headers["Authorization"] == "Bearer tok"
    session.must_write("upload-cvat")


@pytest.mark.parametrize("date", ["soon", 7, None, {}])
def test_a_date_that_cannot_be_read_is_none(date: object) -> None:
    described = ok({"name": "n", "expiry_date": date, "read_only": False})
    transport = FakeTransport({"GET /api/auth/access_tokens/self": described}, version="2.80.0")
    token = opened(transport, credentials=bearer("tok")).access_token
    assert token is not None
    assert token.expires is None


def test_a_403_is_the_tokens_fault_only_where_it_is() -> None:
    described = ok({"name": "n", "expiry_date": None, "read_only": True})
    said = ok({"detail": "no permission"}, 403)
    scripts = {"GET /api/auth/access_tokens/self": described, "GET /api/x": said, "POST /api/x": said}
    session = opened(FakeTransport(dict(scripts), version="2.80.0"), credentials=bearer("tok"))
    with pytest.raises(RefusedError, match="This account may not read x"):
        session.get("/api/x", "read x")
    with pytest.raises(RefusedError, match="'n' is read-only, so it may not make x"):
        session.send_json("POST", "/api/x", "make x", {})


def test_blanks_around_a_token_do_no_harm_and_blanks_in_it_are_said() -> None:
    transport = FakeTransport(version="2.80.0")
    opened(transport, credentials=bearer(" tok\r\n"))
    assert transport.of("GET /api/users/self")[0].headers["Authorization"] == "Bearer tok"
    for wrong in ("Bearer tok", "tok\nX-Other: 1", "tök"):
        with pytest.raises(ConfigError, match="holds blanks or characters that no token has"):
            opened(FakeTransport(version="2.80.0"), credentials=bearer(wrong))

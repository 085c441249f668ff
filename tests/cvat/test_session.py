from __future__ import annotations

import pytest

from agir_cvtoolkit.cvat import Credentials, CvatSession, Response, TransportFailure
from agir_cvtoolkit.errors import (
    AuthenticationError,
    ConfigError,
    NotFoundError,
    RefusedError,
    RemoteError,
    ServerFaultError,
    ServerUnreachableError,
    ThrottledError,
)

from .fakes import URL, FakeClock, FakeTransport, Script, cut, ok, opened, page


def test_secrets_never_show() -> None:
    credentials = Credentials("https://ann:pw@cvat.example.org/api/", "ann", "hunter2", "tok-1")
    assert credentials.base_url == "https://cvat.example.org"
    for secret in ("hunter2", "tok-1", "pw@"):
        assert secret not in repr(credentials) + str(credentials)
    transport = FakeTransport()
    session = opened(transport)
    assert "k1" not in repr(vars(session._line))


@pytest.mark.parametrize("url", ["", "ftp://x", "https://", "http://[bad", "https://h:port"])
def test_an_address_that_is_none_is_a_configuration_error(url: str) -> None:
    with pytest.raises(ConfigError, match=r"\.keys/default\.yaml"):
        _ = Credentials(url).base_url


def test_a_host_alone_is_https() -> None:
    assert Credentials("app.cvat.ai").base_url == "https://app.cvat.ai"
    assert Credentials("http://localhost:8080/").base_url == "http://localhost:8080"


def test_login_happens_once_and_never_by_basic() -> None:
    transport = FakeTransport({"GET /api/x": ok({})})
    session = opened(transport)
    session.get("/api/x", "read x")
    session.get("/api/x", "read x")
    assert len(transport.of("POST /api/auth/login")) == 1
    assert all(call.headers["Authorization"] == "Token k1" for call in transport.of("GET /api/x"))
    assert not any("Basic" in call.headers.get("Authorization", "") for call in transport.calls)
    assert not any("logout" in call.path for call in transport.calls)


def test_an_access_token_needs_no_login() -> None:
    transport = FakeTransport(version="2.60.1")
    opened(transport, credentials=Credentials(URL, "ann", "pw", access_token="tok"))
    assert transport.of("POST /api/auth/login") == []
    assert transport.of("GET /api/users/self")[0].headers["Authorization"] == "Bearer tok"


def test_a_refused_access_token_says_whether_the_server_knows_any() -> None:
    refused = ok({"detail": "Invalid token."}, 401)
    for version, hint in (("2.42.0", "username and password"), ("2.60.0", "expired")):
        transport = FakeTransport({"GET /api/users/self": refused}, version=version)
        with pytest.raises(AuthenticationError, match=hint):
            opened(transport, credentials=Credentials(URL, access_token="tok"))


def test_a_server_without_keys_gets_a_session_with_csrf() -> None:
    login = Response(200, {}, b"{}", {"sessionid": "s1", "csrftoken": "c1"})
    transport = FakeTransport({"POST /api/auth/login": login, "POST /api/x": ok({}), "GET /api/x": ok({})})
    session = opened(transport)
    session.send_json("POST", "/api/x", "make x", {})
    session.get("/api/x", "read x")
    write, read = transport.of("POST /api/x")[0], transport.of("GET /api/x")[0]
    assert write.headers["X-CSRFToken"] == "c1"
    assert write.headers["Cookie"] == "sessionid=s1; csrftoken=c1"
    assert write.headers["Referer"].startswith(URL)
    assert "X-CSRFToken" not in read.headers
    assert "Authorization" not in write.headers


def test_a_key_that_is_not_taken_falls_back_to_the_session() -> None:
    login = Response(200, {}, b'{"key": "k"}', {"sessionid": "s1", "csrftoken": "c1"})
    transport = FakeTransport(
        {
            "POST /api/auth/login": login,
            "GET /api/users/self": lambda call: ok({}, 401 if "Authorization" in call.headers else 200),
        }
    )
    # The check answers 401 to the key; a login renewed by it would loop, so the session is tried instead.
    opened(transport)
    assert "sessionid=s1" in transport.of("GET /api/users/self")[-1].headers["Cookie"]


def test_wrong_password_names_user_and_server() -> None:
    login = ok({"non_field_errors": ["Unable to log in with provided credentials."]}, 400)
    with pytest.raises(AuthenticationError) as caught:
        opened(FakeTransport({"POST /api/auth/login": login}))
    text = str(caught.value)
    assert f"Authentication failed for user 'ann' at {URL}" in text
    assert ".keys/default.yaml" in text
    assert "http" in caught.value.next_step
    assert "secret" not in text


def test_no_account_at_all_is_a_configuration_error() -> None:
    with pytest.raises(ConfigError, match="CVAT_ACCESS_TOKEN"):
        opened(FakeTransport(), credentials=Credentials(URL))


def test_a_key_destroyed_by_somebodys_logout_is_renewed_once() -> None:
    transport = FakeTransport(
        {
            "POST /api/auth/login": [ok({"key": "k1"}), ok({"key": "k2"})],
            "POST /api/x": lambda c: ok({}, 401 if c.headers["Authorization"] == "Token k1" else 201),
        }
    )
    session = opened(transport)
    session.send_json("POST", "/api/x", "make x", {})
    assert len(transport.of("POST /api/x")) == 2
    assert len(transport.of("POST /api/auth/login")) == 2


@pytest.mark.parametrize(
    ("about", "hint"),
    [
        (page(200), "is not CVAT"),
        (page(404), "is not CVAT"),
        (ok(["hello"]), "is not CVAT"),
        (ok({"weather": "fine"}), "is not CVAT"),
        (Response(200, {}, b"hello"), "is not CVAT"),
        (ok({"version": "2.19.1"}), "older than 2.20"),
        (page(502), "502"),
    ],
)
def test_what_is_not_a_usable_server_is_said(about: Response, hint: str) -> None:
    with pytest.raises(ServerFaultError, match=hint):
        opened(FakeTransport({"GET /api/server/about": about}))


def test_a_version_nobody_understands_is_taken_for_a_new_one() -> None:
    assert opened(FakeTransport({"GET /api/server/about": ok({"name": "CVAT"})})).capabilities.score
    assert not opened(FakeTransport(version="2.59.9")).capabilities.score
    assert opened(FakeTransport(version="2.60.0-dev")).capabilities.score


@pytest.mark.parametrize(
    ("kind", "detail", "hint"),
    [
        ("refused", "x", "No server answers"),
        ("name", "x", "not known"),
        ("timeout", "x", "in time"),
        ("certificate", "self-signed certificate", "SSL_CERT_FILE"),
        ("certificate", "[SSL: WRONG_VERSION_NUMBER]", "http://"),
        ("proxy", "x", "NO_PROXY"),
        ("cut", "reset", "was cut"),
    ],
)
def test_no_answer_is_explained(kind: str, detail: str, hint: str) -> None:
    failure = TransportFailure(kind, detail, sent=kind in {"cut", "timeout"})  # type: ignore[arg-type]
    with pytest.raises(ServerUnreachableError, match=hint):
        opened(FakeTransport({"GET /api/server/about": failure}))


def test_organization_header_has_three_meanings() -> None:
    for organization, header in ((None, ""), ("lab", "lab")):
        transport = FakeTransport({"GET /api/x": ok({})})
        opened(transport, organization=organization).get("/api/x", "read x")
        assert transport.of("GET /api/x")[0].headers["X-Organization"] == header
    transport = FakeTransport({"GET /api/x": ok({})})
    session = opened(transport)
    session.get("/api/x", "read x")
    session.in_organization("lab").get("/api/x", "read x")
    first, second = transport.of("GET /api/x")
    assert "X-Organization" not in first.headers
    assert second.headers["X-Organization"] == "lab"
    assert len(transport.of("POST /api/auth/login")) == 1


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_requests_that_may_be_repeated_survive_bad_moments(method: str) -> None:
    answers: Script = [page(502), cut(), page(504), ok({"fine": 1})]
    clock = FakeClock()
    session = opened(FakeTransport({f"{method} /api/x": answers}), clock=clock)
    assert session.request(method, "/api/x", "do x").status == 200
    assert len(clock.slept) == 3
    assert clock.slept[2] > clock.slept[0]


@pytest.mark.parametrize("method", ["POST", "PATCH"])
@pytest.mark.parametrize("answer", [cut(), page(502), page(500)])
def test_requests_that_may_not_be_repeated_are_sent_once(
    method: str, answer: Response | TransportFailure
) -> None:
    transport = FakeTransport({f"{method} /api/x": answer})
    session = opened(transport)
    with pytest.raises((ServerUnreachableError, ServerFaultError)):
        session.send_json(method, "/api/x", "do x", {})
    assert len(transport.of(f"{method} /api/x")) == 1


def test_a_post_that_was_never_sent_is_sent_again() -> None:
    transport = FakeTransport({"POST /api/x": [cut(sent=False), ok({})]})
    opened(transport).send_json("POST", "/api/x", "do x", {})
    assert len(transport.of("POST /api/x")) == 2


def test_retries_end() -> None:
    transport = FakeTransport({"GET /api/x": cut()})
    session = opened(transport)
    with pytest.raises(ServerUnreachableError):
        session.get("/api/x", "read x")
    assert len(transport.of("GET /api/x")) == session.policy.attempts


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_throttling_waits_as_long_as_asked(method: str) -> None:
    throttled = ok({"detail": "Request was throttled."}, 429, **{"retry-after": "59"})
    clock = FakeClock()
    session = opened(FakeTransport({f"{method} /api/x": [throttled, ok({})]}), clock=clock)
    session.request(method, "/api/x", "do x")
    assert clock.slept == [59.0]


def test_throttling_without_end_is_an_error() -> None:
    throttled = ok({"detail": "Request was throttled."}, 429, **{"retry-after": "100"})
    clock = FakeClock()
    session = opened(FakeTransport({"GET /api/x": throttled}), clock=clock)
    with pytest.raises(ThrottledError, match="throttled"):
        session.get("/api/x", "read x")
    assert clock.now() <= session.policy.throttle_patience


@pytest.mark.parametrize("asked", ["86400", "inf"])
def test_a_server_in_maintenance_for_a_day_is_not_waited_for(asked: str) -> None:
    closed = Response(503, {"retry-after": asked, "content-type": "text/html"}, b"<html>back tomorrow</html>")
    clock = FakeClock()
    session = opened(FakeTransport({"GET /api/x": closed}), clock=clock)
    with pytest.raises(ServerFaultError):
        session.get("/api/x", "read x")
    assert clock.now() <= session.policy.throttle_patience


def test_retry_after_may_be_a_date() -> None:
    throttled = Response(429, {"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, b"{}")
    clock = FakeClock()
    opened(FakeTransport({"GET /api/x": [throttled, ok({})]}), clock=clock).get("/api/x", "read x")
    assert clock.slept == [0.0]


@pytest.mark.parametrize(
    ("answer", "kind", "text"),
    [
        (ok({"detail": "No Project matches."}, 404), NotFoundError, "No Project matches."),
        (ok({"name": ["This field is required."]}, 400), RefusedError, "name: This field is required."),
        (ok(["label_id `37` is invalid"], 400), RefusedError, "label_id `37` is invalid"),
        (ok("plain words", 400), RefusedError, "plain words"),
        (Response(400, {}, b"not json"), RefusedError, "not json"),
        (
            ok({"detail": "nope organization does not exist."}, 404),
            NotFoundError,
            "Organization 'nope' not found",
        ),
        (ok({"detail": "no permission"}, 403), RefusedError, "may not read x"),
        (page(413), RefusedError, "too large"),
        (page(500), ServerFaultError, "Oops"),
        (Response(301, {"location": "https://other"}), ServerFaultError, "https://other"),
        (page(200), ServerFaultError, "web page"),
        (Response(200, {}, b"{broken"), ServerFaultError, "cannot be read"),
        (ok({"detail": "x"}, 401), AuthenticationError, "credentials"),
    ],
)
def test_errors_carry_the_servers_words(answer: Response, kind: type[RemoteError], text: str) -> None:
    session = opened(FakeTransport({"GET /api/x": answer}))
    with pytest.raises(kind) as caught:
        session.get("/api/x", "read x")
    assert text in str(caught.value)
    assert caught.value.exit_code == 3


def test_pages_yield_each_item_once_and_end_where_the_list_ends() -> None:
    def lists(call: object) -> Response:
        number = int(getattr(call, "params")["page"])  # noqa: B009 - the call is typed as object here
        if number == 1:
            return ok({"next": "x", "results": [{"id": 1}, {"id": 2}, {"no": "id"}]})
        if number == 2:
            return ok({"next": "x", "results": [{"id": 2}, {"id": 3}]})
        return ok({"detail": "Invalid page."}, 404)

    session = opened(FakeTransport({"GET /api/x": lists}))
    assert [item.get("id") for item in session.pages("/api/x", "list x")] == [1, 2, None, 3]


def test_open_by_the_public_name() -> None:
    assert isinstance(opened(FakeTransport()), CvatSession)

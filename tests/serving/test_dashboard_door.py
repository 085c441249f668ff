"""Who may look at a dashboard, and what an answer carries."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pytest
from starlette.testclient import TestClient

from agir_cvtoolkit.errors import ConfigError, UsageError
from agir_cvtoolkit.serving.dashboard import dashboard_app, is_loopback, serve_dashboard
from agir_cvtoolkit.serving.dashboard_door import COOKIE
from agir_cvtoolkit.serving.listening import listen

TOKEN = "a long enough token"


class Source:
    """Shows nothing, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, ...]] = []

    def state(self) -> str:
        return "s1"

    def overview(self) -> str:
        return "overview"

    def pictures(self, wanted: Mapping[str, str], page: int) -> str:
        return f"{dict(wanted)} {page}"

    def life(self, run_id: str, record_id: str) -> str | None:
        self.asked.append((run_id, record_id))
        return None

    def thumbnail(self, run_id: str, record_id: str, of: str) -> bytes | None:
        self.asked.append((run_id, record_id, of))
        return b"jpeg" if run_id == "r" else None


@pytest.fixture
def local() -> Iterator[TestClient]:
    with TestClient(dashboard_app(Source()), base_url="http://127.0.0.1:8000") as client:
        yield client


@pytest.fixture
def guarded() -> Iterator[TestClient]:
    app = dashboard_app(Source(), "0.0.0.0", TOKEN)
    with TestClient(app, base_url="http://field.example:8000", follow_redirects=False) as client:
        yield client


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.7", "::", "field.example"])
def test_others_are_not_let_in_without_a_token(host: str) -> None:
    with pytest.raises(UsageError, match="AGIR_DASHBOARD_TOKEN"):
        serve_dashboard(Source(), host)
    assert not is_loopback(host)


def test_a_token_that_can_be_guessed_is_refused() -> None:
    with pytest.raises(UsageError, match="guessed"):
        dashboard_app(Source(), "0.0.0.0", "short")


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "", "127.0.0.1/x", "[::1", "2130706433"]
)
def test_on_this_machine_only_its_own_names_are_answered(local: TestClient, host: str) -> None:
    assert local.get("/", headers={"host": host}).status_code == 421


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost:9", "[::1]:8000", "LOCALHOST"])
def test_names_of_this_machine_are_answered(local: TestClient, host: str) -> None:
    assert local.get("/", headers={"host": host}).text == "overview"


def test_without_the_token_nothing_is_told(guarded: TestClient) -> None:
    for path in ("/", "/pictures", "/picture?run=r", "/thumb?run=r", "/state", "/dashboard.js", "/nothing"):
        answer = guarded.get(path)
        assert answer.status_code == 401, path
        assert "overview" not in answer.text
    assert guarded.get("/", headers={"accept": "text/html"}).headers["location"] == "/login"
    assert guarded.get("/", headers={"authorization": "Bearer wrong"}).status_code == 401
    assert guarded.get("/", headers={b"authorization": "Bearer ümlaut".encode()}).status_code == 401
    guarded.cookies.set(COOKIE, TOKEN)
    assert guarded.get("/").status_code == 401


def test_the_token_opens_as_bearer_and_by_login(guarded: TestClient) -> None:
    assert guarded.get("/", headers={"authorization": f"Bearer {TOKEN}"}).text == "overview"
    assert guarded.post("/login", data={"token": "wrong"}).status_code == 403
    answer = guarded.post("/login", data={"token": TOKEN})
    assert answer.status_code == 303
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert TOKEN not in cookie
    assert guarded.get("/").text == "overview"


def test_every_answer_forbids_what_comes_from_elsewhere(local: TestClient) -> None:
    for path in ("/", "/thumb?run=r&record=x", "/nothing", "/state"):
        headers = local.get(path).headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert "server" not in headers
    assert local.get("/").headers["cache-control"] == "no-store"


def test_only_reading_is_possible(local: TestClient) -> None:
    for path in ("/", "/pictures", "/picture", "/thumb", "/state"):
        assert local.post(path).status_code == 405


def test_odd_pages_and_names_are_passed_on_or_taken_as_the_first(local: TestClient) -> None:
    assert local.get("/pictures?run=a&page=3").text == "{'run': 'a'} 3"
    for page in ("-1", "x", "1e9", "99999999999", "²"):
        assert local.get("/pictures", params={"page": page}).text == "{} 1"
    assert local.get("/thumb", params={"run": "../../etc", "record": "passwd"}).status_code == 404


def test_an_address_in_use_is_told() -> None:
    with listen("127.0.0.1", 0) as (_, url):
        port = int(url.rstrip("/").rpartition(":")[2])
        with pytest.raises(ConfigError, match="cannot be listened at"), listen("127.0.0.1", port):
            pass

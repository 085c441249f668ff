"""Deliveries of webhooks: genuine ones wake, forged, doubled and endless ones do nothing."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import pytest
import urllib3
from hypothesis import given
from hypothesis import strategies as st

from agir_cvtoolkit.errors import ConfigError, UsageError
from agir_cvtoolkit.serving import receiver as module
from agir_cvtoolkit.serving.deliveries import Deliveries, signature
from agir_cvtoolkit.serving.receiver import MAX_BYTES, Receiver, WakingClock, listening_address

SECRET = "a-secret-of-theirs"


def delivery(number: int = 1, changes: Mapping[str, object] | None = None) -> bytes:
    content = {
        "event": "update:job",
        "job": {"id": number, "state": "completed"},
        "before_update": {"state": "in progress"},
        "webhook_id": 3,
    }
    return json.dumps(content | dict(changes or {})).encode()


def judged(body: bytes, secret: str = SECRET) -> str:
    return Deliveries(SECRET).judge(body, signature(secret, body))


def test_the_signature_is_that_of_the_rfc() -> None:
    # RFC 4231, test case 2.
    expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    assert signature("Jefe", b"what do ya want for nothing?") == f"sha256={expected}"


def test_a_job_that_changed_its_state_is_news() -> None:
    assert judged(delivery()) == "news"
    assert judged(delivery(changes={"before_update": {"stage": "annotation"}})) == "news"
    assert judged(json.dumps({"event": "update:job", "job": {}}).encode()) == "news"


@pytest.mark.parametrize(
    "changes",
    [
        {"before_update": {"assignee": None}},
        {"event": "update:task"},
        {"event": "ping"},
        {"event": "something:new"},
        {"before_update": "odd"},
    ],
)
def test_everything_else_is_not(changes: dict[str, object]) -> None:
    assert judged(delivery(changes=changes)) == "idle"


@pytest.mark.parametrize("body", [b"", b"null", b"[1]", b'{"event": 7}', b"\xff\xfe", b"[" * 100_000])
def test_what_is_signed_and_no_event_is_garbled(body: bytes) -> None:
    assert judged(body) == "garbled"


@given(st.binary(max_size=200), st.text(max_size=100))
def test_no_other_signature_is_taken(body: bytes, signed: str) -> None:
    assert Deliveries(SECRET).judge(body, signed) == "forged"


def test_a_signature_is_of_the_bytes_not_of_their_meaning() -> None:
    body = delivery()
    same = json.dumps(json.loads(body), indent=1).encode()
    assert Deliveries(SECRET).judge(same, signature(SECRET, body)) == "forged"


def test_a_replay_is_known() -> None:
    deliveries, body = Deliveries(SECRET), delivery()
    found = [deliveries.judge(body, signature(SECRET, body)) for _ in range(3)]
    assert found == ["news", "known", "known"]
    assert deliveries.counted.known == 2


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver("127.0.0.1", 0, SECRET) as running:
        yield running


def send(receiver: Receiver, body: bytes, signed: str | None = None) -> int:
    headers = {"X-Signature-256": signature(SECRET, body) if signed is None else signed}
    with urllib3.PoolManager(retries=False, timeout=60) as http:
        return http.request("POST", receiver.url, body=body, headers=headers).status


def test_news_wake_and_forgeries_do_not(receiver: Receiver) -> None:
    assert send(receiver, delivery(), "sha256=00") == 403
    assert send(receiver, delivery(), "") == 403
    assert not receiver.woken.is_set()
    assert send(receiver, delivery()) == 200
    assert receiver.woken.is_set()
    assert receiver.deliveries.counted.forged == 2


def test_a_flood_of_forgeries_is_logged_once(receiver: Receiver, caplog: pytest.LogCaptureFixture) -> None:
    for number in range(5):
        assert send(receiver, delivery(number), "sha256=00") == 403
    assert [one.levelname for one in caplog.records if "wrong signature" in one.message] == ["WARNING"]


def test_only_post_is_answered(receiver: Receiver) -> None:
    with urllib3.PoolManager(retries=False) as http:
        assert http.request("GET", receiver.url).status == 405


def test_what_is_too_large_is_refused_unread(receiver: Receiver) -> None:
    assert send(receiver, b" " * (MAX_BYTES + 1)) == 413
    assert receiver.deliveries.counted.refused == 1


def test_a_body_that_never_ends_is_given_up(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    place = urlsplit(receiver.url)
    with (
        monkeypatch.context() as hasty,
        socket.create_connection((place.hostname, place.port), timeout=60) as line,
    ):
        hasty.setattr(module, "_BODY_S", 0.2)
        line.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nslow")
        assert line.recv(100).startswith(b"HTTP/1.1 408")
    assert send(receiver, delivery()) == 200


def test_a_flood_of_replays_is_answered_and_wakes_once(receiver: Receiver) -> None:
    bodies = [delivery(number % 5) for number in range(200)]
    with ThreadPoolExecutor(16) as pool:
        assert set(pool.map(lambda body: send(receiver, body), bodies)) <= {200, 503}
    counted = receiver.deliveries.counted
    assert counted.news == 5
    clock, stop = WakingClock(receiver.woken, pause_s=0.01), threading.Event()
    assert not clock.wait(stop, 30)
    started = time.monotonic()
    assert not clock.wait(stop, 0.3)
    assert time.monotonic() - started > 0.25


def test_a_wait_ends_with_a_delivery_with_a_stop_and_with_the_time() -> None:
    woken, stop = threading.Event(), threading.Event()
    clock = WakingClock(woken, pause_s=0)
    assert not clock.wait(stop, 0.01)
    woken.set()
    assert not clock.wait(stop, 60)
    assert not woken.is_set()
    stop.set()
    assert clock.wait(stop, 60)


def test_an_address_that_is_taken_is_said(receiver: Receiver) -> None:
    port = urlsplit(receiver.url).port
    with pytest.raises(ConfigError, match=f"127.0.0.1:{port} cannot be listened at"):
        Receiver("127.0.0.1", port or 0, SECRET).__enter__()


def test_without_a_secret_nothing_listens() -> None:
    with pytest.raises(ConfigError, match="secret"):
        Receiver("127.0.0.1", 0, "")


@pytest.mark.parametrize(
    ("text", "expected"),
    [("8086", ("127.0.0.1", 8086)), ("0.0.0.0:80", ("0.0.0.0", 80)), ("[::1]:9", ("::1", 9))],
)
def test_addresses(text: str, expected: tuple[str, int]) -> None:
    assert listening_address(text) == expected


@pytest.mark.parametrize("text", ["", "host", "a:b", "host:99999", "host:1/x", "u@h:1", "[::1", ":80"])
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(UsageError, match="address"):
        listening_address(text)

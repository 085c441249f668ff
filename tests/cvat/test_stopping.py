"""A session that is told to stop: requests under way are cut, none is tried again, pauses end."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import pytest

from agir_cvtoolkit.cvat import TransportFailure, Urllib3Transport
from agir_cvtoolkit.cvat.clock import SystemClock
from agir_cvtoolkit.cvat.stopping import SECONDS_TO_STOP, Stopping
from agir_cvtoolkit.errors import ServerUnreachableError

from .fakes import FakeClock, FakeTransport, Script, ok, opened


@pytest.fixture
def silent() -> Iterator[socket.socket]:
    """Where connections are taken that are never answered."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(60)
        yield listener


def test_a_request_of_another_thread_is_cut(silent: socket.socket) -> None:
    transport = Urllib3Transport()
    failures: list[TransportFailure] = []

    def ask() -> None:
        try:
            url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
            transport.send("GET", url, headers={}, timeout=600.0)
        except TransportFailure as failure:
            failures.append(failure)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    connection, _ = silent.accept()
    with connection:
        assert connection.recv(3) == b"GET"
        transport.cut()
        thread.join(60)
    assert [failure.kind for failure in failures] == ["cut"]


def test_a_pause_of_another_thread_ends() -> None:
    stopping = Stopping(SystemClock())
    ended: list[ServerUnreachableError] = []

    def wait() -> None:
        with pytest.raises(ServerUnreachableError) as caught:
            stopping.sleep(600.0)
        ended.append(caught.value)

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    time.sleep(0.05)
    stopping.begin()
    thread.join(60)
    assert len(ended) == 1


def test_after_an_interruption_nothing_is_tried_again_and_time_is_short() -> None:
    clock = FakeClock()

    def press(call: object) -> object:
        raise KeyboardInterrupt

    scripts: dict[str, Script] = {
        "GET /api/one": press,  # type: ignore[dict-item]
        "GET /api/two": TransportFailure("cut", "x", sent=True),
        "GET /api/three": ok({}),
    }
    transport = FakeTransport(scripts)
    session = opened(transport, clock=clock)
    with pytest.raises(KeyboardInterrupt):
        session.get("/api/one", "ask")
    with pytest.raises(ServerUnreachableError, match="Interrupted"):
        session.get("/api/two", "ask")
    assert len(transport.of("GET /api/two")) == 1
    assert session.get("/api/three", "ask") == {}
    clock.sleep(SECONDS_TO_STOP)
    with pytest.raises(ServerUnreachableError, match="Interrupted"):
        session.get("/api/three", "ask")
    assert len(transport.of("GET /api/three")) == 1

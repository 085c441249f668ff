"""Links on which sending takes long: a request may last as long as its bytes flow."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

from agir_cvtoolkit.cvat import TransportFailure, Urllib3Transport, connections
from agir_cvtoolkit.cvat import transport as module
from agir_cvtoolkit.cvat.multipart import FilePart, MultipartBody
from agir_cvtoolkit.cvat.transport import Body

BYTES = 6_000_000


class SlowServer:
    """Takes a request at so many bytes a second, answers it, and counts the bytes of its body.

    Attributes:
        stops_after: bytes of the body after which nothing more is taken.
    """

    def __init__(self, rate: int, stops_after: int | None = None) -> None:
        self.taken = 0
        self._longest, self._since = 0.0, time.monotonic()
        self._begun = self._since
        self.stops_after = stops_after
        self._rate = rate
        self._done = threading.Event()
        self._listener = socket.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 * 1024)
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen()
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/"
        threading.Thread(target=self._serve, daemon=True).start()

    @property
    def was_held_up(self) -> bool:
        """Whether it took less than it was to take, as the machine had other things to do."""
        now = time.monotonic()
        fallen_back = self.taken < 0.8 * self._rate * (now - self._begun)
        return fallen_back or max(self._longest, now - self._since) > 0.1

    def close(self) -> None:
        self._done.set()
        self._listener.close()

    def _serve(self) -> None:
        connection, _ = self._listener.accept()
        with connection, suppress(OSError):
            head = b""
            while b"\r\n\r\n" not in head:
                head += connection.recv(1024)
            head, _, body = head.partition(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length:")[2].split()[0])
            self.taken = len(body)
            self._begun = self._since = time.monotonic()
            while self.taken < length:
                if self.stops_after is not None and self.taken >= self.stops_after:
                    self._done.wait(600)
                    return
                piece = connection.recv(16 * 1024)
                if not piece:
                    return
                self.taken += len(piece)
                time.sleep(16 * 1024 / self._rate)
                now = time.monotonic()
                self._longest, self._since = max(self._longest, now - self._since), now
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CONNECT_SECONDS", 0.3)
    monkeypatch.setattr(connections, "STALL_SECONDS", 0.4)


def taken(body: Body) -> int:
    """Send a body over a slow link and return how many bytes arrived."""
    for _ in range(40):
        slow = SlowServer(rate=2_500_000)
        start = time.monotonic()
        try:
            answer = Urllib3Transport().send("POST", slow.url, headers={}, body=body, timeout=60)
        except TransportFailure:
            # Where the machine itself stands still, nothing flows.
            if not slow.was_held_up:
                raise
            continue
        finally:
            slow.close()
        assert answer.status == 200
        assert time.monotonic() - start > 0.6, "the server was too quick to show anything"
        return slow.taken
    pytest.fail("the machine stands still again and again")


@pytest.mark.usefixtures("hasty")
def test_bytes_may_take_longer_than_any_time_limit_while_they_flow() -> None:
    assert taken(bytes(BYTES)) == BYTES


@pytest.mark.usefixtures("hasty")
def test_files_may_take_long_too(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(bytes(BYTES))
    body = MultipartBody({}, [FilePart("client_files[0]", "a.bin", tmp_path / "a.bin")])
    assert taken(body) == body.length
    assert body.went_out


def test_a_link_on_which_nothing_goes_out_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = SlowServer(rate=100_000_000, stops_after=100_000)
    monkeypatch.setattr(connections, "STALL_SECONDS", 0.3)
    (tmp_path / "a.bin").write_bytes(bytes(20_000_000))
    body = MultipartBody({}, [FilePart("client_files[0]", "a.bin", tmp_path / "a.bin")])
    start = time.monotonic()
    with pytest.raises(TransportFailure) as caught:
        Urllib3Transport().send("POST", server.url, headers={}, body=body, timeout=600)
    assert caught.value.kind == "timeout"
    assert time.monotonic() - start < 300
    assert not body.went_out
    server.close()

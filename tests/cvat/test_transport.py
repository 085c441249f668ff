"""The real transport against a small real server."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from agir_cvtoolkit.cvat import TransportFailure, Urllib3Transport
from agir_cvtoolkit.cvat.multipart import FilePart, MultipartBody
from agir_cvtoolkit.errors import DataError, PictureError

_DONE = threading.Event()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.path == "/cut":
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(b"short")
            self.close_connection = True
            return
        if self.path == "/slow":
            _DONE.wait(60)
        if self.path == "/away":
            self.send_response(302)
            self.send_header("Location", "/there")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self._answer(self.path.encode() + b" " + self.headers.get("Authorization", "").encode())

    def do_POST(self) -> None:
        if self.path == "/away":
            self.do_GET()
            return
        content = self.rfile.read(int(self.headers["Content-Length"]))
        self._answer(self.headers["Content-Type"].encode() + b"\n" + content)

    def _answer(self, content: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Set-Cookie", "sessionid=s; Path=/; HttpOnly")
        self.send_header("Set-Cookie", "csrftoken=c")
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        return


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of the connections that the tests cut."""


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    server = _Server(("127.0.0.1", 0), _Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    _DONE.set()
    server.shutdown()
    server.server_close()


def test_answers_carry_headers_and_all_cookies(url: str) -> None:
    answer = Urllib3Transport().send("GET", f"{url}/x", headers={"Authorization": "Token t"})
    assert (answer.status, answer.body) == (200, b"/x Token t")
    assert answer.cookies == {"sessionid": "s", "csrftoken": "c"}
    assert answer.headers["content-length"] == "10"


def test_a_multipart_body_arrives_as_it_is_written(url: str, tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(bytes(range(256)) * 9000)
    body = MultipartBody({"image_quality": "95"}, [FilePart("client_files[0]", 'ü "x".png', path)])
    answer = Urllib3Transport().send(
        "POST", f"{url}/x", headers={"Content-Type": body.content_type}, body=body
    )
    kind, _, content = answer.body.partition(b"\n")
    assert kind.decode() == body.content_type
    assert content == b"".join(body)
    assert 'name="client_files[0]"; filename="ü %22x%22.png"'.encode() in content
    assert path.read_bytes() in content


def test_an_interrupted_body_breaks_off(url: str, tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"x" * 10)
    stop = threading.Event()
    stop.set()
    body = MultipartBody({}, [FilePart("f", "a", path)], stop)
    with pytest.raises(TransportFailure):
        Urllib3Transport().send("POST", f"{url}/x", headers={"Content-Type": "x"}, body=body)


def test_a_picture_that_shrinks_while_it_is_sent_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"x" * 10)
    body = MultipartBody({}, [FilePart("f", "a", path)])
    path.write_bytes(b"x")
    with pytest.raises(PictureError, match=r"a\.bin became shorter"):
        list(body)
    path.unlink()
    with pytest.raises(PictureError, match="cannot be read"):
        MultipartBody({}, [FilePart("f", "a", path)])


def test_downloads_go_to_the_file(url: str, tmp_path: Path) -> None:
    answer = Urllib3Transport().send("GET", f"{url}/x", headers={}, to_file=tmp_path / "x")
    assert answer.body == b""
    assert (tmp_path / "x").read_bytes() == b"/x "
    with pytest.raises(DataError, match="cannot be written"):
        Urllib3Transport().send("GET", f"{url}/x", headers={}, to_file=tmp_path / "none" / "x")


def test_reads_follow_redirects_and_writes_do_not(url: str) -> None:
    assert Urllib3Transport().send("GET", f"{url}/away", headers={}).body.startswith(b"/there")
    assert Urllib3Transport().send("POST", f"{url}/away", headers={}, body=b"").status == 302


@pytest.mark.parametrize(("path", "kind", "timeout"), [("/cut", "cut", 60), ("/slow", "timeout", 0.3)])
def test_answers_that_do_not_come_may_have_been_carried_out(
    url: str, tmp_path: Path, path: str, kind: str, timeout: float
) -> None:
    for to_file in (None, tmp_path / "x"):
        with pytest.raises(TransportFailure) as caught:
            Urllib3Transport().send("GET", f"{url}{path}", headers={}, timeout=timeout, to_file=to_file)
        assert (caught.value.kind, caught.value.sent) == (kind, True)


def test_what_was_never_sent_is_told_apart(url: str) -> None:
    for method in ("GET", "POST"):
        with pytest.raises(TransportFailure) as caught:
            Urllib3Transport().send(method, "http://127.0.0.1:1/x", headers={}, body=b"")
        assert (caught.value.kind, caught.value.sent) == ("refused", False)
        with pytest.raises(TransportFailure) as caught:
            Urllib3Transport().send(method, url.replace("http:", "https:"), headers={}, timeout=60)
        assert (caught.value.kind, caught.value.sent) == ("certificate", False)

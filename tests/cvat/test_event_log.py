"""Working time from an event log, as CVAT with its analytics service gives it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest

from agir_cvtoolkit.cvat import Credentials, CvatSession
from agir_cvtoolkit.cvat.event_log import WorkingTime, read_working_times

# Of the columns of CVAT's table those that have been there in all versions; values as Python's csv writes them.
COLUMNS = (
    "scope", "obj_name", "obj_id", "obj_val", "source", "timestamp", "count", "duration", "project_id", "task_id",
    "job_id", "user_id", "user_name", "payload",
)  # fmt: skip
HEADER = ",".join(COLUMNS)
LOG = (
    HEADER,
    "load:job,,,,client,2026-05-04 08:00:00,1,350,1,2,7,3,ann,",
    "send:working_time,,,,server,2026-05-04 08:00:10,1,9500,1,2,7,3,ann,",
    'send:working_time,,,,server,2026-05-04 08:00:20,1,0,1,2,7,3,ann,"{""working_time"": 2500}"',
    "send:working_time,,,,server,2026-05-04 08:00:30,1,1000,1,2,7,4,bob,",
    "send:working_time,,,,server,2026-05-04 08:00:40,1,4000,1,2,8,4,bob,",
    "send:working_time,,,,server,2026-05-04 08:00:50,1,60000,1,,,4,bob,",
    "send:working_time,,,,server,2026-05-04 08:00:50,1,-5,1,2,8,4,bob,nonsense",
    'send:working_time,,,,server,2026-05-04 08:00:50,1,0,1,2,8,4,bob,"[1]"',
)


@dataclass
class Played:
    """What the server says."""

    analytics: bool = True
    status: str = "finished"
    log: str = "\n".join(LOG)
    export: int = 202
    asked: list[str] = field(default_factory=list)


@pytest.fixture
def played() -> Played:
    return Played()


@pytest.fixture
def session(played: Played) -> Iterator[CvatSession]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            parts = urlsplit(self.path)
            played.asked.append(f"{parts.path}?{sorted(parse_qs(parts.query).items())}")
            status, content = 200, b"{}"
            if parts.path == "/api/auth/login":
                content = b'{"key": "k"}'
            elif parts.path == "/api/server/about":
                content = b'{"version": "2.42.0"}'
            elif parts.path == "/api/server/plugins":
                content = json.dumps({"ANALYTICS": played.analytics}).encode()
            elif parts.path == "/api/events/export":
                status, content = played.export, b'{"rq_id": "r"}'
            elif parts.path == "/api/requests/r":
                address = f"http://{self.headers['Host']}/api/events/file?rq_id=r"
                content = json.dumps(
                    {"status": played.status, "message": "no database", "result_url": address}
                ).encode()
            elif parts.path == "/api/events/file":
                content = played.log.encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = answer

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield CvatSession.open(Credentials(f"http://127.0.0.1:{server.server_port}", "u", "p"))
    server.shutdown()
    server.server_close()
    thread.join()


def test_the_time_of_a_job_is_added_up_by_person(session: CvatSession, played: Played) -> None:
    assert read_working_times(session, {"task_id": 2}) == (
        WorkingTime(7, "ann", 12.0),
        WorkingTime(7, "bob", 1.0),
        WorkingTime(8, "bob", 4.0),
    )
    assert "/api/events/export?[('task_id', ['2'])]" in played.asked


def test_a_server_without_a_log_is_not_asked_for_it(session: CvatSession, played: Played) -> None:
    played.analytics = False
    assert read_working_times(session, {"task_id": 2}) is None
    assert not any("events" in path for path in played.asked)


def test_a_log_that_cannot_be_had_is_none(session: CvatSession, played: Played) -> None:
    played.status = "failed"
    assert read_working_times(session, {"task_id": 2}) is None
    played.status, played.log = "finished", "<html>gateway</html>"
    assert read_working_times(session, {"task_id": 2}) == ()
    played.log = f"{HEADER}\n" + "x" * 200_000
    assert read_working_times(session, {"task_id": 2}) is None
    played.export = 403
    assert read_working_times(session, {"task_id": 2}) is None

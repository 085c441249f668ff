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
from agir_cvtoolkit.cvat.event_log import (
    Reader,
    WorkingTime,
    keeps_log,
    read_working_times,
    reader_of_log,
)
from agir_cvtoolkit.errors import AgirError, NotFoundError, RefusedError, ServerFaultError

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
    "send:working_time,,,,server,2026-05-04 08:01:00,1,700,1,2,9,5,oracle,",
    'save:job,,,,client,2026-05-04 08:01:00,1,0,1,2,9,5,oracle,"{""simulated"": true}"',
    'save:job,,,,client,2026-05-04 08:01:00,1,0,1,2,9,4,bob,"{""simulated"": ""no""}"',
)


@dataclass
class Played:
    """What the server says."""

    version: str = "2.42.0"
    own: dict[str, object] = field(default_factory=lambda: {"username": "lead", "groups": ["admin"]})
    analytics: bool = True
    status: str = "finished"
    log: str = "\n".join(LOG)
    export: int = 202
    file: int = 200
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
                content = json.dumps({"version": played.version}).encode()
            elif parts.path == "/api/users/self":
                content = json.dumps(played.own).encode()
            elif parts.path == "/api/server/plugins":
                content = json.dumps({"ANALYTICS": played.analytics}).encode()
            elif parts.path == "/api/events/export":
                status, content = played.export, b'{"rq_id": "r"}'
            elif parts.path == "/api/events":
                query = parse_qs(parts.query)
                status, content = (202, b'{"query_id": "q"}') if "query_id" not in query else (201, b"")
                if "action" in query:
                    status, content = 200, played.log.encode()
            elif parts.path == "/api/requests/r":
                address = f"http://{self.headers['Host']}/api/events/file?rq_id=r"
                content = json.dumps(
                    {"status": played.status, "message": "no database", "result_url": address}
                ).encode()
            elif parts.path == "/api/events/file":
                status, content = played.file, played.log.encode(errors="surrogateescape")
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


ALL = (
    WorkingTime(7, "ann", 12.0),
    WorkingTime(7, "bob", 1.0),
    WorkingTime(8, "bob", 4.0),
    WorkingTime(9, "oracle", 0.7, is_simulated=True),
)


def test_the_time_of_a_job_is_added_up_by_person(session: CvatSession, played: Played) -> None:
    assert read_working_times(session, {"task_id": 2}) == ALL
    # Without a date servers before 2.31 give the last 30 days alone.
    asked = "/api/events/export?[('from', ['2020-01-01T00:00:00Z']), ('task_id', ['2'])]"
    assert asked in played.asked


def test_a_server_before_2_32_is_asked_in_its_way(played: Played, request: pytest.FixtureRequest) -> None:
    played.version, played.export = "2.31.0", 404
    assert read_working_times(request.getfixturevalue("session"), {"task_id": 2}) == ALL
    assert [path.partition("?")[0] for path in played.asked][-3:] == ["/api/events"] * 3


def test_whether_a_log_is_kept_and_who_reads_it(session: CvatSession, played: Played) -> None:
    assert keeps_log(session)
    assert reader_of_log(session) == Reader("lead", sees_all=True)
    played.analytics, played.own = False, {"username": "ann", "groups": ["user"], "is_superuser": False}
    assert not keeps_log(session)
    assert reader_of_log(session) == Reader("ann", sees_all=False)


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"status": "failed"}, RefusedError),
        ({"log": "<html>gateway</html>"}, ServerFaultError),
        ({"log": f"{HEADER}\n\udcff"}, ServerFaultError),
        ({"export": 403}, RefusedError),
        ({"export": 404}, NotFoundError),
    ],
)
def test_a_log_that_cannot_be_had_is_an_error(
    session: CvatSession, played: Played, changes: dict[str, object], kind: type[AgirError]
) -> None:
    for name, value in changes.items():
        setattr(played, name, value)
    with pytest.raises(kind):
        read_working_times(session, {"task_id": 2})


def test_a_log_that_was_written_and_is_gone_is_no_server_without_a_log(
    session: CvatSession, played: Played
) -> None:
    played.file = 404
    with pytest.raises(ServerFaultError, match="lost its result"):
        read_working_times(session, {"project_id": 1})

"""Hooks: told in the background, at least once, signed."""

from __future__ import annotations

import hashlib
import hmac
import json
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from agir_cvtoolkit.config import Hook, Io, Loop, Settings
from agir_cvtoolkit.ledger import Ledger, RoundEvent
from agir_cvtoolkit.stages._loop_hooks import Hooks, post, run_command

SECRET = "a secret"


class Answers(HTTPServer):
    """Answers with the codes that it was given, 200 afterwards."""

    def __init__(self) -> None:
        self.codes: list[int] = []
        self.seen: list[tuple[bytes, str]] = []
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/hook"


class _Handler(BaseHTTPRequestHandler):
    server: Answers

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.seen.append((body, self.headers["X-Signature-256"]))
        self.send_response(self.server.codes.pop(0) if self.server.codes else 200)
        self.end_headers()

    def log_message(self, *words: Any) -> None:
        """Be quiet."""


@pytest.fixture
def server() -> Iterator[Answers]:
    with Answers() as running:
        thread = threading.Thread(target=running.serve_forever, daemon=True)
        thread.start()
        yield running
        running.shutdown()


@pytest.fixture
def out_root(tmp_path: Path) -> Path:
    return tmp_path / "outputs" / "runs"


@contextmanager
def told(out_root: Path, hook: Hook, kind: str = "batch_ready") -> Iterator[tuple[Ledger, Hooks]]:
    settings = Settings(io=Io(out_root=out_root), loop=Loop(hook=hook))
    with Ledger.open(None, out_root) as ledger:
        ledger.take_loop("barley", "segmentation", {}, "me", datetime.now(UTC) + timedelta(minutes=1))
        with Hooks(settings, "barley", lambda: SECRET, pause_s=0.01) as hooks:
            ledger.tell_once("barley", 1, kind, {"round": 1, "loop": "barley"}, hooks.channels)
            hooks.wake()
            yield ledger, hooks


def untold(out_root: Path) -> list[RoundEvent]:
    with Ledger.open(None, out_root) as ledger:
        return ledger.untold_events("barley")


def test_a_url_is_told_until_it_has_heard(server: Answers, out_root: Path) -> None:
    server.codes = [503, 500]
    with told(out_root, Hook(url=server.url)) as (ledger, _):
        deadline = time.monotonic() + 120
        while ledger.untold_events("barley") and time.monotonic() < deadline:
            time.sleep(0.02)
    assert untold(out_root) == []
    assert len(server.seen) == 3
    body, signed = server.seen[-1]
    assert signed == "sha256=" + hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
    content = json.loads(body)
    assert (content["event"], content["loop"], content["round"]) == ("batch_ready", "barley", 1)
    with told(out_root, Hook(url=server.url)):
        pass
    assert len(server.seen) == 3, "what was told once is not told again"


def test_what_nobody_heard_is_told_by_the_next_call(server: Answers, out_root: Path) -> None:
    with told(out_root, Hook(url="http://127.0.0.1:1/", tries=1)):
        pass
    assert [event.kind for event in untold(out_root)] == ["batch_ready"]
    with told(out_root, Hook(url=server.url)):
        pass
    assert untold(out_root) == []
    assert len(server.seen) == 1


def test_a_command_gets_json_on_its_standard_input(tmp_path: Path, out_root: Path) -> None:
    target = tmp_path / "heard $HOME; rm.json"
    script = (
        "import sys, pathlib; pathlib.Path(sys.argv[1]).write_bytes(sys.stdin.buffer.read()); sys.exit(3)"
    )
    with told(out_root, Hook(command=(sys.executable, "-c", script, str(target))), "failed"):
        pass
    assert json.loads(target.read_bytes())["event"] == "failed"
    assert untold(out_root) == [], "whatever it made of it"


def test_a_command_that_hangs_or_is_not_there_holds_nobody_up() -> None:
    started = time.monotonic()
    assert run_command((sys.executable, "-c", "import time; time.sleep(600)"), b"{}", 0.3).words == (
        "was ended after 0.3 s"
    )
    assert time.monotonic() - started < 300
    missing = run_command(("/no/such/program",), b"{}", 1.0)
    assert (missing.delivered, missing.words) == (False, "cannot be started: No such file or directory")


def test_what_is_no_server_is_not_told() -> None:
    assert not post("http://127.0.0.1:1/", b"{}", SECRET, 1.0).delivered
    assert not post("http://[broken/", b"{}", SECRET, 1.0).delivered


def test_without_hooks_nothing_waits_for_anybody(out_root: Path) -> None:
    with told(out_root, Hook()) as (ledger, hooks):
        assert hooks.channels == ()
        assert ledger.untold_events("barley") == []
        assert len(ledger.round_events("barley")) == 1

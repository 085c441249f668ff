"""Where cells of the matrix are run: a user's folder and a server that go back to where they were for each."""

from __future__ import annotations

import os
import re
import signal
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Any, Literal
from unittest.mock import patch

import agir_cvtoolkit.config
from agir_cvtoolkit.config import Settings, load_settings
from agir_cvtoolkit.sandbox import Fault, Sandbox, SandboxOptions
from tests.integration.workspace import Outcome, Workspace
from tests.sandbox.plain import Plain

from .client import Doomed, conversation, die, small_pieces
from .full_disk import FullDisk
from .judging import judged
from .requests import Row
from .scenarios import Scenario
from .states import differences, ledger_state, run_state, server_state, without_passes
from .templates import PATIENCE, keep, restore
from .troubles import Trouble
from .wire import Day, Sent, SkippedTime, Wire

Verdict = Literal["ok", "again", "FAIL"]


@dataclass(frozen=True)
class Cell:
    """One request of a scenario under one trouble.

    Attributes:
        verdict: ``ok`` where the call itself ended as an undisturbed one, ``again`` where a second call was
            needed.
        problems: what was not as it should be.
        code: exit code of the disturbed call.
        text: what that call said.
    """

    scenario: str
    row: Row
    trouble: str
    verdict: Verdict
    problems: tuple[str, ...]
    code: int
    text: str


@dataclass(frozen=True)
class Prepared:
    """A scenario as it begins, the requests of an undisturbed call, and the state after it."""

    scenario: Scenario
    folder: Path
    rows: tuple[Row, ...]
    end: Any
    seconds: float


class Lab:
    """One server and one folder of a user; changes this process's working directory while it is open."""

    def __init__(self, root: Path) -> None:
        self._work = root / "work"
        self._box = root / "box"
        self._templates = root / "templates"
        self._here = Path.cwd()
        self._prepared: dict[str, Prepared] = {}
        self._waits = 0
        self._back_after: int | None = 0
        self._down = False
        self._moving = threading.Lock()
        self._day = Day()
        self._clock = SkippedTime()
        self._clock.on_wait = self._waited
        self._disk = FullDisk(self._box)
        self._settings: dict[object, Settings] = {}
        self._sandbox = self._start(0)
        self._port = int(self._sandbox.url.rpartition(":")[2])

    def __enter__(self) -> Lab:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.chdir(self._here)
        self._sandbox.stop()

    # --- scenarios --------------------------------------------------------------------------------

    def prepared(self, scenario: Scenario) -> Prepared:
        """Return a scenario, prepared and recorded at its first use."""
        if scenario.name not in self._prepared:
            with self._quiet_world():
                self._prepared[scenario.name] = self._prepare(scenario)
        return self._prepared[scenario.name]

    def _prepare(self, scenario: Scenario) -> Prepared:
        self._restore(self._base())
        with self._space(logged_in=True) as space, small_pieces(by_export=scenario.by_export):
            scenario.prepare(space)
        folder = self._keep(re.sub(r"\W", "_", scenario.name))
        start = time.perf_counter()
        first = self._call(scenario, Day())
        seconds = time.perf_counter() - start
        rows = self._day.record.rows()
        assert first.code == 0, f"{scenario.name} fails on a good day:\n{first.text}"
        problems = self._further_call(scenario)
        assert not problems, f"{scenario.name} on a good day: {problems}"
        return Prepared(scenario, folder, rows, self._state(), seconds)

    def _base(self) -> Path:
        folder = self._templates / "predicted"
        if not folder.is_dir():
            self._work.mkdir()
            with self._space(logged_in=True) as space:
                space.keys()
                space.fill()
                space.predicted()
            self._keep("predicted")
        return folder

    def _keep(self, name: str) -> Path:
        self._settle()
        return keep(self._work, self._box, self._templates / name)

    def _restore(self, folder: Path) -> None:
        os.chdir(self._here)
        restore(self._work, self._box, folder)
        os.chdir(self._work)

    # --- cells ------------------------------------------------------------------------------------

    def cell(self, scenario: Scenario, row: Row, trouble: Trouble) -> Cell:
        """Run one cell."""
        prepared = self.prepared(scenario)
        with self._quiet_world():
            self._restore(prepared.folder)
            outcome, came = self._disturbed(scenario, row, trouble)
            problems = [] if came else ["the request did not come"]
            problems += judged(outcome, trouble)
            if outcome.code != 0:
                second = self._call(scenario, Day())
                if second.code != 0:
                    problems.append(f"the second call ended with {second.code}: {second.text}")
            problems += self._compared(prepared, in_part=outcome.code == 1)
        verdict: Verdict = "FAIL" if problems else "again" if outcome.code else "ok"
        return Cell(scenario.name, row, trouble.name, verdict, tuple(problems), outcome.code, outcome.text)

    def after_kills(self, scenario: Scenario, kill: Callable[[Doomed], None]) -> list[str]:
        """Let calls be killed, call once more, and return what is not as after an undisturbed call."""
        prepared = self.prepared(scenario)
        with self._quiet_world():
            self._restore(prepared.folder)
            kill(self._doomed(scenario))
            self._settle()
            second = self._call(scenario, Day())
            problems = [] if second.code == 0 else [f"the next call ended with {second.code}: {second.text}"]
            return problems + self._compared(prepared)

    def changed(self, scenario: Scenario, change: Callable[[Workspace], None]) -> list[str]:
        """Return what is seen of a change that is made after an undisturbed call."""
        prepared = self.prepared(scenario)
        with self._quiet_world():
            self._restore(prepared.folder)
            for _ in range(2):
                assert self._call(scenario, Day()).code == 0
            with self._space(logged_in=True) as space:
                change(space)
            return differences(prepared.end, self._state())

    def _compared(self, prepared: Prepared, *, in_part: bool = False) -> list[str]:
        problems = self._further_call(prepared.scenario)
        end, found = prepared.end, self._state()
        if in_part:  # a pass of its own, and told as one
            end, found = without_passes(end), without_passes(found)
        return problems + differences(end, found)

    def _disturbed(self, scenario: Scenario, row: Row, trouble: Trouble) -> tuple[Outcome, bool]:
        rules = trouble.rules(row)
        self._sandbox.faults.replace(rules)
        self._back_after, self._waits, self._down = trouble.back_after, 0, False
        if trouble.kills:
            code = die(self._doomed(scenario, trouble, row))
            self._over()
            return Outcome(code, "", ""), code < 0
        act = trouble.act

        def act_here(day: Day, sent: Sent) -> Any:
            assert act is not None
            return act(self, day, sent)

        outcome = self._call(scenario, Day(row, act_here if act else None))
        came = self._day.came
        self._over()
        return outcome, came

    def _doomed(self, scenario: Scenario, trouble: Trouble | None = None, row: Row | None = None) -> Doomed:
        settings = self._remembered(_overrides(scenario.words))
        name = trouble.name if trouble else None
        return Doomed(self._work, scenario.words, settings, scenario.by_export, name, row)

    def _call(self, scenario: Scenario, day: Day) -> Outcome:
        self._day = day
        with self._space() as space, small_pieces(by_export=scenario.by_export):
            return space.cli(*scenario.words, code=None)

    def _further_call(self, scenario: Scenario) -> list[str]:
        """Call once more, and tell what that changed on the server."""
        self._sandbox.forget_requests()
        outcome = self._call(scenario, Day())
        with self._space() as space:
            writes = space.writes()
        problems = [f"a further call writes: {', '.join(writes)}"] if writes else []
        if outcome.code != 0:
            problems.append(f"a further call ends with {outcome.code}: {outcome.text}")
        return problems

    def _over(self) -> None:
        """Bring the world in order after a call."""
        self._sandbox.faults.replace(())
        self._disk.full = False
        self._come_back()
        self._day.over()
        self._settle()

    def _settle(self) -> None:
        end = time.monotonic() + PATIENCE
        while self._sandbox.under_way or self._works():
            assert time.monotonic() < end, "the server does not come to rest"
            time.sleep(0.002)

    def _works(self) -> bool:
        with sqlite3.connect(self._box / "sandbox.db", timeout=PATIENCE) as database:
            rows = database.execute("SELECT body FROM documents WHERE kind = 'request'").fetchall()
        database.close()
        return any(b'"queued"' in bytes(row[0]) or b'"started"' in bytes(row[0]) for row in rows)

    def _state(self) -> Any:
        self._settle()
        plain = Plain(self._sandbox.url)
        try:
            server, names = server_state(plain)
        finally:
            plain.close()
        run = (self._work / "outputs" / "runs" / "current").resolve()
        ledger = ledger_state(self._work / "outputs" / "ledger.db", names)
        return {"server": server, "ledger": ledger, "run": run_state(run, names)}

    # --- the world --------------------------------------------------------------------------------

    def stop_server(self) -> None:
        """Stop the server; it comes back after some waits of the client, or when the call is over."""
        with self._moving:
            self._down, self._waits = True, 0
            self._sandbox.refuse()
            self._sandbox.stop()

    def forget_requests(self) -> None:
        """Let the server have forgotten the work in the background that is asked for next, or its result."""
        self._sandbox.add_fault(Fault(r"^/api/requests/|[?&]rq_id=", action="forget"))

    def fill_disk(self) -> None:
        """Let nothing fit on the user's disk any more."""
        self._disk.full = True

    def _waited(self) -> None:
        self._waits += 1
        if self._back_after is not None and self._waits >= self._back_after:
            self._come_back()

    def _come_back(self) -> None:
        with self._moving:
            if self._down:
                self._down = False
                self._sandbox = self._start(self._port)
            else:
                self._sandbox.accept()

    def _start(self, port: int) -> Sandbox:
        sandbox = Sandbox(SandboxOptions(self._box, port=port, anonymous_limit=1_000_000))
        sandbox.start()
        return sandbox

    @contextmanager
    def _space(self, *, logged_in: bool = False) -> Iterator[Workspace]:
        plain = Plain(self._sandbox.url)
        os.chdir(self._work)
        try:
            if logged_in:
                assert plain.log_in().status == 200
            yield Workspace(self._work, self._sandbox, plain)
        finally:
            plain.close()

    @contextmanager
    def _quiet_world(self) -> Iterator[None]:
        """Take over time, wire, disk and environment."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("CVAT_")}
        handler = signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            with (
                patch.dict(os.environ, environment, clear=True),
                patch.object(agir_cvtoolkit.config, "load_settings", self._remembered),
                conversation(lambda: Wire(self._day), self._clock),
                self._disk.installed(),
            ):
                yield
        finally:
            signal.signal(signal.SIGINT, handler)
            os.chdir(self._here)

    def _remembered(self, overrides: Sequence[str] = (), config: str | None = None) -> Settings:
        """Compose the same files once: most of a short command's time."""
        files = tuple((str(path), path.read_bytes()) for path in sorted(Path("conf").rglob("*.yaml")))
        key = (tuple(overrides), config, files)
        if key not in self._settings:
            self._settings[key] = load_settings(overrides, config)
        return self._settings[key]


def _overrides(words: Sequence[str]) -> tuple[str, ...]:
    return tuple(word for before, word in pairwise(words) if before == "-o")

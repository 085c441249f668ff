"""Rules for all tests.

With AGIR_FORBID_SKIPS, as in CI, no test may skip but for want of AGIR_SHARED_DATA or of Google's emulator.
"""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import Generator
from contextlib import suppress
from importlib import import_module
from typing import Any

import pytest
from hypothesis import settings

from .firebase.emulators import firestore_emulator, google, google_store, storage_emulator
from .postgres import new_schema, postgres

# Here and nowhere else: a fixture that two modules import is made for each of them.
__all__ = ["firestore_emulator", "google", "google_store", "new_schema", "postgres", "storage_emulator"]

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # As a shell leaves it for what runs in its background; processes that the tests start would not hear Ctrl-C.
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Times on a busy machine say nothing of an example; in CI every run tries the same ones.
settings.register_profile("agir", deadline=None, derandomize=bool(os.environ.get("CI")))
settings.load_profile("agir")


@pytest.hookimpl(wrapper=True)
def pytest_collection(session: pytest.Session) -> Generator[None, object, object]:
    gc.disable()
    try:
        _import_a_share(session.config)
        return (yield)
    finally:
        gc.enable()


def _import_a_share(config: pytest.Config) -> None:
    """Let every worker import other files first: what one has compiled the others only load."""
    worker = os.environ.get("PYTEST_XDIST_WORKER")
    if worker is None:
        return
    places = [config.invocation_params.dir / argument for argument in config.args]
    files = {file for place in places if place.is_dir() for file in place.rglob("test_*.py")}
    by_size = sorted(files, key=lambda file: (-file.stat().st_size, file))
    for file in by_size[int(worker.removeprefix("gw")) :: int(os.environ["PYTEST_XDIST_WORKER_COUNT"])]:
        with suppress(Exception, pytest.skip.Exception):  # the collection tells it
            import_module(".".join(file.relative_to(config.rootpath).with_suffix("").parts))


def pytest_collection_finish() -> None:
    # What was imported stays; looking through all of it for garbage takes a tenth of the time of the tests.
    gc.collect()
    gc.freeze()


def _forbidden(reporter: Any) -> list[Any]:
    if reporter is None or not os.environ.get("AGIR_FORBID_SKIPS"):
        return []
    # What neither pip nor apt can install: real pictures, and the jar of Google's Firestore emulator.
    excused = ["no Firestore emulator: FIRESTORE_EMULATOR_HOST is not set and there is no /"]
    if not os.environ.get("AGIR_SHARED_DATA"):
        excused.append("AGIR_SHARED_DATA")
    skipped = reporter.stats.get("skipped", [])
    return [report for report in skipped if not any(reason in str(report.longrepr) for reason in excused)]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    found = _forbidden(terminalreporter)
    if found:
        terminalreporter.section("skips are forbidden here", red=True)
        for report in found:
            terminalreporter.line(f"{report.nodeid}: {report.longrepr}")


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    if exitstatus == 0 and _forbidden(session.config.pluginmanager.get_plugin("terminalreporter")):
        session.exitstatus = 1

"""Rules for all tests: with AGIR_FORBID_SKIPS, as in CI, no test may skip but for want of AGIR_SHARED_DATA."""

from __future__ import annotations

import os
from typing import Any

import pytest
from hypothesis import settings

# Times on a busy machine say nothing of an example; in CI every run tries the same ones.
settings.register_profile("agir", deadline=None, derandomize=bool(os.environ.get("CI")))
settings.load_profile("agir")


def _forbidden(reporter: Any) -> list[Any]:
    if reporter is None or not os.environ.get("AGIR_FORBID_SKIPS"):
        return []
    excused = "" if os.environ.get("AGIR_SHARED_DATA") else "AGIR_SHARED_DATA"
    skipped = reporter.stats.get("skipped", [])
    return [report for report in skipped if not excused or excused not in str(report.longrepr)]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    found = _forbidden(terminalreporter)
    if found:
        terminalreporter.section("skips are forbidden here", red=True)
        for report in found:
            terminalreporter.line(f"{report.nodeid}: {report.longrepr}")


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    if exitstatus == 0 and _forbidden(session.config.pluginmanager.get_plugin("terminalreporter")):
        session.exitstatus = 1

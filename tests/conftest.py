"""Rules for all tests: in CI no test may skip."""

from __future__ import annotations

import os

import pytest


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    skipped = terminalreporter.stats.get("skipped", [])
    if skipped and os.environ.get("AGIR_FORBID_SKIPS"):
        terminalreporter.section("skips are forbidden here", red=True)
        for report in skipped:
            terminalreporter.line(f"{report.nodeid}: {report.longrepr}")


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or not os.environ.get("AGIR_FORBID_SKIPS"):
        return
    if reporter.stats.get("skipped") and exitstatus == 0:
        session.exitstatus = 1

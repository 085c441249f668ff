"""Cells that were not always as they should be."""

from __future__ import annotations

import pytest

from .lab import Lab
from .scenarios import BY_NAME
from .troubles import BY_NAME as TROUBLES

pytestmark = [pytest.mark.integration, pytest.mark.slow]

PATCH = "PATCH /api/jobs/N/annotations/?action=create"
FOUND = [
    ("push", f"{PATCH} #3", "time-out, done 2 late"),
    ("push", "POST /api/tasks", "time-out, done 2 late"),
    ("push", f"{PATCH} #2", "disk full here"),
    ("push", "POST /api/tasks", "disk full here"),
    ("pull", "GET /api/jobs/N/annotations/ #2", "disk full here"),
    ("pull", "GET /api/labels?project_id", "a page once"),
    ("pull by export", "GET /api/jobs/N/dataset/download?rq_id", "requests forgotten"),
    ("pull with originals", "GET /api/tasks/N/data/?type #2", "disk full here"),
    ("pull with originals", "GET /api/tasks/N/data/?type #2", "killed, done"),
]


@pytest.mark.parametrize(("scenario", "title", "trouble"), FOUND)
def test_a_cell_that_once_failed(lab: Lab, scenario: str, title: str, trouble: str) -> None:
    rows = [row for row in lab.prepared(BY_NAME[scenario]).rows if row.title == title]
    assert rows, [row.title for row in lab.prepared(BY_NAME[scenario]).rows]
    cell = lab.cell(BY_NAME[scenario], rows[0], TROUBLES[trouble])
    assert cell.verdict != "FAIL", f"{cell.problems}\n{cell.text}"

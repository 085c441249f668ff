"""Remarks on a job, of which the sandbox has none."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import SimpleNamespace
from typing import Any, cast

import pytest

from agir_cvtoolkit.cvat import CvatSession, JobInfo
from agir_cvtoolkit.stages._untouched import _remarks

JOB = JobInfo(
    id=51,
    task_id=5,
    state="new",
    stage="annotation",
    type="annotation",
    start_frame=0,
    stop_frame=1,
    updated_date="2026-01-01T00:00:00Z",
)


@pytest.mark.parametrize(
    ("remarks", "reason"),
    [([], ""), ([{"id": 1, "job": 52}], ""), ([{"id": 2, "job": 51}], "job 51 has remarks")],
)
def test_only_remarks_on_the_job_itself_count(remarks: list[dict[str, int]], reason: str) -> None:
    asked: list[object] = []

    def pages(path: str, subject: str, params: Mapping[str, object]) -> Iterator[Mapping[str, Any]]:
        asked.append((path, dict(params)))
        return iter(remarks)

    assert _remarks(cast("CvatSession", SimpleNamespace(pages=pages)), JOB) == reason
    assert asked == [("/api/issues", {"job_id": 51})]

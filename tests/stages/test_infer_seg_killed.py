"""``infer-seg`` killed at every file that it writes: the same call again ends where an undisturbed one does."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agir_cvtoolkit.config import SegInference
from agir_cvtoolkit.engines import Bounds, Threads
from agir_cvtoolkit.records import Record
from agir_cvtoolkit.runs import Run, start_run
from agir_cvtoolkit.stages.infer_seg import predict_records
from tests.forkserver import forkserver

from .test_infer_seg import Bright, content, drawn

_SETTINGS = SegInference.model_validate({"output": {"save_viz": True, "save_instances": True}})
_MOST = 40


@pytest.fixture
def records(tmp_path: Path) -> list[Record]:
    return [Record(f"r{n}", drawn(tmp_path / f"{n}.png"), class_id=n + 1) for n in range(3)]


def predict(run: Run, records: list[Record]) -> None:
    predict_records(run, records, Bright(), _SETTINGS, engine=Threads(Bounds(readers=1, items=2)))


def killed_at(number: int, run: Run, records: list[Record]) -> bool:
    """Predict in a process that is killed right before it gives the n-th file its name; False where it ended before."""
    process = forkserver().Process(target=_until, args=(number, run, records))
    process.start()
    process.join(300)
    assert process.exitcode in {0, -signal.SIGKILL}
    return process.exitcode != 0


def _until(number: int, run: Run, records: list[Record]) -> None:
    left = [number]
    renamed: Callable[..., Any] = Path.replace

    def counted(self: Path, target: Path) -> Any:
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return renamed(self, target)

    Path.replace = counted  # type: ignore[method-assign, assignment]
    predict(run, records)


def test_killed_at_every_file_it_ends_as_if_undisturbed(tmp_path: Path, records: list[Record]) -> None:
    undisturbed = start_run(tmp_path / "undisturbed", "r")
    predict(undisturbed, records)
    expected = content(undisturbed)
    number = 0
    while number < _MOST:
        number += 1
        run = start_run(tmp_path / str(number), "r")
        if not killed_at(number, run, records):
            break
        with run.lock("infer-seg"):  # as a new call does: what was half written is swept up
            predict(run, records)
        assert content(run) == expected, f"killed at file {number}"
        assert not list(run.root.rglob("*.tmp"))
    assert 12 < number < _MOST  # all places were reached

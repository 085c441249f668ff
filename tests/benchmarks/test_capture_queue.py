"""The benchmark of the queue runs on little; its gates are for real sizes and a quiet machine."""

from __future__ import annotations

from functools import partial

import pytest

from benchmarks import capture_queue
from tests.firebase.emulators import running_firestore

# At so few captures times are noise; what is read is not.
pytestmark = pytest.mark.integration


def test_the_queue_is_measured_in_both_stores(
    firestore_emulator: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert firestore_emulator
    monkeypatch.setattr(capture_queue, "running_firestore", partial(running_firestore, lasting=False))
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
    rows = {
        row.name.partition(",")[0]: row
        for row in capture_queue.measure(capture_queue.options_of(["--counts", "3", "40"]))
    }
    assert set(rows) == {
        "embedded: read 50 of 60 waiting",
        "embedded: claim and release one",
        "emulator: read 50 of 60 waiting",
        "emulator: documents read for it",
        "emulator: claim and release one",
    }
    read = rows["emulator: documents read for it"]
    assert (read.baseline, read.ours, read.ok) == ("50", "50", True)

"""Killed anywhere and started again: one training for each trigger, one publication, the same end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch")

from agir_cvtoolkit.ledger import Ledger
from agir_cvtoolkit.stages.retrain import retrain

from . import retraining as world
from .retraining_killed import POINTS

REPOSITORY = Path(__file__).parents[2]
pytestmark = [pytest.mark.integration, pytest.mark.slow]


def run(point: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(REPOSITORY), str(REPOSITORY / "src"), os.environ.get("PYTHONPATH", "")])
    return subprocess.run(
        [sys.executable, "-m", "tests.stages.retraining_killed", point],
        env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def lines(name: str) -> int:
    return len(Path(name).read_text().splitlines()) if Path(name).is_file() else 0


@pytest.mark.parametrize("point", [*POINTS, "training"])
def test_killed_and_started_again(point: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    store = world.store()
    world.correct(store, range(5))
    world.trigger(store)
    killed = run(point)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    if point != "finished":
        assert store.triggers()[0].status == "claimed"
    # More comes while nobody is at work; it must neither be lost nor counted as seen.
    world.correct(store, range(5, 7))
    again = run("nowhere")
    assert again.returncode == 0, again.stderr
    assert again.stdout.split()[0] == ("nothing" if point == "finished" else "trained")
    (trigger,) = store.triggers()
    assert (trigger.status, trigger.reason) == ("completed", "")
    assert lines("trainings.log") == lines("publications.log") == 1
    with Ledger.open_to_read(None, Path("outputs/runs")) as ledger:
        champion = ledger.champion("pose")
        assert len(ledger.models()) == 1
    model = store.current_model()
    assert champion is not None
    assert model is not None
    assert champion.version == model.version == trigger.model
    seen_late = point in {"claimed", "pictures", "split"}
    assert store.unreserved() == (0 if seen_late else 2)
    assert retrain(world.call()).state == "nothing"

"""Killed anywhere and started again: one training for each trigger, one publication, the same end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytest.importorskip("torch")

from agir_cvtoolkit.ledger import Ledger
from agir_cvtoolkit.stages.retrain import retrain

from . import retraining as world
from .retraining_killed import POINTS

REPOSITORY = Path(__file__).parents[2]
pytestmark = [pytest.mark.integration, pytest.mark.slow]


Run = Callable[[str], tuple[int, str]]
"""Retrains in the working directory, to be killed at a point; the exit code and the last words."""


@pytest.fixture(scope="module")
def run() -> Iterator[Run]:
    path = os.pathsep.join([str(REPOSITORY), str(REPOSITORY / "src"), os.environ.get("PYTHONPATH", "")])
    with subprocess.Popen(
        [sys.executable, "-m", "tests.stages.retraining_killed"],
        env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as mother:
        assert mother.stdin is not None
        assert mother.stdout is not None
        asked, answers = mother.stdin, mother.stdout

        def child(point: str) -> tuple[int, str]:
            asked.write(json.dumps([str(Path.cwd()), point]) + "\n")
            asked.flush()
            code, words = json.loads(answers.readline())
            return int(code), str(words)

        yield child
        asked.close()


def lines(name: str) -> int:
    return len(Path(name).read_text().splitlines()) if Path(name).is_file() else 0


@pytest.mark.parametrize("point", [*POINTS, "training"])
def test_killed_and_started_again(
    point: str, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    world.with_small_encoder(monkeypatch.setattr)
    world.with_settings_kept(monkeypatch.setattr)
    store = world.store()
    world.correct(store, range(5))
    world.trigger(store)
    code, words = run(point)
    assert code == -signal.SIGKILL, words
    if point != "finished":
        assert store.triggers()[0].status == "claimed"
    # More comes while nobody is at work; it must neither be lost nor counted as seen.
    world.correct(store, range(5, 7))
    code, words = run("nowhere")
    assert (code, words) == (0, "nothing" if point == "finished" else "trained")
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

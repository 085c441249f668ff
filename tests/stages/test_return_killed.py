"""A return that dies at any write, and is started again: nothing is lost, nothing is there twice."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agir_cvtoolkit.firebase import EmbeddedStore
from agir_cvtoolkit.stages import _return_write
from agir_cvtoolkit.stages.firebase_return import ReturnResult, firebase_return

from .returning import DOG, Desk, image, point

WRITES = ("write_labeled", "complete", "reserve_trigger")
PICTURES = 13
"""More than it takes to judge limbs: scores, too, must be those of an undisturbed return."""


class KilledError(BaseException):
    """Nobody catches it, as nobody catches SIGKILL."""


def _dying(monkeypatch: pytest.MonkeyPatch, at: int, *, after: bool) -> list[str]:
    """Let the store's write number `at` be the last, before or after it is done; return the names of all writes."""
    seen: list[str] = []

    def dying(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(self: EmbeddedStore, *args: Any) -> Any:
            seen.append(name)
            if len(seen) == at + 1 and not after:
                raise KilledError
            result = real(self, *args)
            if len(seen) == at + 1:
                raise KilledError
            return result

        return call

    for name in WRITES:
        monkeypatch.setattr(EmbeddedStore, name, dying(name, getattr(EmbeddedStore, name)))
    return seen


def _images() -> list[str]:
    chance = random.Random(0)

    def moved(left: float, group: int = 0) -> str:
        places = ((left + 5 * n + chance.gauss(0, 3), 100 + 10 * n) for n in range(len(DOG.joints)))
        return "".join(point(j, x, y, group=group) for j, (x, y) in zip(DOG.joints, places, strict=True))

    two = moved(10, group=1) + moved(300, group=2)
    return [image(n, f"p{n}.jpg", two if n == 3 else moved(10 + n)) for n in range(PICTURES)]


def _desk(root: Path) -> Desk:
    root.mkdir()
    desk = Desk(root, ("firebase.retraining_threshold=5",))
    desk.submit(*(f"p{n}" for n in range(PICTURES)))
    return desk


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_return_write, "BATCH", 4)


@pytest.fixture
def undisturbed(
    tmp_path: Path, small_batches: None, monkeypatch: pytest.MonkeyPatch
) -> tuple[object, list[str]]:
    desk = _desk(tmp_path / "undisturbed")
    with monkeypatch.context() as patched:
        writes = _dying(patched, 10_000, after=True)
        result = desk.bring(_images(), trigger_retraining=True)
    assert (result.animals, result.completed) == (PICTURES + 1, PICTURES)
    assert len({pose.quality for pose in desk.labeled().values()}) > 3
    return desk.state(), writes


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_killed_anywhere_and_started_again(
    tmp_path: Path, undisturbed: tuple[object, list[str]], monkeypatch: pytest.MonkeyPatch, *, after: bool
) -> None:
    wanted, writes = undisturbed
    assert writes.count("write_labeled") == writes.count("complete") == 4
    assert writes[-1] == "reserve_trigger"
    for at in range(len(writes)):
        desk = _desk(tmp_path / f"killed-{at}")
        with monkeypatch.context() as patched:
            _dying(patched, at, after=after)
            with pytest.raises(KilledError):
                desk.bring(_images(), trigger_retraining=True)
        desk.bring(_images(), trigger_retraining=True)
        assert desk.state() == wanted, f"killed at write {at} ({writes[at]})"


def test_two_at_once_write_everything_once(tmp_path: Path, undisturbed: tuple[object, list[str]]) -> None:
    desk = _desk(tmp_path / "two")
    path = desk.write(_images())
    call = desk.call()
    results: list[ReturnResult] = []

    def bring() -> None:
        results.append(firebase_return(call, annotations=path, trigger_retraining=True))

    threads = [threading.Thread(target=bring) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert desk.state() == undisturbed[0]
    assert sum(result.new for result in results) == PICTURES + 1
    assert sum(result.completed for result in results) == PICTURES
    assert [result.trigger is not None for result in results].count(True) == 1

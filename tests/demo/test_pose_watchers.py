"""``firebase run`` in the background of the demonstration: waited for, stopped, and not waited for in vain."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from agir_cvtoolkit.demo import pose_watchers
from agir_cvtoolkit.demo.pose_watchers import Watchers
from agir_cvtoolkit.errors import ConfigError, DeadlineError, ServerUnreachableError
from agir_cvtoolkit.stages import Call

Say = Callable[[str, str], None]


def _with_steps(monkeypatch: pytest.MonkeyPatch, step: Callable[[Say], bool]) -> None:
    def steps(call: Call, say: Say, *, priority: int) -> dict[str, Callable[[], bool]]:
        assert priority == 1
        return {"transfer": lambda: step(say)}

    monkeypatch.setattr(pose_watchers, "loop_steps", steps)


def test_what_watchers_do_is_told_and_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    happened = threading.Event()
    told: list[str] = []

    def step(say: Say) -> bool:
        say("transfer", "3 captures transferred")
        say("transfer", "no capture waits")
        happened.set()
        return False

    _with_steps(monkeypatch, step)
    with Watchers(Call(), 0.01, told.append) as watchers:
        watchers.wait(happened.is_set, "the transfer")
    assert set(told) == {"  transfer: 3 captures transferred"}
    assert not any(thread.name == "firebase-run" for thread in threading.enumerate())


def test_nobody_waits_for_watchers_that_have_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    def step(say: Say) -> bool:
        raise ConfigError("no key", "Give one.")

    _with_steps(monkeypatch, step)
    with Watchers(Call(), 0.01, lambda line: None) as watchers:
        with pytest.raises(
            DeadlineError, match=r"the return did not happen: firebase run ended\. transfer: no key"
        ):
            watchers.wait(lambda: False, "the return", patience_s=120)


def test_what_is_broken_is_told_to_who_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    def steps(*_: object, **__: object) -> None:
        raise ImportError("no module named conf")

    monkeypatch.setattr(pose_watchers, "loop_steps", steps)
    with Watchers(Call(), 0.01, lambda line: None) as watchers:
        with pytest.raises(ImportError, match="no module"):
            watchers.wait(lambda: False, "the transfer", patience_s=120)


def test_patience_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    _with_steps(monkeypatch, lambda say: False)
    with Watchers(Call(), 0.01, lambda line: None) as watchers:
        with pytest.raises(DeadlineError, match=r"in 0\.1 s"):
            watchers.wait(lambda: False, "the return", patience_s=0.1)


def test_nobody_waits_for_what_fails_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def step(say: Say) -> bool:
        raise ServerUnreachableError("the store does not answer", "Wait.")

    _with_steps(monkeypatch, step)
    with Watchers(Call(), 0.001, lambda line: None) as watchers:
        with pytest.raises(
            DeadlineError, match=r"the return did not happen.*transfer failed: the store does not answer"
        ):
            watchers.wait(lambda: False, "the return", patience_s=120)

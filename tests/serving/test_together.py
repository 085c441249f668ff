"""Several watches in one process: each fails and recovers alone."""

from __future__ import annotations

import threading
from collections import defaultdict

from agir_cvtoolkit.errors import ConfigError, ServerUnreachableError
from agir_cvtoolkit.serving.together import WatchedTogether, watch_together


class Said:
    def __init__(self) -> None:
        self.words: dict[str, list[str]] = defaultdict(list)
        self._lock = threading.Lock()

    def __call__(self, name: str, words: str) -> None:
        with self._lock:
            self.words[name].append(words)


def test_one_fails_and_recovers_one_ends_one_has_a_bug_and_the_rest_goes_on() -> None:
    stop, said = threading.Event(), Said()
    tries: dict[str, int] = defaultdict(int)
    enough = {"fine": 5, "flaky": 3, "bug": 2}

    def count(name: str) -> int:
        tries[name] += 1
        if all(tries[key] >= value for key, value in enough.items()):
            stop.set()
        return tries[name]

    def flaky() -> bool:
        if count("flaky") <= 2:
            raise ServerUnreachableError("the store does not answer", "Wait.")
        return False

    def wrong() -> bool:
        raise ConfigError("no credentials", "Write them down.")

    def bug() -> bool:
        if count("bug") == 1:
            raise KeyError("x")
        return False

    def fine() -> bool:
        count("fine")
        return False

    steps = {"fine": fine, "flaky": flaky, "wrong": wrong, "bug": bug}
    guard = threading.Timer(120, stop.set)
    guard.start()
    done = watch_together(steps, 0.01, stop, said)
    guard.cancel()
    assert done.exit_code == 1
    assert done.ended == {"wrong": "no credentials. Write them down."}
    assert said.words["wrong"] == ["ended: no credentials. Write them down."]
    assert done.watches["flaky"].failures == 2
    assert done.watches["bug"].failures == 1
    assert tries["fine"] >= 5
    assert said.words["flaky"][0].startswith("failed: the store does not answer; again in")
    assert "unexpected KeyError" in said.words["bug"][0]
    assert said.words["fine"] == ["stopped"]


def test_a_step_that_does_not_end_is_left_behind() -> None:
    stop, free = threading.Event(), threading.Event()

    def long() -> bool:
        stop.set()
        free.wait(120)
        return False

    done = watch_together({"long": long}, 0.01, stop, Said(), patience_s=0.05)
    free.set()
    assert done == WatchedTogether({}, {}, ("long",))
    assert done.exit_code == 1


def test_when_all_have_ended_it_ends() -> None:
    def wrong() -> bool:
        raise ConfigError("no", "")

    done = watch_together({"a": wrong, "b": wrong}, 0.01, threading.Event(), Said())
    assert set(done.ended) == {"a", "b"}

"""``firebase run``: transfer, return and retrain, as steps that are watched beside each other."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ._call import Call
from ._transfer_options import LIMIT, PRIORITY, check_look_at

Say = Callable[[str, str], None]
"""Told of the name of a step and of what it did, in words; from any thread."""

TRANSFER, RETURN, RETRAIN = "transfer", "return", "retrain"


def loop_steps(
    call: Call,
    say: Say,
    *,
    service_account: Path | None = None,
    limit: int = LIMIT,
    priority: int = PRIORITY,
    look_at: int | None = None,
    output_dir: Path | None = None,
    gpusrv_host: str | None = None,
) -> dict[str, Callable[[], bool]]:
    """Return the steps of the device loop by name, for `serving.together.watch_together`::

        with stopping_on_signals() as stop:
            call = Call(progress=StoppableProgress(stop))
            watch_together(loop_steps(call, say), poll_s, stop, say)

    Each step brings or makes what waits, tells `say`, and returns whether there was something. Corrections demand
    retraining by themselves, as ``firebase return --trigger-retraining`` does.

    Args:
        call: the common options.
        say: told after each step that had something to do, and after the first one that had not.
        service_account: key file of the store.
        limit, priority, look_at, output_dir, gpusrv_host: as of `firebase_transfer`, which is `patient` here.

    Raises:
        UsageError: `look_at` is no more than `limit`.
    """
    check_look_at(look_at, limit)
    options = {
        "service_account": service_account,
        "limit": limit,
        "priority": priority,
        "look_at": look_at,
        "output_dir": output_dir,
        "gpusrv_host": gpusrv_host,
    }
    return {
        TRANSFER: _Transfer(call, say, options),
        RETURN: _Return(call, say, service_account, output_dir),
        RETRAIN: _Retrain(call, say, service_account),
    }


class _Step:
    """Says what was done; that there was nothing it says once."""

    name = ""

    def __init__(self, say: Say) -> None:
        self._say = say
        self._said = ""

    def _tell(self, words: str, *, worked: bool) -> bool:
        if worked or words != self._said:
            self._say(self.name, words)
        self._said = words
        return worked


class _Transfer(_Step):
    name = TRANSFER

    def __init__(self, call: Call, say: Say, options: Mapping[str, Any]) -> None:
        super().__init__(say)
        self._call, self._options = replace(call), options

    def __call__(self) -> bool:
        from .firebase_transfer import firebase_transfer

        result = firebase_transfer(self._call, **self._options, patient=True)
        words = f"{result.transferred} capture{'' if result.transferred == 1 else 's'} transferred"
        if result.passed_over:
            words += f", the best of {result.transferred + result.passed_over} looked at"
        if result.failed:
            words += f", {result.failed} failed"
        if result.with_people:
            busy = (
                f"people are at {result.with_people} that were chosen; others are chosen when they are done"
            )
            words = f"{words}; {busy}" if result.worked else busy
        elif result.waiting:
            many = (
                f"{result.waiting} captures that are first" if result.waiting > 1 else "capture that is first"
            )
            words = f"no picture of the {many} is there yet"
        elif result.late:
            words += f", {result.late} still without a picture"
        elif not result.worked:
            words = "no capture waits"
        return self._tell(words, worked=result.worked)


class _Return(_Step):
    name = RETURN

    def __init__(self, call: Call, say: Say, service_account: Path | None, output_dir: Path | None) -> None:
        from .firebase_return import ReturnStep

        super().__init__(say)
        self._look = ReturnStep(
            replace(call), trigger_retraining=True, output_dir=output_dir, service_account=service_account
        )

    def __call__(self) -> bool:
        result = self._look()
        words = (
            f"{result.new} corrections new, {result.changed} changed, {result.completed} captures completed"
        )
        if result.trigger is not None:
            words += f", retraining triggered by {result.trigger.count}"
        if result.items:
            words += f", {len(result.items)} not taken"
        return self._tell(words if result.worked else "no finished job waits", worked=result.worked)


class _Retrain(_Step):
    name = RETRAIN

    def __init__(self, call: Call, say: Say, service_account: Path | None) -> None:
        from .retrain import RetrainStep

        super().__init__(say)
        self._look = RetrainStep(replace(call), service_account=service_account)

    def __call__(self) -> bool:
        result = self._look()
        if result is None:
            return self._tell("another process retrains", worked=False)
        if not result.worked:
            return self._tell("no trigger waits", worked=False)
        if result.state != "trained" or result.verdict is None:
            return self._tell(f"trigger {result.trigger_id} was done already", worked=True)
        place = "in service now" if result.promoted else "not put in service"
        return self._tell(f"model {result.version} {place}: {result.verdict.words}", worked=True)

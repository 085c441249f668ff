"""``firebase run``: transfer, return and retrain, as steps that are watched beside each other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from ._call import Call
from ._transfer_options import LIMIT, PRIORITY

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
        limit, priority, output_dir, gpusrv_host: as of `firebase_transfer`.
    """
    return {
        TRANSFER: _Transfer(call, say, service_account, limit, priority, output_dir, gpusrv_host),
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

    def __init__(
        self,
        call: Call,
        say: Say,
        service_account: Path | None,
        limit: int,
        priority: int,
        output_dir: Path | None,
        gpusrv_host: str | None,
    ) -> None:
        super().__init__(say)
        self._call = replace(call)
        self._service_account, self._limit, self._priority = service_account, limit, priority
        self._output_dir, self._gpusrv_host = output_dir, gpusrv_host

    def __call__(self) -> bool:
        from .firebase_transfer import firebase_transfer

        result = firebase_transfer(
            self._call,
            service_account=self._service_account,
            limit=self._limit,
            priority=self._priority,
            output_dir=self._output_dir,
            gpusrv_host=self._gpusrv_host,
        )
        words = f"{result.transferred} capture{'' if result.transferred == 1 else 's'} transferred"
        if result.failed:
            words += f", {result.failed} failed"
        if result.waiting:
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

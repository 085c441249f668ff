"""Signals stop a process that stays: its pauses at once, its work at the next step."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from agir_cvtoolkit.errors import InterruptedByUser
from agir_cvtoolkit.serving.stopping import StoppableProgress, stopping_on_signals


def signalled(number: signal.Signals) -> None:
    os.kill(os.getpid(), number)
    threading.Event().wait(60)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_first_signal_asks_and_the_second_interrupts(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with stopping_on_signals() as stop:
        os.kill(os.getpid(), number)
        assert stop.wait(60)
        with pytest.raises(KeyboardInterrupt):
            signalled(number)
    assert signal.getsignal(number) is before


def test_in_another_thread_signals_are_left_alone() -> None:
    before, inside = signal.getsignal(signal.SIGTERM), []

    def look() -> None:
        with stopping_on_signals() as stop:
            inside.append((signal.getsignal(signal.SIGTERM), stop.is_set()))

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert inside == [(before, False)]


def test_bars_end_the_work_once_it_is_to_stop() -> None:
    stop = threading.Event()
    with StoppableProgress(stop).bar("train", 3) as bar:
        bar.advance()
        stop.set()
        with pytest.raises(InterruptedByUser, match="train was stopped"):
            bar.advance()

from __future__ import annotations

import os
from pathlib import Path

import pytest

from agir_cvtoolkit.engines import Bounds, Processes, Threads
from agir_cvtoolkit.errors import ConfigError, DataError

from .work import Squares, SquaringSteps

pytestmark = pytest.mark.integration


class Where(Squares):
    """Says which process did it."""

    def open(self, worker: int) -> SquaringSteps:
        steps = super().open(worker)
        steps.write = lambda item, given, pieces: os.getpid() + 0 * sum(pieces)  # type: ignore[method-assign]
        return steps


def test_several_processes_find_what_one_does() -> None:
    work = Squares(bad={7: "read", 11: "write"})
    here, there = (list(engine.run(work, range(40))) for engine in (Threads(), Processes(2)))
    assert [(n, str(v)) for n, v in there] == [(n, str(v)) for n, v in here]
    pids = {pid for _, pid in Processes(2, Bounds(items=2)).run(Where(), range(40))}
    assert len(pids) == 2
    assert os.getpid() not in pids


def test_a_process_that_dies_is_replaced(tmp_path: Path) -> None:
    found = dict(Processes(2).run(Squares(deadly=(5,), once=tmp_path), range(12)))
    assert found == {n: n * n for n in range(12)}


def test_an_item_that_ends_two_processes_is_given_up() -> None:
    found = dict(Processes(1).run(Squares(deadly=(3,)), range(6)))
    assert isinstance(found[3], DataError)
    assert "ended twice, with code -9" in str(found[3])
    assert {n: v for n, v in found.items() if n != 3} == {0: 0, 1: 1, 2: 4, 4: 16, 5: 25}


def test_work_that_cannot_begin_is_an_error_of_the_call() -> None:
    with pytest.raises(ConfigError, match="no such GPU"):
        list(Processes(2).run(Squares(impossible=True), range(4)))


def test_nothing_to_do() -> None:
    assert list(Processes(2).run(Squares(), [])) == []

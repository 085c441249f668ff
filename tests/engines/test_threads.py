from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest

from agir_cvtoolkit.engines import Bounds, Pieces, Threads

from .work import Squares, SquaringSteps


class Opened:
    """Work whose steps stay in reach."""

    def __init__(self, work: Squares) -> None:
        self.steps = work.open(0)

    def open(self, worker: int) -> SquaringSteps:
        return self.steps


def test_outcomes_come_in_the_order_of_the_items() -> None:
    numbers = [5, 3, 9, 0, 1, 7, 2] * 3
    work = Opened(Squares())
    assert list(Threads().run(work, numbers)) == [(n, n * n) for n in numbers]
    assert work.steps.predicted == numbers


@pytest.mark.parametrize(
    ("bounds", "weight", "most"),
    [(Bounds(readers=4, weight=3), 1, 3), (Bounds(readers=4, items=2), 0, 2), (Bounds(weight=1), 5, 1)],
)
def test_no_more_is_in_work_than_the_bounds_allow(bounds: Bounds, weight: int, most: int) -> None:
    work = Opened(Squares(weight=weight))
    list(Threads(bounds).run(work, range(30)))
    assert work.steps.most == most


@pytest.mark.parametrize("step", ["read", "predict", "end", "write"])
def test_what_a_step_raises_is_the_outcome_of_its_item(step: str) -> None:
    found = dict(Threads().run(Squares(bad={4: step, 5: step}), range(8)))
    assert {n: str(v) if n in {4, 5} else v for n, v in found.items()} == {
        0: 0, 1: 1, 2: 4, 3: 9, 4: f"{step} 4", 5: f"{step} 5", 6: 36, 7: 49,
    }  # fmt: skip


def test_nothing_is_left_running_when_nobody_listens_any_more() -> None:
    before = set(threading.enumerate())
    outcomes = Threads().run(Squares(), range(1000))
    assert next(iter(outcomes)) == (0, 0)
    outcomes.close()  # type: ignore[attr-defined]
    assert set(threading.enumerate()) <= before


class Waiting:
    """An item is predicted until the next one is read, and written until the next one is predicted."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.have_read, self.predicting = ([threading.Event() for _ in range(count)] for _ in range(2))

    def open(self, worker: int) -> Waiting:
        return self

    def weigh(self, item: int) -> int:
        return 1

    def read(self, item: int) -> int:
        self.have_read[item].set()
        return item

    def predict(self, item: int, given: int) -> Iterator[int]:
        self.predicting[item].set()
        assert item + 1 == self.count or self.have_read[item + 1].wait(60)
        time.sleep(0.002)
        yield given

    def write(self, item: int, given: int, pieces: Pieces[int]) -> float:
        assert list(pieces) == [item]
        assert item + 1 == self.count or self.predicting[item + 1].wait(60)
        return pieces.seconds


def test_reading_and_writing_go_on_while_one_is_predicted() -> None:
    outcomes = list(Threads().run(Waiting(15), range(15)))
    assert [item for item, _ in outcomes] == list(range(15))
    assert all(isinstance(s, float) and s >= 0.002 for _, s in outcomes), outcomes


class Pictures(Waiting):
    """Holds large arrays, as pictures are."""

    def __init__(self) -> None:
        super().__init__(0)
        self.alive = 0
        self.most = 0

    def read(self, item: int) -> np.ndarray:  # type: ignore[override]
        outer = self

        class Counted(np.ndarray):
            def __del__(self) -> None:
                outer.alive -= 1

        self.alive += 1
        self.most = max(self.most, self.alive)
        return np.zeros(10).view(Counted)

    def predict(self, item: int, given: object) -> Iterator[int]:
        yield 0

    def write(self, item: int, given: object, pieces: Pieces[int]) -> float:
        return float(sum(pieces))


def test_pictures_are_let_go_as_soon_as_they_are_written() -> None:
    work = Pictures()
    list(Threads(Bounds(items=2)).run(work, range(20)))
    assert work.most <= 3  # two in work, one on its way out
    assert work.alive == 0

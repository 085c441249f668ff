"""What a round does between two of its states, whatever its pictures and its kind of model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

from agir_cvtoolkit.ledger import Ledger, RoundRow
from agir_cvtoolkit.runs import Run

from ._call import Call

if TYPE_CHECKING:
    from agir_cvtoolkit.config import Settings

Figures = Mapping[str, object]


@dataclass(frozen=True)
class LoopPlace:
    """Where a loop works.

    Attributes:
        name: of the loop.
        call: the common options.
        settings: of the call.
        ledger: of the workspace, open.
        pool: run or folder that its pictures come from; empty with captures.
    """

    name: str
    call: Call
    settings: Settings
    ledger: Ledger
    pool: str

    def run_id(self, number: int) -> str:
        """Return the run of a round: always the same one."""
        return f"loop/{self.name}-{number:03d}"

    def run(self, run_id: str) -> Run:
        """Open a run."""
        from agir_cvtoolkit.runs import open_run

        return open_run(self.settings.io.out_root, run_id)

    def calling(self, run_id: str | None, *overrides: str) -> Call:
        """Return the call of a stage in a run."""
        return replace(self.call, run=run_id, overrides=(*self.call.overrides, *overrides))


@dataclass(frozen=True)
class Chosen:
    """A batch.

    Attributes:
        count: units that were chosen.
        figures: of the round.
        run_id: where the batch lies; None for the run of the round.
        comes_later: where nothing was chosen: something may be there at the next look.
    """

    count: int
    figures: Figures = field(default_factory=dict)
    run_id: str | None = None
    comes_later: bool = False


@dataclass(frozen=True)
class CameBack:
    """How far people are.

    Attributes:
        waiting: jobs of the round that are not finished.
        finished: the whole batch is.
        drained: rounds, by number, of which all jobs are finished now.
    """

    waiting: int
    finished: bool
    drained: tuple[int, ...] = ()


def cold_start(settings: Settings) -> tuple[str, ...]:
    """Return how a batch is chosen that no model can say anything of, as overrides of ``select``."""
    start = settings.loop.cold_start
    return ("select.control=1.0",) if start == "random" else (f"select.strategy={start}",)


class RoundWork(Protocol):
    """What brings a round from one state to the next; each call may be made again after a kill."""

    def choose(self, row: RoundRow, rounds: Sequence[RoundRow], count: int) -> Chosen:
        """Predict the pool and choose a batch; none where the pool is exhausted."""
        ...

    def push(self, row: RoundRow) -> Figures:
        """Make the batch's tasks."""
        ...

    def look(self, row: RoundRow, rounds: Sequence[RoundRow]) -> CameBack:
        """Bring back what people have finished."""
        ...

    def ask(self, row: RoundRow, rounds: Sequence[RoundRow]) -> Figures:
        """Lay down what the training learns from and is tested on."""
        ...

    def train(self, row: RoundRow, rounds: Sequence[RoundRow]) -> Figures:
        """Train a model on all rounds' labels."""
        ...

    def evaluate(self, row: RoundRow) -> Figures:
        """Compare it with the champion; the figure ``takes_over`` says whether it becomes it."""
        ...

    def promote(self, row: RoundRow) -> None:
        """Put it into service."""
        ...

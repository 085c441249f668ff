"""``loop``: whole rounds, until there is nothing more to gain."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from agir_cvtoolkit.config import COMMAND_LINE
from agir_cvtoolkit.errors import NoRunError, UsageError
from agir_cvtoolkit.ledger import Ledger, RoundRow

from ._call import Call
from ._loop_budget import end_of, room_for, spent_of
from ._loop_hooks import Hooks
from ._loop_lease import hold_loop
from ._loop_steps import LoopSteps, Step
from ._round_work import LoopPlace, RoundWork

if TYPE_CHECKING:
    from agir_cvtoolkit.config import Settings

__all__ = ["STAGE", "LoopOptions", "LoopResult", "Step", "loop", "looping"]

STAGE = "loop"
_NAME = re.compile(r"[\w][\w.-]{0,59}")
Tell = Callable[[Step], None]


@dataclass(frozen=True)
class LoopOptions:
    """What a call says of a loop; None and empty take the settings.

    Attributes:
        rounds: how many are done at the end, those of earlier calls included.
        count: pictures of a round; kept with the loop, as its pool is.
        hours: of people's work at the end.
        target: score of the model in service at the end.
        patience: so many models in a row that do not take over end the loop.
        pool: a run with a query, or a folder of pictures.
        query: options of `query`, by name; its records are the pool then.
    """

    rounds: int | None = None
    count: int | None = None
    hours: float | None = None
    target: float | None = None
    patience: int | None = None
    pool: str | None = None
    query: Mapping[str, Any] | None = None

    @property
    def overrides(self) -> tuple[str, ...]:
        """The settings that they stand for."""
        named = {
            "loop.budget.rounds": self.rounds,
            "loop.count": self.count,
            "loop.budget.hours": self.hours,
            "loop.budget.target": self.target,
            "loop.budget.patience": self.patience,
        }
        pool = () if self.pool is None else (f"loop.pool='{self.pool}'",)
        return (*(f"{key}={value}" for key, value in named.items() if value is not None), *pool)


@dataclass(frozen=True)
class LoopResult:
    """Where a loop stands.

    Attributes:
        state: ``ended``: there will be no further round; ``waiting``: for people; ``stopped``: somebody said so;
            ``planned`` in a dry run.
        why: in words; in a dry run what would come next.
        rounds: all of the loop, in order.
        champion: version of the model in service; empty where there is none.
        incumbent: what predicts where no model is in service and one was compared with it; else empty.
        score: of either on the test set, see `figure`; None where it was never tested.
        pictures: that were chosen.
        hours: of people's work.
        captures: ids of those that the next round would look at, in a dry run of a loop of captures.
    """

    name: str
    kind: str
    state: Literal["ended", "waiting", "stopped", "planned"]
    why: str
    rounds: tuple[RoundRow, ...]
    champion: str = ""
    score: float | None = None
    pictures: int = 0
    hours: float = 0.0
    dry_run: bool = False
    captures: tuple[str, ...] = ()
    incumbent: str = ""

    @property
    def figure(self) -> str:
        """What the scores of rounds and champion are; a report shows the IoU of the plants alone."""
        return "mean PCK" if self.kind == "pose" else "mean IoU with background"

    @property
    def exit_code(self) -> int:
        """0."""
        return 0


def loop(
    name: str,
    options: LoopOptions | None = None,
    call: Call | None = None,
    *,
    stop: threading.Event | None = None,
    tell: Tell = lambda step: None,
    wait: bool = True,
) -> LoopResult:
    """Run rounds until a budget ends them: predict, choose, push, wait for people, pull, train, compare, promote.

    Whatever a call has done is in the ledger; one that was killed is ended by the next one, and the loop ends in the
    state in which it would have without. Each round has a run of its own, ``loop/<name>-<number>``; its training
    learns from the labels of all rounds.

    Args:
        name: of the loop; the same name goes on with the same loop.
        options: of this call.
        call: the common options.
        stop: set it from anywhere to end the call; the loop goes on with the next one.
        tell: told of each step.
        wait: for people; False returns as soon as only they can go on.

    Raises:
        UsageError: another process has this loop, or its name or its pool is impossible.
        AgirError: whatever a stage raises; the round is ``failed`` then, and the next call tries again.
    """
    call = _with(call or Call(), options or LoopOptions())
    settings = call.settings()
    if call.dry_run:
        return _planned(name, settings, call)
    stop = stop or threading.Event()
    step = Step("waiting", "it was stopped")
    with looping(name, options, call) as steps:
        while not stop.is_set():
            step = steps.step()
            tell(step)
            if step.state == "ended" or (step.state == "waiting" and not wait):
                break
            if step.state == "waiting":
                stop.wait(settings.loop.poll_s)
    stopped = stop.is_set() and step.state != "ended"
    return result_of(
        name, call, "stopped" if stopped else "ended" if step.state == "ended" else "waiting", step.words
    )


@contextmanager
def looping(
    name: str, options: LoopOptions | None, call: Call, *, patient: bool = False
) -> Iterator[LoopSteps]:
    """Hold a loop and give its steps, for whoever calls them again and again.

    Args:
        name: of the loop.
        options: of this call.
        call: the common options.
        patient: a server that does not answer is no failure of a round, since the next step tries again.

    Raises:
        UsageError: another process has this loop, or its name or its pool is impossible.
    """
    options = options or LoopOptions()
    call = _with(call, options)
    settings = call.settings()
    _check_name(name)
    if options.query is None:  # before it is known to the ledger: a loop that cannot be leaves nothing there
        _pool(name, options, call, _plan(settings, name))
    with (
        Ledger.open(settings.io.ledger_url, settings.io.out_root) as ledger,
        hold_loop(settings, name, {}) as lease,
        Hooks(settings, name, lambda: _secret(settings)) as hooks,
    ):
        plan = dict(lease.row.plan)
        pool = _pool(name, options, call, plan)
        count = _count(settings, plan)
        call = replace(call, overrides=(*call.overrides, *(f"loop.count={one}" for one in count.values())))
        settings = call.settings()
        ledger.plan_loop(name, lease.owner, {"pool": pool, "source": settings.loop.source, **count})
        place = LoopPlace(name, call, settings, ledger, pool)
        yield LoopSteps(place, _work(place), lease, hooks, patient=patient)


def result_of(
    name: str, call: Call, state: Literal["ended", "waiting", "stopped", "planned"], why: str
) -> LoopResult:
    """Return where a loop stands."""
    from .effort import effort

    settings = call.settings()
    with Ledger.open_to_read(settings.io.ledger_url, settings.io.out_root) as ledger:
        rounds = ledger.rounds(name)
        champion = ledger.champion(settings.loop.kind)
    hours = effort(call).hours_by_run
    worked = sum(hours.get(row.run_id, 0.0) for row in rounds)
    spent = spent_of(rounds, worked, champion.version if champion else "")
    compared = [str(row.figures["incumbent"]) for row in rounds if row.figures.get("incumbent")]
    return LoopResult(
        name=name,
        kind=settings.loop.kind,
        state=state,
        why=why,
        rounds=tuple(rounds),
        champion=champion.version if champion else "",
        incumbent=compared[-1] if compared and champion is None else "",
        score=spent.score,
        pictures=spent.pictures,
        hours=spent.hours,
        dry_run=call.dry_run,
    )


def _with(call: Call, options: LoopOptions) -> Call:
    return replace(call, run=None, overrides=(*call.overrides, *options.overrides))


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name) or name.endswith("."):
        raise UsageError(
            f"'{name}' is no name of a loop", "Take letters, digits, '-', '_' and '.', at most 60."
        )


def _secret(settings: Settings) -> str:
    from agir_cvtoolkit.config import made_webhook_secret

    return made_webhook_secret(settings.io.keys_file)


def _work(place: LoopPlace) -> RoundWork:
    settings = place.settings.loop
    if settings.source == "captures":
        from ._capture_rounds import CaptureRounds

        return CaptureRounds(place)
    from ._pool_learning import SegmentationLearning
    from ._pool_poses import PoseLearning
    from ._pool_rounds import PoolRounds

    learning = PoseLearning(place) if settings.kind == "pose" else SegmentationLearning(place)
    return PoolRounds(place, learning)


def _plan(settings: Settings, name: str) -> dict[str, Any]:
    with Ledger.open_to_read(settings.io.ledger_url, settings.io.out_root) as ledger:
        return next((dict(row.plan) for row in ledger.loops() if row.name == name), {})


def _pool(name: str, options: LoopOptions, call: Call, plan: dict[str, Any]) -> str:
    """Return the pool: what this call says, else what the loop had, else what the settings say."""
    settings = call.settings()
    if settings.loop.source == "captures":
        return ""
    if options.query is not None:
        from .query import query

        run_id = f"{STAGE}/{name}-pool"
        query(**options.query, call=replace(call, run=run_id))
        return run_id
    given = options.pool or plan.get("pool") or settings.loop.pool
    if not given:
        raise UsageError(
            f"loop {name} has no pool", "Name a run or a folder with --pool, or give --filters and its like."
        )
    folder = Path(given).expanduser()
    if folder.is_dir():
        return str(folder.resolve())
    from agir_cvtoolkit.runs import open_run

    try:
        return open_run(settings.io.out_root, given).run_id
    except NoRunError as error:
        raise UsageError(f"the pool '{given}' is neither a run nor a folder", error.next_step) from error


def _count(settings: Settings, plan: Mapping[str, Any]) -> dict[str, int]:
    """Return the count of a round that a call names, else the one that an earlier call named; none for the settings'."""
    if settings.origins.get("loop.count") == COMMAND_LINE:
        return {"count": settings.loop.count}
    return {"count": int(plan["count"])} if "count" in plan else {}


def _planned(name: str, settings: Settings, call: Call) -> LoopResult:
    from ._loop_plan import next_words

    _check_name(name)
    found = result_of(name, call, "planned", "")
    spent = spent_of(found.rounds, found.hours, found.champion)
    newest = found.rounds[-1] if found.rounds else None
    if newest is None or newest.is_ended:
        end = end_of(settings.loop.budget, spent)
        if end is not None:
            return replace(found, why=f"nothing: {end}")
        why = f"round {len(found.rounds) + 1} begins"
    else:
        why = f"round {newest.number} is {newest.state}; {next_words(newest.stands)}"
    is_chosen = newest is not None and not newest.is_ended and newest.stands != "opened"
    if is_chosen or settings.loop.source != "captures":
        return replace(found, why=why)
    from ._capture_window import planned_window

    count = _count(settings, _plan(settings, name)).get("count", settings.loop.count)
    window, words = planned_window(settings, room_for(settings.loop.budget, spent, count))
    looked_at = tuple(one.capture_id for one in window.captures)
    return replace(found, why=f"{why}; {words}", captures=looked_at)

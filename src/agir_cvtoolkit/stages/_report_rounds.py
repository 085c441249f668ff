"""Rounds as reports show them: those of loops, and where no loop was run, the runs themselves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from agir_cvtoolkit.ledger import STATES, Ledger, ModelRow, RoundRow
from agir_cvtoolkit.reporting.page_parts import Step, StepState, Way
from agir_cvtoolkit.runs import Run

from .status import PREDICTIONS

STEPS = ("chosen", "sent", "in annotation", "back", "trained", "tested", "promoted")
_OF_STATE = {
    "opened": 0,
    "selected": 1,
    "pushed": 2,
    "in_annotation": 2,
    "pulled": 4,
    "trained": 5,
    "evaluated": 6,
    "promoted": 7,
    "rejected": 6,
    "deferred": 4,
}
"""Steps that are done in each state of a round."""
_WAITS_FOR = (
    "next: choose pictures",
    "next: send them",
    "with the annotators",
    "with the annotators",
    "next: train",
    "next: test the model",
    "next: put the model into service",
)


@dataclass(frozen=True)
class RoundView:
    """One round, or one run that counts as one.

    Attributes:
        name: for people.
        loop: that it belongs to; None of a run.
        done: how many of `STEPS` are done.
        ending: the last step's name: ``promoted``, or ``rejected``.
        failed: the step in which it failed; None where it did not.
        reason: why it failed, or was put off.
        opened, changed: when (ISO 8601, UTC); empty where unknown.
    """

    name: str
    number: int
    run_id: str
    training_run: str
    loop: str | None
    done: int
    ending: str = "promoted"
    failed: str | None = None
    reason: str = ""
    opened: str = ""
    changed: str = ""
    figures: Mapping[str, Any] = field(default_factory=dict, hash=False)

    @property
    def runs(self) -> tuple[str, ...]:
        """Its runs."""
        return tuple(dict.fromkeys((self.run_id, self.chosen_in, self.training_run)))

    @property
    def chosen_in(self) -> str:
        """The run in which its batch was chosen: of captures the one in which they were looked at."""
        return str(self.figures.get("looked_in") or self.run_id)

    @property
    def now(self) -> str:
        """What is next, in words."""
        if self.failed:
            return f"failed while it was to be {self.failed}"
        if self.ending == "rejected":
            than = self.figures.get("incumbent")
            return f"ended: the new model was not better{f' than {than}' if than else ''} and was rejected"
        if self.done >= len(STEPS):
            return "ended: the new model is the champion"
        return self.reason or _WAITS_FOR[self.done]


def rounds_of_loop(ledger: Ledger, loop: str) -> list[RoundView]:
    """Return the rounds of a loop in order."""
    return [_of_loop(row) for row in ledger.rounds(loop)]


def rounds_of_runs(runs: Sequence[Run], models: Sequence[ModelRow]) -> list[RoundView]:
    """Return runs as rounds, the oldest first; runs in which nothing was sent or trained are none."""
    promoted = {model.run_id for model in models if model.champion_since}
    begun = sorted(
        (run.started_at() or "", run.run_id, run)
        for run in runs
        if any(run.has_begun(stage) for stage in ("upload-cvat", "download-cvat", "train"))
        or run.path("evaluation").is_dir()
    )
    return [_of_run(number, run, promoted) for number, (_, _, run) in enumerate(begun, start=1)]


def way_of(view: RoundView, note: str) -> Way:
    """Return a round as steps with a note."""
    steps = []
    for number, name in enumerate(STEPS):
        state: StepState = "done" if number < view.done else "now" if number == view.done else "ahead"
        last = number == len(STEPS) - 1
        if view.failed and number == view.done:
            state = "failed"
        if last and view.ending != "promoted":
            name, state = view.ending, "done"  # noqa: PLW2901 - the step has another end
        steps.append(Step(name, state))
    return Way(view.name, tuple(steps), note)


def _of_loop(row: RoundRow) -> RoundView:
    stands = row.stands if row.stands in STATES else "opened"
    done = _OF_STATE.get(stands, 0)
    failed = STEPS[min(done, len(STEPS) - 1)] if row.state == "failed" else None
    reason = str(row.figures.get("reason", "")) if row.state in {"failed", "deferred"} else ""
    if row.state == "deferred" and not reason:
        reason = "put off: not enough came back to learn from"
    return RoundView(
        name=f"Round {row.number}",
        number=row.number,
        run_id=row.run_id,
        training_run=row.training_run,
        loop=row.loop,
        done=done,
        ending="rejected" if row.state == "rejected" else "promoted",
        failed=failed,
        reason=reason,
        opened=row.opened,
        changed=row.changed,
        figures=row.figures,
    )


def _of_run(number: int, run: Run, promoted: set[str | None]) -> RoundView:
    verdict = run.read_metrics("evaluate").get("verdict")
    worse = isinstance(verdict, dict) and verdict.get("outcome") == "worse"
    steps = (
        any(run.finished_at(stage) for stage in PREDICTIONS),
        run.finished_at("upload-cvat") is not None,
        run.finished_at("download-cvat") is not None,
        run.finished_at("download-cvat") is not None,
        run.finished_at("train") is not None,
        run.path("evaluation", "evaluation.json").is_file(),
        run.run_id in promoted,
    )
    done = max((at + 1 for at, reached in enumerate(steps) if reached), default=0)
    if done < len(STEPS) and worse:
        return RoundView(run.run_id, number, run.run_id, run.run_id, None, done, ending="rejected")
    opened = run.started_at() or ""
    tested = steps[5] and not steps[6]
    reason = "tested; its model was not put into service" if tested else ""
    return RoundView(run.run_id, number, run.run_id, run.run_id, None, done, reason=reason, opened=opened)

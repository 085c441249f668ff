"""Rounds whose pictures come from devices: transferred as they are sent, the least sure ones first."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing

from agir_cvtoolkit.ledger import RoundRow
from agir_cvtoolkit.runs import list_runs

from ._round_work import CameBack, Chosen, Figures, LoopPlace
from ._transfer_journal import STAGE as TRANSFER
from ._transfer_journal import is_transfer
from .firebase_return import ReturnStep
from .firebase_transfer import firebase_transfer
from .retrain import STAGE as RETRAIN
from .retrain import retrain


class CaptureRounds:
    """Rounds of captures: ``firebase transfer``, ``firebase return`` and ``retrain``, one after the other.

    The queue's priority, which a device gives by its doubt, is the choice. The batch lies in the run of the transfer,
    the model in that of the retraining.

    Args:
        place: where the loop works.
    """

    def __init__(self, place: LoopPlace) -> None:
        self._place = place
        self._looks: ReturnStep | None = None

    def choose(self, row: RoundRow, rounds: Sequence[RoundRow], count: int) -> Chosen:
        """Transfer captures; a transfer that a killed call has ended is this round's."""
        taken = {one.run_id for one in rounds}
        run_id = self._ended_before(row, taken)
        if run_id is None:
            result = firebase_transfer(self._place.calling(None), limit=count)
            if result.run_id is None or not result.transferred:
                return Chosen(0, comes_later=True)
            run_id = result.run_id
        run = self._place.run(run_id)
        return Chosen(len(run.read_manifest()), {"strategy": "priority of the queue"}, run_id)

    def push(self, row: RoundRow) -> Figures:
        """Return the tasks that the transfer has made."""
        ledger = self._place.ledger
        tasks = [
            task.task_id
            for push_id, _, _ in ledger.pushes()
            for task in ledger.tasks_of_push(push_id)
            if task.run_id == row.run_id and task.task_id is not None
        ]
        return {"tasks": tasks}

    def look(self, row: RoundRow, rounds: Sequence[RoundRow]) -> CameBack:
        """Return what people have finished to the store."""
        tasks = [int(task) for task in row.figures["tasks"]]
        if self._looks is None:
            self._looks = ReturnStep(self._place.calling(None), task_ids=tasks, trigger_retraining=True)
        result = self._looks()
        finished = not result.waiting and result.jobs + result.unchanged > 0
        if finished:
            self._looks = None
        return CameBack(result.waiting, finished, (row.number,) if finished else ())

    def ask(self, row: RoundRow, rounds: Sequence[RoundRow]) -> Figures:
        """Find the trigger that the corrections have made; without one they wait for the next round's."""
        from agir_cvtoolkit.firebase import open_store

        with closing(open_store(self._place.settings.firebase)) as store:
            waiting = sorted((t for t in store.triggers() if t.status != "completed"), key=lambda t: t.made)
            unreserved, threshold = store.unreserved(), self._place.settings.firebase.retraining_threshold
        if not waiting:
            return {"train": False, "why": f"{unreserved} of {threshold} corrections that make a trigger"}
        return {"trigger": waiting[0].trigger_id, "training_run": f"{RETRAIN}/{waiting[0].trigger_id}"}

    def train(self, row: RoundRow, rounds: Sequence[RoundRow]) -> Figures:
        """Retrain, which compares, promotes and publishes as well."""
        result = retrain(self._place.calling(None))
        if result.state == "trained" or self._known(row):
            return self.evaluate(row)
        return {"train": False, "why": f"retraining: {result.state}"}

    def evaluate(self, row: RoundRow) -> Figures:
        """Return what the retraining has found."""
        told = self._place.run(row.training_run).read_metrics(RETRAIN)
        evaluation, verdict = told.get("evaluation") or {}, told.get("verdict") or {}
        mine = (evaluation.get("challenger") or {}).get("metrics", {}).get("test_mean_pck")
        theirs = ((evaluation.get("champion") or {}).get("metrics") or {}).get("test_mean_pck")
        promoted = bool(told.get("promoted"))
        return {
            "version": told.get("version", ""),
            "learned": told.get("trained", 0),
            "test_pictures": told.get("tested", 0),
            "score": mine,
            "champion_score": mine if promoted else theirs,
            "outcome": verdict.get("outcome", ""),
            "words": "in service and published" if promoted else "not put in service",
            "takes_over": promoted,
        }

    def promote(self, row: RoundRow) -> None:
        """Nothing is left: the retraining has put it into service."""

    def _known(self, row: RoundRow) -> bool:
        """Whether a killed call has ended the retraining."""
        run_id = row.training_run
        return run_id in list_runs(self._place.settings.io.out_root) and bool(
            self._place.run(run_id).read_metrics(RETRAIN)
        )

    def _ended_before(self, row: RoundRow, taken: set[str]) -> str | None:
        """Return the run of a transfer that was ended since the round began and belongs to none."""
        for run_id in list_runs(self._place.settings.io.out_root):
            run = self._place.run(run_id)
            if run_id in taken or not is_transfer(run) or run.finished_at(TRANSFER) is None:
                continue
            if (run.started_at() or "") >= row.opened and run.manifest_path.is_file() and run.read_manifest():
                return run_id
        return None

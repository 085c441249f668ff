"""Rounds whose pictures come from devices: a window of those that wait is looked at, and the best are transferred."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from typing import TYPE_CHECKING

from agir_cvtoolkit.ledger import RoundRow
from agir_cvtoolkit.runs import Run, list_runs

from ._comparison import Verdict
from ._pool_learning import checkpoint_path, incumbent_of, score_of
from ._round_work import CameBack, Chosen, Figures, LoopPlace, cold_start
from ._transfer_journal import finished_journals
from .download_cvat import download_cvat
from .firebase_return import ReturnStep
from .firebase_transfer import end_interrupted, firebase_transfer, transfer_chosen
from .retrain import STAGE as RETRAIN
from .retrain import retrain

if TYPE_CHECKING:
    from agir_cvtoolkit.firebase import CaptureStore

_TRIES = 3
"""So often a batch is chosen of which others were quicker to take every capture."""
IN_QUEUE = "priority of the queue"


class CaptureRounds:
    """Rounds of captures: a look, ``firebase transfer``, ``firebase return`` and ``retrain``, one after the other.

    What is looked at lies in the run of the round, the batch in that of the transfer, the model in that of the
    retraining. Where no more are looked at than are wanted, the queue's priority is the choice, which a device gives
    by its doubt.

    Args:
        place: where the loop works.
    """

    def __init__(self, place: LoopPlace) -> None:
        self._place = place
        self._looks: ReturnStep | None = None

    def choose(self, row: RoundRow, rounds: Sequence[RoundRow], count: int) -> Chosen:
        """Look at captures that wait and transfer the best; what a killed call has transferred is this round's."""
        taken = {one.run_id for one in rounds if one.number != row.number}
        if self._place.settings.loop.captures.of(count) <= count:
            return self._first_in_queue(row, taken, count)
        from agir_cvtoolkit.firebase import open_store

        run_id = self._place.run_id(row.number)
        looked_in = Run(run_id, self._place.settings.io.out_root / run_id)
        end_interrupted(self._place.calling(None), looked_in.run_id)
        with closing(open_store(self._place.settings.firebase)) as store:
            for _ in range(_TRIES):
                brought = self._brought(looked_in, taken)
                if brought is not None:
                    return self._is_chosen(row, looked_in, brought, store)
                if not self._looks_and_takes(row, looked_in, store, count):
                    break
        return Chosen(0, comes_later=True)

    def _looks_and_takes(self, row: RoundRow, looked_in: Run, store: CaptureStore, count: int) -> bool:
        """Look once and transfer what was chosen; return whether anything was."""
        from ._capture_look import CaptureLook, remember

        version = str(row.figures["predictor"])
        model = f"'{checkpoint_path(self._place, version)}'" if version else "none"
        look = CaptureLook(
            self._place.calling(None),
            self._place.settings,
            looked_in,
            store,
            model,
            () if version else cold_start(self._place.settings),
        )
        window = look.window(self._place.settings.loop.captures.of(count))
        chosen = look.choose(window, count) if window.is_worth_a_look else ()
        if not chosen:
            remember(looked_in, store, self._place.ledger, self._told(row))
            return False
        transfer_chosen(self._place.calling(None), chosen, looked_in.run_id)
        return True

    def _is_chosen(self, row: RoundRow, looked_in: Run, brought: Run, store: CaptureStore) -> Chosen:
        from ._capture_look import control_of, remember

        records = [entry.record_id for entry in brought.read_manifest()]
        left = remember(looked_in, store, self._place.ledger, self._told(row))
        rows = self._place.ledger.selections(looked_in.run_id)
        figures = {
            "control": control_of(looked_in, records),
            "strategy": rows[-1].strategy if rows else "",
            "looked_at": left + len(records),
            "looked_in": looked_in.run_id,
        }
        return Chosen(len(records), figures, brought.run_id)

    def _told(self, row: RoundRow) -> Figures:
        return {"loop": row.loop, "round": row.number}

    def _brought(self, looked_in: Run, taken: set[str]) -> Run | None:
        """Return the run of a finished transfer of what was chosen in a run; None where it brought nothing."""
        out_root = self._place.settings.io.out_root
        new = [run_id for run_id in reversed(list_runs(out_root)) if run_id not in taken]
        for journal in finished_journals(out_root, new):
            brought = journal.options.chosen_in == looked_in.run_id and journal.run.manifest_path.is_file()
            if brought and journal.run.read_manifest():
                return journal.run
        return None

    def _first_in_queue(self, row: RoundRow, taken: set[str], count: int) -> Chosen:
        run_id = self._ended_before(row, taken)
        if run_id is None:
            result = firebase_transfer(self._place.calling(None), limit=count)
            if result.run_id is None or not result.transferred:
                return Chosen(0, comes_later=True)
            run_id = result.run_id
        run = self._place.run(run_id)
        return Chosen(len(run.read_manifest()), {"strategy": IN_QUEUE}, run_id)

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
        """Return what people have finished to the store, and bring it into the run once all of it is."""
        tasks = [int(task) for task in row.figures["tasks"]]
        if self._looks is None:
            self._looks = ReturnStep(self._place.calling(None), task_ids=tasks, trigger_retraining=True)
        result = self._looks()
        finished = not result.waiting and result.jobs + result.unchanged > 0
        if finished:
            self._looks = None
            # The store knows the corrections; what people changed, and how long they took, the pull knows.
            download_cvat(
                self._place.calling(
                    row.run_id, "cvat_download.project_id=null", "cvat_download.task_ids=null"
                )
            )
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
        promoted = bool(told.get("promoted"))
        words = "in service and published" if promoted else "not put in service"
        if verdict and (evaluation.get("incumbent") or not promoted):
            words += f": {Verdict(**verdict).words}"
        if evaluation.get("uncompared"):
            words += f", compared with nothing: {evaluation['uncompared']}"
        return {
            "version": told.get("version", ""),
            "learned": told.get("trained", 0),
            "test_pictures": told.get("tested", 0),
            "score": mine,
            "champion_score": mine if promoted else score_of(evaluation.get("champion"), "test_mean_pck"),
            "outcome": verdict.get("outcome", ""),
            "words": words,
            "takes_over": promoted,
            **incumbent_of(evaluation, "test_mean_pck"),
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
        out_root = self._place.settings.io.out_root
        new = [run_id for run_id in list_runs(out_root) if run_id not in taken]
        for journal in finished_journals(out_root, new):
            run = journal.run
            since = (run.started_at() or "") >= row.opened
            if (
                since
                and not journal.options.chosen_in
                and run.manifest_path.is_file()
                and run.read_manifest()
            ):
                return run.run_id
        return None

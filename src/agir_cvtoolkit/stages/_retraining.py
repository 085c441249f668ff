"""One retraining: data set, training, comparison, publication."""

from __future__ import annotations

from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from agir_cvtoolkit.captures import Trigger
from agir_cvtoolkit.errors import AgirError, DataError, InterruptedByUser
from agir_cvtoolkit.firebase import CaptureStore
from agir_cvtoolkit.joints import JointSchema
from agir_cvtoolkit.ledger import Ledger, ModelRow
from agir_cvtoolkit.runs import Run, discard, read_json_object, start_run, write_json

from ._call import Call
from ._comparison import Verdict
from ._evaluation import champion_path
from ._pose_set import POSES, PoseSet, read_pose_set, records_in, samples_of, write_pose_set
from ._retrain_champion import POSE, champion_of
from ._retrain_data import build_pose_set, fetch_again
from ._retrain_incumbent import poses_of_devices
from ._retrain_lease import TriggerLease
from ._retrain_publish import export_model, publish_model, put_in_place
from ._retrain_result import RetrainResult
from ._retrain_split import TEST, TRAIN
from .evaluate import EvaluateResult, compared, keep_evaluation, record, with_test_scores

if TYPE_CHECKING:
    from agir_cvtoolkit.config import Settings
    from agir_cvtoolkit.models.card import ModelCard

STAGE = "retrain"
_START = ("dataset", "start.json")


class Retraining:
    """One trigger: from its corrections to a model in service, or back to the queue.

    Args:
        call: the common options.
        settings: of the call.
        schema: the joints.
        store: where the corrections are.
        trigger: that was taken.
        lease: on it.
    """

    def __init__(
        self,
        call: Call,
        settings: Settings,
        schema: JointSchema,
        store: CaptureStore,
        trigger: Trigger,
        lease: TriggerLease,
    ) -> None:
        self.call, self.settings, self.schema = call, settings, schema
        self.store, self.trigger, self.lease = store, trigger, lease
        self.out_root = settings.io.out_root
        self.run_of: Run

    def run(self) -> RetrainResult:
        """Train, judge, and say that it is done; or give the trigger back."""
        try:
            self.run_of = start_run(self.out_root, STAGE, self.trigger.trigger_id, current=False)
            with self.call.work(self.run_of, STAGE):
                return self._logged()
        except BaseException as error:
            self.lease.release(_reason(error))
            raise

    def _logged(self) -> RetrainResult:
        settings = self.settings
        groups = settings.dump("firebase", "retrain", "pose_train", "io")
        self.call.record_config(self.run_of, STAGE, settings, groups)
        try:
            with Ledger.open(settings.io.ledger_url, self.out_root) as ledger:
                return self._done(ledger)
        except InterruptedByUser:
            raise
        except Exception:
            if not self._is_trained():
                # The next attempt looks at the corrections anew; perhaps they are what it failed for.
                discard(self.run_of.path(*POSES))
            raise

    def _is_trained(self) -> bool:
        return self.run_of.path("model", "training.json").is_file()

    def _done(self, ledger: Ledger) -> RetrainResult:
        elsewhere = self._published_elsewhere(ledger)
        if elsewhere is not None:
            return elsewhere
        poses = self._poses(ledger)
        if not poses.seen and not self._is_trained():
            return self._known(ledger, poses)
        learned = poses.of(TRAIN)
        if not learned:
            raise DataError(
                f"none of the {len(poses.poses)} corrections can be learned from",
                "See the list in the run's dataset/poses.json, and return corrections first.",
            )
        path, card = self._trained(ledger, poses)
        ledger.record_model(
            card.version, str(path.resolve()), card.name, self.run_of.run_id, card.to_json_object()
        )
        failed = export_model(path, self.settings)
        evaluation, verdict = self._judged(ledger, path, card, poses)
        files: tuple[tuple[str, str], ...] = ()
        if verdict.takes_over or verdict.outcome == "same":
            files = self._in_service(ledger, path, card, evaluation)
        result = RetrainResult(
            state="trained",
            store=self.store.place,
            trigger_id=self.trigger.trigger_id,
            corrections=self.trigger.count,
            run_id=self.run_of.run_id,
            trained=records_in(learned),
            tested=records_in(poses.of(TEST)),
            version=card.version,
            promoted=verdict.takes_over or verdict.outcome == "same",
            files=files,
            evaluation=evaluation,
            verdict=verdict,
            waiting=self.store.unreserved(),
            threshold=self.settings.firebase.retraining_threshold,
            items=(*poses.items, *failed),
            warning=evaluation.warning if evaluation is not None else poses.warning,
        )
        self.run_of.write_metrics(STAGE, asdict(result))
        self.lease.finish(dict(poses.seen), card.version)
        return result

    def _published_elsewhere(self, ledger: Ledger) -> RetrainResult | None:
        current = self.store.current_model()
        if current is None or current.trigger_id != self.trigger.trigger_id or ledger.model(current.version):
            return None
        # What was corrected since has lost its trigger; what still has it is what the other machine saw.
        seen = {
            pose.document_id: pose.revision
            for pose in self.store.all_labeled()
            if pose.trigger_id == self.trigger.trigger_id and not pose.used
        }
        self.lease.finish(seen, current.version)
        return self._short("elsewhere", current.version)

    def _known(self, ledger: Ledger, poses: PoseSet) -> RetrainResult:
        champion = ledger.champion(POSE)
        version = champion.version if champion else ""
        self.lease.finish({}, version)
        return replace(self._short("known", version), items=poses.items)

    def _short(self, state: Literal["known", "elsewhere"], version: str) -> RetrainResult:
        return RetrainResult(
            state=state,
            store=self.store.place,
            trigger_id=self.trigger.trigger_id,
            corrections=self.trigger.count,
            run_id=self.run_of.run_id,
            version=version,
            waiting=self.store.unreserved(),
            threshold=self.settings.firebase.retraining_threshold,
        )

    def _poses(self, ledger: Ledger) -> PoseSet:
        """Return the data set that a killed call has left, else a new one."""
        run, progress = self.run_of, self.call.progress
        found = read_pose_set(run)
        if found is None or found.schema != self.schema.name:
            found = build_pose_set(self.store, ledger, self.schema, self.settings, progress)
            write_json(run.path(*_START), {"checkpoint": self._start(ledger)})
            write_pose_set(run, found, self.out_root)
        elif not self._is_trained():
            found = fetch_again(self.store, found, self.settings, progress)
        return found

    def _start(self, ledger: Ledger) -> str | None:
        """Return the model whose weights the training begins with."""
        champion = champion_of(self.store, ledger, self.out_root)
        if champion is None or not self.settings.retrain.from_champion:
            return None
        path = champion_path(champion)
        return str(path) if _joints_of(path) == self.schema.joints else None

    def _trained(self, ledger: Ledger, poses: PoseSet) -> tuple[Path, ModelCard]:
        from agir_cvtoolkit.models.card import CARD_NAME, read_card
        from agir_cvtoolkit.training import pose_training

        run = self.run_of
        best = run.path("model", pose_training.BEST)
        if self._is_trained() and best.is_file():
            return best, read_card(best.with_name(CARD_NAME))
        start = read_json_object(run.path(*_START)).get("checkpoint")
        self.lease.hold()
        done = pose_training.train_pose(
            samples_of(run, poses, TRAIN, self.out_root),
            self.schema,
            self.settings.pose_train,
            run.path("model"),
            initial=Path(start) if start else None,
            progress=self.call.progress,
        )
        return done.path, done.card

    def _judged(
        self, ledger: Ledger, path: Path, card: ModelCard, poses: PoseSet
    ) -> tuple[EvaluateResult | None, Verdict]:
        champion = champion_of(self.store, ledger, self.out_root)
        if not poses.of(TEST):
            return None, _unjudged(champion, card)
        opponent = champion_path(champion) if champion else None
        asked = partial(poses_of_devices, self.store, poses, self.schema)
        incumbent = asked if self.settings.loop.judge_first else None
        evaluation = compared(self.run_of, path, opponent, champion, self.settings, self.call, incumbent)
        keep_evaluation(self.run_of, evaluation, card)
        record(ledger, evaluation)
        return evaluation, evaluation.verdict

    def _in_service(
        self, ledger: Ledger, path: Path, card: ModelCard, evaluation: EvaluateResult | None
    ) -> tuple[tuple[str, str], ...]:
        """Publish first: a champion here that no device knows would be one that nobody would publish."""
        scored = with_test_scores(card, evaluation) if evaluation else card
        self.lease.hold()
        kept = put_in_place(path, scored, self.out_root)
        published = publish_model(self.store, kept, scored, self.trigger.trigger_id)
        ledger.record_model(card.version, str(kept), card.name, self.run_of.run_id, scored.to_json_object())
        champion = ledger.champion(POSE)
        if champion is None or champion.version != card.version:
            ledger.promote(card.version)
        return tuple(sorted(published.files.items()))


def _unjudged(champion: ModelRow | None, card: ModelCard) -> Verdict:
    if champion is None:
        return Verdict("first", "")
    return Verdict("same" if champion.version == card.version else "few", "")


def _joints_of(path: Path) -> tuple[str, ...]:
    from ._evaluation import card_of

    schema = card_of(path).schema
    return schema.joints if schema is not None else ()


def _reason(error: BaseException) -> str:
    if isinstance(error, KeyboardInterrupt | InterruptedByUser | SystemExit):
        return "it was interrupted"
    return error.problem if isinstance(error, AgirError) else f"{type(error).__name__}: {error}"

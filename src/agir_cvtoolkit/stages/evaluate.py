"""``evaluate``: challenger against champion on the frozen test set of a run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from agir_cvtoolkit.errors import DataError, NoRunError
from agir_cvtoolkit.ledger import Ledger
from agir_cvtoolkit.pictures import sha256_of
from agir_cvtoolkit.records import Item
from agir_cvtoolkit.runs import Run, fingerprint, write_json

from ._against import Model, against, unless_it_fails
from ._call import Call
from ._comparison import Verdict
from ._evaluation import Incumbent, ModelScores, card_of, champion_path, checkpoint_of
from ._pose_set import TEST_PICTURES, read_pose_set, records_in, samples_of
from ._retrain_split import TEST

if TYPE_CHECKING:
    from agir_cvtoolkit.config import Settings
    from agir_cvtoolkit.ledger import ModelRow
    from agir_cvtoolkit.models.card import ModelCard
    from agir_cvtoolkit.training.dataset import PreparedDataset

STAGE = "evaluate"
OUTPUT = "evaluation"


@dataclass(frozen=True)
class EvaluateResult:
    """How two models do on the same pictures.

    Attributes:
        kind: ``segmentation`` or ``pose``.
        test_set: hash of the pictures and corrections.
        pictures: how many there are.
        champion: None where there is none, or none that can be compared.
        verdict: what the difference says.
        by_class: of a segmentation model, what the difference in the IoU of each class says.
        incumbent: name of what stands in `champion` where no model is in service; empty where it is a model.
        uncompared: why that could not be compared with; empty where it was, or was not asked for.
        warning: what the reader of the scores must know, or empty.
        items: pictures that were left out, with the reason.
    """

    run_id: str
    kind: str
    test_set: str
    pictures: int
    challenger: ModelScores
    champion: ModelScores | None
    verdict: Verdict
    by_class: Mapping[str, Verdict] = field(default_factory=dict, hash=False)
    incumbent: str = ""
    uncompared: str = ""
    warning: str = ""
    items: tuple[Item, ...] = ()
    dry_run: bool = False

    @property
    def words(self) -> str:
        """The verdict for people, with the reason where nothing was compared."""
        return f"{self.verdict.words}: {self.uncompared}" if self.uncompared else self.verdict.words


def evaluate(
    checkpoint: Path | None = None,
    champion: Path | None = None,
    call: Call | None = None,
    *,
    incumbent: Callable[[], Incumbent] | None = None,
) -> EvaluateResult:
    """Compare a model with the champion of its kind on the frozen test set of a run.

    The test set of a segmentation run is the test split of its data set, that of a retraining its frozen test set. The
    figures lie in ``evaluation/`` of the run, with the model's card that names them, and in the ledger.

    Args:
        checkpoint: of the challenger; None takes the run's ``model/best.pth``.
        champion: to compare with; None takes the one in service.
        call: with the run.
        incumbent: gives what is compared with where no model is in service. Where that fails the model is the first.

    Raises:
        NoRunError: there is no run, or it has no trained model or no test set.
        CheckpointError: a file is no checkpoint of ours, or the champion is gone.
        DataError: the test set is empty or damaged.
        MissingExtraError: torch is not installed.
    """
    call = call or Call()
    settings = call.settings()
    run = call.open_run(settings)
    path = checkpoint.resolve() if checkpoint else checkpoint_of(run)
    challenger = Model(path, card_of(path))
    with call.work(run, STAGE):
        with Ledger.open_to_read(settings.io.ledger_url, settings.io.out_root) as ledger:
            row = ledger.champion(challenger.card.kind)
        opponent = _opponent(champion, row)
        result = compared(run, challenger.path, opponent, row, settings, call, incumbent)
        if not call.dry_run:
            call.record_config(run, STAGE, settings, settings.dump("retrain", "io"))
            keep_evaluation(run, result, challenger.card)
            if result.kind == "segmentation":
                draw_evaluation(run, result, settings)
            with Ledger.open(settings.io.ledger_url, settings.io.out_root) as ledger:
                record(ledger, result)
    return result


def compared(
    run: Run,
    path: Path,
    champion: Path | None,
    row: ModelRow | None,
    settings: Settings,
    call: Call,
    incumbent: Callable[[], Incumbent] | None = None,
) -> EvaluateResult:
    """Compare two models on a run's test set; nothing is written.

    Args:
        run: whose test set counts.
        path: of the challenger.
        champion: None where there is none.
        row: of the champion in service, which says where it was trained.
        settings: with the groups ``retrain``, ``pose_inference`` and ``seg_inference``.
        call: with the progress.
        incumbent: gives what is compared with where there is no champion.
    """
    challenger = Model(path, card_of(path))
    opponent = Model(champion, card_of(champion)) if champion else None
    if opponent is not None and opponent.card.version == challenger.card.version:
        opponent = None
        only = Verdict("same", "")
    else:
        only = Verdict("first", "")
    stands, uncompared = None, ""
    if champion is None and incumbent is not None:
        stands, uncompared = unless_it_fails(incumbent)
    kind = _pose if challenger.card.kind == "pose" else _segmentation
    result = kind(run, challenger, opponent, stands, only, row, settings, call)
    return replace(result, uncompared=result.uncompared or uncompared)


def keep_evaluation(run: Run, result: EvaluateResult, card: ModelCard) -> None:
    """Write an evaluation into its run, and the model's card with the figures."""
    write_json(run.path(OUTPUT, "evaluation.json"), asdict(result) | {"words": result.words})
    write_json(run.path(OUTPUT, "card.json"), with_test_scores(card, result).to_json_object())
    run.write_metrics(STAGE, asdict(result))


def draw_evaluation(run: Run, result: EvaluateResult, settings: Settings) -> None:
    """Draw how sure the challenger is, and the tiles that it does worst on, into ``evaluation/`` of the run."""
    from agir_cvtoolkit.training.dataset import open_dataset

    from ._training_pictures import draw_scores

    dataset = open_dataset(run.path("dataset"))
    draw_scores(run.path(OUTPUT), result.challenger, dataset, settings.seg_inference.device)


def with_test_scores(card: ModelCard, result: EvaluateResult) -> ModelCard:
    """Return a model's card with its figures on the frozen test set."""
    named = {f"test.{part}": value for part, value in result.challenger.parts.items()}
    return replace(card, metrics=dict(card.metrics) | dict(result.challenger.metrics) | named)


def record(ledger: Ledger, result: EvaluateResult) -> None:
    """Tell the ledger how the models of an evaluation did."""
    champion = None if result.incumbent else result.champion
    for model in (result.challenger, champion):
        if model is not None:
            ledger.record_evaluation(model.version, model.metrics, result.test_set)


def _opponent(given: Path | None, row: ModelRow | None) -> Path | None:
    if given is not None:
        return given.resolve()
    return champion_path(row) if row is not None else None


def _pose(
    run: Run,
    challenger: Model,
    opponent: Model | None,
    stands: Incumbent | None,
    only: Verdict,
    row: ModelRow | None,
    settings: Settings,
    call: Call,
) -> EvaluateResult:
    from ._pose_evaluation import FIGURE, judge_pose, mean_pck

    poses = read_pose_set(run)
    if poses is None:
        raise NoRunError(
            f"run {run.run_id} has no test set of poses",
            "Name the run of a retraining with --run retrain/ID.",
        )
    warning = poses.warning
    if opponent is not None and _joints(opponent.card) != _joints(challenger.card):
        warning = f"the champion {opponent.card.version} knows other joints and cannot be compared. {warning}".strip()
        opponent = None
    if opponent is not None and row is not None and row.version == opponent.card.version and not row.run_id:
        unknown = "it is not known which pictures the champion was trained on; its score may be too good"
        warning = f"{warning}; {unknown}" if warning else unknown
    samples = samples_of(run, poses, TEST, settings.io.out_root)
    lost = [s.record_id for s in samples if not s.picture.is_file()]
    items = tuple(
        Item(name, "failed", f"its picture is no longer in {'/'.join(TEST_PICTURES)}")
        for name in sorted({*lost})
    )
    samples = [s for s in samples if s.record_id not in lost]
    if not samples:
        raise DataError(
            f"the test set of run {run.run_id} is empty", "From three corrected captures on there is one."
        )
    device = settings.pose_inference.device
    mine = judge_pose(challenger.path, samples, device, call.progress)
    pair = against(
        opponent,
        stands,
        lambda model: judge_pose(model.path, samples, device, call.progress),
        lambda one: one.judge(samples),
        mean_pck,
        settings,
    )
    if only.outcome == "first" and not mine.counts[:, :-1].any():
        only = Verdict("blind", FIGURE)
    return EvaluateResult(
        run_id=run.run_id,
        kind="pose",
        test_set=poses.test_set,
        pictures=records_in(poses.of(TEST)) - len({*lost}),
        challenger=challenger.scores(mine, mean_pck, settings),
        champion=pair.scores,
        verdict=pair.verdict(mine, mean_pck, FIGURE, settings, only),
        incumbent=pair.incumbent,
        uncompared=pair.uncompared,
        warning=warning,
        items=items,
        dry_run=call.dry_run,
    )


def _segmentation(
    run: Run,
    challenger: Model,
    opponent: Model | None,
    stands: Incumbent | None,
    only: Verdict,
    row: ModelRow | None,
    settings: Settings,
    call: Call,
) -> EvaluateResult:
    from agir_cvtoolkit.training.dataset import open_dataset

    from ._segmentation_evaluation import (
        FIGURE,
        iou_of,
        judge_segmentation,
        learned_pictures,
        mean_iou,
        tiles_by_picture,
    )

    dataset = open_dataset(run.path("dataset"))
    tiles = tiles_by_picture(dataset)
    seen: dict[str, str] = {}
    unknown: list[str] = []
    uncompared = ""
    with Ledger.open_to_read(settings.io.ledger_url, settings.io.out_root) as ledger:
        learners = [("the challenger", challenger.card.trained_on.dataset)]
        if opponent is not None:
            learners.append(("the champion", opponent.card.trained_on.dataset))
        learned_from = stands.learned_from if stands is not None else None
        if stands is not None and learned_from is not None:
            known = learned_pictures(ledger, learned_from, dataset.fingerprint)
            if known is not None and known >= set(tiles):
                uncompared = f"{stands.name} learned from every picture of the test set"
                stands = None
            else:
                learners.append((stands.name, learned_from))
        for role, data_set in learners:
            learned = learned_pictures(ledger, data_set, dataset.fingerprint)
            if learned is None:
                unknown.append(role)
            seen |= dict.fromkeys(sorted((learned or frozenset()) & set(tiles)), role)
    items = tuple(Item(name, "skipped", f"{role} learned from it") for name, role in sorted(seen.items()))
    tiles = {name: found for name, found in tiles.items() if name not in seen}
    who = " and ".join(unknown)
    warning = f"it is not known which pictures {who} learned from; the score may be too good" if who else ""
    if not tiles:
        raise DataError(
            f"{' and '.join(sorted({*seen.values()}))} learned from every picture of the test set of run"
            f" {run.run_id}",
            "Compare them on a run with new pictures.",
        )
    device = settings.seg_inference.device
    mine = judge_segmentation(challenger.path, dataset, tiles, device, call.progress)
    pair = against(
        opponent,
        stands,
        lambda model: judge_segmentation(model.path, dataset, tiles, device, call.progress),
        lambda one: one.judge(tiles),
        mean_iou,
        settings,
    )
    by_class = {
        c.name: pair.verdict(mine, iou_of(number), FIGURE, settings, only)
        for number, c in enumerate(dataset.classes)
        if pair.judged is not None
    }
    return EvaluateResult(
        run_id=run.run_id,
        kind="segmentation",
        test_set=_test_set(dataset, tiles),
        pictures=len(tiles),
        challenger=challenger.scores(mine, mean_iou, settings),
        champion=pair.scores,
        verdict=pair.verdict(mine, mean_iou, FIGURE, settings, only),
        by_class=by_class,
        incumbent=pair.incumbent,
        uncompared=uncompared or pair.uncompared,
        warning=warning,
        items=items,
        dry_run=call.dry_run,
    )


def _test_set(dataset: PreparedDataset, tiles: Mapping[str, Sequence[str]]) -> str:
    """Return the hash of what is tested on: the same pictures are the same test set, whatever is learned from beside."""
    names = sorted(name for found in tiles.values() for name in found)
    return fingerprint(
        [(c.id, c.name) for c in dataset.classes],
        [(name, sha256_of(dataset.image_path(name)), sha256_of(dataset.mask_path(name))) for name in names],
    )


def _joints(card: ModelCard) -> tuple[str, ...]:
    return card.schema.joints if card.schema is not None else ()

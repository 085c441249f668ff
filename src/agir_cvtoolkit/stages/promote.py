"""``promote``: make a model the champion of the next rounds."""

from __future__ import annotations

from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from agir_cvtoolkit.errors import CheckpointError, DataError, NoRunError, UsageError
from agir_cvtoolkit.ledger import Ledger, ModelRow
from agir_cvtoolkit.models.card import ModelCard
from agir_cvtoolkit.models.checkpoint import load_checkpoint, save_checkpoint
from agir_cvtoolkit.runs import Run

from ._call import Call
from ._models import promoted_path, trained_path

if TYPE_CHECKING:
    from agir_cvtoolkit.config import Settings

    from .evaluate import EvaluateResult

STAGE = "promote"


@dataclass(frozen=True)
class PromoteResult:
    """The champion after the call, and the one before.

    Attributes:
        path: the champion's own copy, which no later training touches.
        earlier: version of the champion of this kind before.
        kind: ``segmentation`` or ``pose``; each has a champion of its own.
        evaluation: against the one before; None where they were not compared.
        warning: why they were not compared, and which forms of the model could not be written; or empty.
        published: keys of the files that devices can fetch, by kind; empty without ``--publish``.
    """

    version: str
    name: str
    path: Path
    earlier: str | None
    dry_run: bool
    kind: str = "segmentation"
    evaluation: EvaluateResult | None = None
    warning: str = ""
    published: tuple[tuple[str, str], ...] = ()


def promote(
    checkpoint: Path | None = None,
    call: Call | None = None,
    *,
    force: bool = False,
    publish: bool = False,
    service_account: Path | None = None,
) -> PromoteResult:
    """Make a checkpoint the champion of its kind: ``seg_inference.model.predictor=champion`` then uses it.

    It is compared with the champion before on the run's frozen test set, where there is one, and refused where it
    does worse. The checkpoint and its card are copied to ``models/<version>/`` beside the runs.

    Args:
        checkpoint: of our own ``train`` or ``retrain``; None takes the run's ``model/best.pth``.
        call: with the run.
        force: compare nothing, and promote a worse model too.
        publish: put a pose model into the store of captures as well, so that devices can fetch it.
        service_account: key file of that store.

    Raises:
        NoRunError: the run has no trained model.
        CheckpointError: the file is no checkpoint of ours.
        DataError: the model does worse than the champion, and `force` is not given.
        UsageError: another process promotes from the same run, or a model for segmentation is to be published.
        RemoteError: the store fails; the champion stays what it was.
    """
    call = call or Call()
    settings = call.settings()
    with ExitStack() as held:
        run: Run | None = None
        if checkpoint is None:
            run = call.open_run(settings)
            checkpoint = trained_path(run)
            if not checkpoint.is_file():
                raise NoRunError(
                    f"run {run.run_id} has no model/best.pth", "Train first: agir-cvtoolkit train"
                )
            held.enter_context(call.work(run, STAGE))
        source = checkpoint.resolve()
        network, card = load_checkpoint(source)
        if publish and card.kind != "pose":
            raise UsageError("only pose models are published for devices", "Leave out --publish.")
        path = promoted_path(settings.io.out_root, card.version)
        ledger_at = Ledger.open_to_read if call.dry_run else Ledger.open
        with ledger_at(settings.io.ledger_url, settings.io.out_root) as ledger:
            before = ledger.champion(card.kind)
            evaluation, warning = None, ""
            if not force and before is not None and before.version != card.version:
                evaluation, warning = _compared(source, run, before, settings, call)
                _refuse_worse(evaluation, card, before)
            published: tuple[tuple[str, str], ...] = ()
            if not call.dry_run:
                if run is not None:
                    call.record_config(run, STAGE, settings, settings.dump("io"))
                # What was checked is what is written: the source may change at any moment.
                save_checkpoint(path, network, _scored(card, evaluation))
                if publish:
                    published, lacking = _published(path, settings, service_account)
                    warning = ". ".join(text for text in (warning, lacking) if text)
                run_id = run.run_id if run else None
                ledger.record_model(card.version, str(path), card.name, run_id, card.to_json_object())
                if evaluation is not None:
                    ledger.record_evaluation(card.version, evaluation.challenger.metrics, evaluation.test_set)
                ledger.promote(card.version)
    return PromoteResult(
        version=card.version,
        name=card.name,
        path=path,
        earlier=before.version if before else None,
        dry_run=call.dry_run,
        kind=card.kind,
        evaluation=evaluation,
        warning=warning,
        published=published,
    )


def _compared(
    checkpoint: Path, run: Run | None, before: ModelRow, settings: Settings, call: Call
) -> tuple[EvaluateResult | None, str]:
    """Return the comparison, or why there is none: a model without a test set may be promoted all the same."""
    from .evaluate import compared

    try:
        if not Path(before.path).is_file():
            raise CheckpointError(f"the champion {before.version} is no longer at {before.path}")
        tested_on = run or call.open_run(settings)
        return compared(tested_on, checkpoint, Path(before.path), before, settings, call), ""
    except (NoRunError, DataError) as error:
        return None, f"it was not compared with the champion {before.version}: {error.problem}"


def _refuse_worse(evaluation: EvaluateResult | None, card: ModelCard, before: ModelRow) -> None:
    if evaluation is None or evaluation.champion is None or evaluation.verdict.difference >= 0:
        return
    verdict = evaluation.verdict
    raise DataError(
        f"model {card.version} does worse than the champion {before.version}: {verdict.figure}"
        f" {verdict.difference:+.3f} on {verdict.pictures} pictures",
        "Promote it nevertheless with --force.",
    )


def _scored(card: ModelCard, evaluation: EvaluateResult | None) -> ModelCard:
    if evaluation is None:
        return card
    from .evaluate import with_test_scores

    return with_test_scores(card, evaluation)


def _published(
    path: Path, settings: Settings, service_account: Path | None
) -> tuple[tuple[tuple[str, str], ...], str]:
    """Publish the copy, whose other forms are made of it: beside the source there may be those of other weights."""
    from agir_cvtoolkit.firebase import open_store
    from agir_cvtoolkit.models.card import read_card

    from ._retrain_publish import export_model, publish_model

    card = read_card(path.with_name("card.json"))
    lacking = "; ".join(
        f"{item.record_id} was not written: {item.reason}" for item in export_model(path, settings)
    )
    key = None if service_account is None else service_account.expanduser()
    with closing(open_store(settings.firebase, service_account=key)) as store:
        return tuple(sorted(publish_model(store, path, card, "").files.items())), lacking

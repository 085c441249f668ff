"""``promote``: make a model the champion of the next rounds."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from agir_cvtoolkit.errors import NoRunError
from agir_cvtoolkit.ledger import Ledger
from agir_cvtoolkit.models.checkpoint import load_checkpoint

from ._call import Call


@dataclass(frozen=True)
class PromoteResult:
    """The champion after the call, and the one before."""

    version: str
    name: str
    path: Path
    earlier: str | None
    dry_run: bool


def promote(checkpoint: Path | None = None, call: Call | None = None) -> PromoteResult:
    """Make a checkpoint the champion: ``seg_inference.model.predictor=champion`` then uses it.

    Args:
        checkpoint: of our own ``train``; None takes the run's ``model/best.pth``.

    Raises:
        NoRunError: the run has no trained model.
        CheckpointError: the file is no checkpoint of ours.
    """
    call = call or Call()
    settings = call.settings()
    run_id = None
    if checkpoint is None:
        run = call.open_run(settings)
        run_id, checkpoint = run.run_id, run.path("model", "best.pth")
        if not checkpoint.is_file():
            raise NoRunError(f"run {run.run_id} has no model/best.pth", "Train first: agir-cvtoolkit train")
    path = checkpoint.resolve()
    _, card = load_checkpoint(path)
    ledger_at = Ledger.open_to_read if call.dry_run else Ledger.open
    with ledger_at(settings.io.ledger_url, settings.io.out_root) as ledger:
        before = ledger.champion()
        if not call.dry_run:
            ledger.record_model(card.version, str(path), card.name, run_id, card.to_json_object())
            ledger.promote(card.version)
    return PromoteResult(card.version, card.name, path, before.version if before else None, call.dry_run)

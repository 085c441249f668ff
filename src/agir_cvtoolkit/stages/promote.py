"""``promote``: make a model the champion of the next rounds."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from agir_cvtoolkit.errors import NoRunError
from agir_cvtoolkit.ledger import Ledger
from agir_cvtoolkit.models.checkpoint import load_checkpoint, save_checkpoint
from agir_cvtoolkit.runs import Run

from ._call import Call
from ._models import promoted_path, trained_path

STAGE = "promote"


@dataclass(frozen=True)
class PromoteResult:
    """The champion after the call, and the one before.

    Attributes:
        path: the champion's own copy, which no later training touches.
        earlier: version of the champion before.
    """

    version: str
    name: str
    path: Path
    earlier: str | None
    dry_run: bool


def promote(checkpoint: Path | None = None, call: Call | None = None) -> PromoteResult:
    """Make a checkpoint the champion: ``seg_inference.model.predictor=champion`` then uses it.

    The checkpoint and its card are copied to ``models/<version>/`` beside the runs.

    Args:
        checkpoint: of our own ``train``; None takes the run's ``model/best.pth``.

    Raises:
        NoRunError: the run has no trained model.
        CheckpointError: the file is no checkpoint of ours.
        UsageError: another process promotes from the same run.
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
        network, card = load_checkpoint(checkpoint.resolve())
        path = promoted_path(settings.io.out_root, card.version)
        ledger_at = Ledger.open_to_read if call.dry_run else Ledger.open
        with ledger_at(settings.io.ledger_url, settings.io.out_root) as ledger:
            before = ledger.champion()
            if not call.dry_run:
                if run is not None:
                    call.record_config(run, STAGE, settings, settings.dump("io"))
                # What was checked is what is written: the source may change at any moment.
                save_checkpoint(path, network, card)
                run_id = run.run_id if run else None
                ledger.record_model(card.version, str(path), card.name, run_id, card.to_json_object())
                ledger.promote(card.version)
    return PromoteResult(card.version, card.name, path, before.version if before else None, call.dry_run)

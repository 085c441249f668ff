"""Where models lie: in their run, in its history, and, once promoted, in ``models/<version>/`` of the workspace."""

from __future__ import annotations

from pathlib import Path

from agir_cvtoolkit.ledger import Ledger
from agir_cvtoolkit.models.card import CARD_NAME, ModelCard, read_card
from agir_cvtoolkit.runs import Run

BEST = "best.pth"


def promoted_path(out_root: Path, version: str) -> Path:
    """Return the place of a promoted model, beside the folder of all runs, where no training writes."""
    return (out_root.parent / "models" / version / BEST).resolve()


def trained_path(run: Run) -> Path:
    """Return the place of the model that a run trained last."""
    return run.path("model", BEST).resolve()


def record_trained(ledger: Ledger, run: Run, out_root: Path, card: ModelCard) -> None:
    """Tell the ledger of a run's newest model; of a promoted one the copy in service counts."""
    promoted = promoted_path(out_root, card.version)
    path = promoted if promoted.is_file() else trained_path(run)
    ledger.record_model(card.version, str(path), card.name, run.run_id, card.to_json_object())


def record_retired(run: Run, url: str | None, out_root: Path) -> None:
    """Tell the ledger where the models of earlier passes of ``train`` have moved.

    Raises:
        CheckpointError: a card in the run's history is damaged.
    """
    cards = sorted(run.path("history", "train").glob(f"*/model/{CARD_NAME}"))
    if not cards or not Ledger.is_there(url, out_root):
        return
    with Ledger.open(url, out_root) as ledger:
        for card in cards:
            moved = str(card.with_name(BEST).resolve())
            ledger.model_moved(read_card(card).version, str(trained_path(run)), moved)

"""The promoted segmentation model, looked up in the ledger."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agir_cvtoolkit.config import Settings
    from agir_cvtoolkit.inference.registry import Champion


def champion_of(settings: Settings) -> Champion | None:
    """Return the champion where the settings ask for it and there is one."""
    if settings.seg_inference.model.predictor != "champion":
        return None
    from agir_cvtoolkit.inference.registry import Champion
    from agir_cvtoolkit.ledger import Ledger

    with Ledger.open_to_read(settings.io.ledger_url, settings.io.out_root) as ledger:
        model = ledger.champion()
    return Champion(Path(model.path), model.version) if model else None

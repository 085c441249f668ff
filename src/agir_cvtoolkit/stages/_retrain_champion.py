"""The pose model in service: the one of this workspace, or one that another machine has published."""

from __future__ import annotations

import logging
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from agir_cvtoolkit.errors import DataError, NotFoundError
from agir_cvtoolkit.ledger import Ledger, ModelRow

from ._models import BEST
from ._retrain_publish import put_in_place

if TYPE_CHECKING:
    from agir_cvtoolkit.captures import PublishedModel
    from agir_cvtoolkit.firebase import CaptureStore

POSE = "pose"
_log = logging.getLogger("agir_cvtoolkit.stages.retrain")


def champion_of(store: CaptureStore, ledger: Ledger, out_root: Path) -> ModelRow | None:
    """Return the pose model that a new one must be better than, None where there is none.

    Devices have what the store says. Where the ledger has never heard of that model, another machine has published it:
    it is fetched and becomes the champion here, so that no new workspace replaces it unseen. Where the ledger knows
    it, the ledger's champion counts, which a person may have promoted since.

    Raises:
        RemoteError: the store cannot be reached.
    """
    published = store.current_model()
    if published is not None and ledger.model(published.version) is None:
        try:
            _adopt(store, published, ledger, out_root)
        except (NotFoundError, DataError) as error:
            # Nor could any device use it, so whatever is better than nothing may take its place.
            _log.warning("published model %s cannot be compared with: %s", published.version, error)
    return ledger.champion(POSE)


def _adopt(store: CaptureStore, published: PublishedModel, ledger: Ledger, out_root: Path) -> None:
    from agir_cvtoolkit.models.checkpoint import checkpoint_card

    with TemporaryDirectory(prefix="agir-model-") as folder:
        fetched = Path(folder, BEST)
        store.fetch_model(published, "pth", fetched)
        card = checkpoint_card(fetched, POSE)
        if card.version != published.version:
            raise DataError(f"model {published.version} holds the weights of {card.version}")
        kept = put_in_place(fetched, card, out_root)
    ledger.record_model(card.version, str(kept), card.name, None, card.to_json_object())
    ledger.promote(card.version)
    _log.info("model %s, which another machine has published, is the champion here", card.version)

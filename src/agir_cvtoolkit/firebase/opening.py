"""The store that the settings name."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ._calls import PATIENCE_S
from .embedded import EmbeddedStore
from .store import CaptureStore

if TYPE_CHECKING:
    from agir_cvtoolkit.config import Firebase


def open_store(
    settings: Firebase, *, service_account: Path | None = None, patience_s: float = PATIENCE_S
) -> CaptureStore:
    """Return the store of captures that the group ``firebase`` names.

    Args:
        settings: of the group.
        service_account: key file; wins over ``firebase.service_account`` and ``GOOGLE_APPLICATION_CREDENTIALS``.
        patience_s: how long a call to Google that fails for a while is tried again.

    Raises:
        ConfigError: there is no key, or it is none, or there is no project.
        MissingExtraError: Google's libraries are not installed.
        DatabaseError: the embedded store's folder cannot be used.
    """
    if settings.store == "embedded":
        return EmbeddedStore(
            Path(settings.embedded_dir).expanduser(),
            upload_threshold=settings.upload_threshold,
            image_path=settings.image_path,
            model_path=settings.model_path,
        )
    from .firestore import FirestoreStore

    return FirestoreStore.open(settings, service_account=service_account, patience_s=patience_s)

"""Stores for the tests of this room."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from agir_cvtoolkit.firebase import CaptureStore, EmbeddedStore
from agir_cvtoolkit.firebase._names import document_key
from agir_cvtoolkit.firebase.firestore import FirestoreStore

from .emulators import raw


@dataclass(frozen=True)
class Stranger:
    """Writes documents past the store, as devices do."""

    store: CaptureStore

    def put(self, collection: str, key: str, document: Mapping[str, Any]) -> None:
        if isinstance(self.store, EmbeddedStore):
            self.store.put_document(collection, key, document)
        else:
            assert isinstance(self.store, FirestoreStore)
            raw(self.store, collection).document(document_key(key)).set(dict(document))


@pytest.fixture(params=["embedded", "google"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[CaptureStore]:
    """Either store, empty."""
    if request.param == "google":
        yield request.getfixturevalue("google_store")
        return
    embedded = EmbeddedStore(tmp_path / "store")
    yield embedded
    embedded.close()


@pytest.fixture
def stranger(store: CaptureStore) -> Stranger:
    return Stranger(store)

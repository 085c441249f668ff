"""The indexes that are deployed are those that the queries need; the emulator would not miss one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from agir_cvtoolkit.firebase.firestore import FirestoreStore

from .samples import HOUR, JPEG, NOW, capture, corrections

pytestmark = pytest.mark.integration
INDEXES = Path(__file__).parents[2] / "firebase_cvat_pipeline" / "firestore.indexes.json"


@pytest.fixture
def queries(google_store: FirestoreStore, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What is asked of Firestore, as it is sent."""
    api = google_store._connection.client._firestore_api
    asked: list[Any] = []
    for name in ("run_query", "run_aggregation_query"):
        whole = getattr(type(api), name)

        def noting(*arguments: Any, _whole: Any = whole, **named: Any) -> Any:
            request = named["request"]
            query = request.get("structured_query")
            asked.append(query or request["structured_aggregation_query"].structured_query)
            return _whole(api, *arguments, **named)

        monkeypatch.setattr(api, name, noting)
    return asked


def needed(query: Any) -> tuple[str, list[tuple[str, str]]] | None:
    """Return the composite index that a query needs; None where Firestore's own single-field ones do."""
    filters = [query.where] if query.where else []
    if query.where and query.where.composite_filter.filters:
        filters = list(query.where.composite_filter.filters)
    equal, other = [], set()
    for item in filters:
        field = item.field_filter
        path = field.field.field_path
        (equal.append(path) if field.op.name in {"EQUAL", "IN"} else other.add(path))
    order = [(item.field.field_path, item.direction.name) for item in query.order_by]
    order = [(path, direction) for path, direction in order if path != "__name__"]
    fields = [(path, "ASCENDING") for path in equal] + order
    fields += [(path, "ASCENDING") for path in sorted(other) if path not in dict(order)]
    return (query.from_[0].collection_id, fields) if len(fields) > 1 else None


def test_every_query_has_its_index(google_store: FirestoreStore, queries: list[Any]) -> None:
    store = google_store
    for number in range(3):
        store.create(capture(f"c{number}"), JPEG)
    store.adopt()
    store.release_expired(NOW)
    for found in store.pending(3, 10):
        store.claim(found, "me", NOW + HOUR)
    store.counts(NOW)
    store.write_labeled(corrections(3))
    list(store.all_labeled())
    store.labeled(["c1", "a/b"])
    store.reserve_trigger(2, NOW)
    store.claim_trigger("gpu", NOW, NOW + HOUR)
    store.triggers()
    store.current_model()
    store.forget("c1")
    found_indexes = {
        (item["collectionGroup"], tuple((field["fieldPath"], field["order"]) for field in item["fields"]))
        for item in json.loads(INDEXES.read_text())["indexes"]
    }
    wanted = {(name, tuple(fields)) for name, fields in filter(None, map(needed, queries))}
    assert wanted == found_indexes
    assert len(queries) > 15

"""firestore.indexes.json has the composite index that the queue's query needs, which no emulator asks for."""

from __future__ import annotations

import json
from typing import Any

from google.auth.credentials import AnonymousCredentials
from google.cloud import firestore

from agir_cvtoolkit.firebase._calls import Calls
from agir_cvtoolkit.firebase._firestore_captures import CaptureCollection

from .folder import SOURCE

INDEXES = json.loads((SOURCE / "firestore.indexes.json").read_text(encoding="utf-8"))


def queue() -> Any:
    client = firestore.Client(project="p", credentials=AnonymousCredentials())
    captures = CaptureCollection(client, "uncertain_poses", Calls("here"), 0.6, lambda *_: None)
    return captures._queue(5)._to_protobuf()


def test_the_queue_has_its_index() -> None:
    query = queue()
    compared = [f.field_filter for f in query.where.composite_filter.filters]
    equal = [f.field.field_path for f in compared if f.op.name == "EQUAL"]
    wanted = [{"fieldPath": name, "order": "ASCENDING"} for name in equal]
    wanted += [{"fieldPath": o.field.field_path, "order": o.direction.name} for o in query.order_by]
    assert [entry["fieldPath"] for entry in wanted] == ["status", "priority", "timestamp"]
    found = [i["fields"] for i in INDEXES["indexes"] if i["collectionGroup"] == query.from_[0].collection_id]
    assert wanted in found


def test_what_is_queried_is_not_exempt() -> None:
    exempt = {entry["fieldPath"] for entry in INDEXES["fieldOverrides"] if not entry["indexes"]}
    asked = {"status", "priority", "timestamp", "claimedUntil", "originalDataId", "triggerId", "current"}
    assert exempt
    assert not exempt & asked


def test_firebase_deploys_the_files_that_are_here() -> None:
    named = json.loads((SOURCE / "firebase.json").read_text(encoding="utf-8"))
    for path in (named["firestore"]["rules"], named["firestore"]["indexes"], named["storage"]["rules"]):
        assert (SOURCE / path).is_file()

"""firestore.rules on Google's emulator: devices create their own pending captures and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .ruled_emulator import OWNER, Ruled, Time, ruled_emulator
from .sent_by_devices import BAD, CAPTURE, DEVICE, GOOD, UPLOAD

pytestmark = pytest.mark.integration

RULES = Path(__file__).parents[2] / "firebase_cvat_pipeline" / "firestore.rules"
COLLECTIONS = ("uncertain_poses", "labeled_data", "retraining_triggers", "models", "anything", "a/b/c")
FORBIDDEN = 403


@pytest.fixture(scope="module")
def _emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ruled]:
    with ruled_emulator(RULES, tmp_path_factory.mktemp("rules") / "emulator.log") as running:
        yield running


@pytest.fixture
def firestore(_emulator: Ruled) -> Ruled:
    _emulator.clear()
    return _emulator


@pytest.mark.parametrize("fields", GOOD.values(), ids=GOOD)
def test_a_device_creates_its_own_pending_capture(firestore: Ruled, fields: dict[str, Any]) -> None:
    assert firestore.create("uncertain_poses/pose-1", fields, DEVICE) == 200


def test_times_of_firestores_own_type_are_taken(firestore: Ruled) -> None:
    fields = CAPTURE | {"timestamp": Time("2025-09-11T08:30:00Z")}
    assert firestore.create("uncertain_poses/pose-1", fields, DEVICE) == 200


@pytest.mark.parametrize("fields", BAD.values(), ids=BAD)
def test_other_fields_types_and_ranges_are_refused(firestore: Ruled, fields: dict[str, Any]) -> None:
    assert firestore.create("uncertain_poses/pose-1", fields, DEVICE) == FORBIDDEN
    assert firestore.create("uncertain_poses/pose-1", fields, OWNER) == 200


@pytest.mark.parametrize("fields", [CAPTURE, UPLOAD], ids=["capture", "upload"])
def test_nobody_writes_in_the_name_of_another(firestore: Ruled, fields: dict[str, Any]) -> None:
    assert firestore.create("uncertain_poses/pose-1", fields, "device-2") == FORBIDDEN
    assert firestore.create("uncertain_poses/pose-1", fields, None) == FORBIDDEN
    assert firestore.create("uncertain_poses/pose-1", fields, DEVICE) == 200


@pytest.mark.parametrize("name", ["..", "a..b", ".hidden", "a%20b", "ä", "x" * 129])
def test_ids_that_are_no_file_names_are_refused(firestore: Ruled, name: str) -> None:
    fields = {key: value for key, value in CAPTURE.items() if key != "id"}
    assert firestore.create(f"uncertain_poses/{name}", fields, DEVICE) in {400, FORBIDDEN}


def test_the_id_inside_is_that_of_the_document(firestore: Ruled) -> None:
    assert firestore.create("uncertain_poses/pose-2", CAPTURE, DEVICE) == FORBIDDEN


def test_a_capture_is_not_changed_removed_or_read_by_its_device(firestore: Ruled) -> None:
    path = "uncertain_poses/pose-1"
    assert firestore.create(path, CAPTURE, DEVICE) == 200
    for who in (DEVICE, "device-2", None):
        assert firestore.call("PATCH", path, who, CAPTURE | {"priority": 10}) == FORBIDDEN
        assert firestore.call("PATCH", path, who, CAPTURE) == FORBIDDEN
        assert firestore.call("DELETE", path, who) == FORBIDDEN
        assert firestore.call("GET", path, who) == FORBIDDEN
        assert firestore.call("GET", "uncertain_poses", who) == FORBIDDEN
    assert firestore.create(path, CAPTURE, DEVICE) in {FORBIDDEN, 409}
    assert firestore.call("GET", path, OWNER) == 200


@pytest.mark.parametrize("collection", COLLECTIONS[1:])
def test_all_other_collections_are_closed_to_devices(firestore: Ruled, collection: str) -> None:
    path = f"{collection}/one"
    assert firestore.create(path, CAPTURE, DEVICE) == FORBIDDEN
    assert firestore.create(path, CAPTURE, OWNER) == 200
    assert firestore.call("PATCH", path, DEVICE, CAPTURE) == FORBIDDEN
    assert firestore.call("DELETE", path, DEVICE) == FORBIDDEN
    if collection != "models":
        assert firestore.call("GET", path, DEVICE) == FORBIDDEN


def test_models_are_readable_for_who_is_signed_in(firestore: Ruled) -> None:
    assert firestore.create("models/v1", {"current": True}, OWNER) == 200
    assert firestore.call("GET", "models/v1", DEVICE) == 200
    assert firestore.call("GET", "models", DEVICE) == 200
    assert firestore.call("GET", "models/v1", None) == FORBIDDEN


def test_what_lies_below_a_capture_is_closed(firestore: Ruled) -> None:
    assert firestore.create("uncertain_poses/pose-1/notes/one", CAPTURE, DEVICE) == FORBIDDEN

"""capture.schema.json judges what devices send as firestore.rules do."""

from __future__ import annotations

import json
import math
import re
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from agir_cvtoolkit.captures import Capture
from agir_cvtoolkit.firebase import capture_to_document
from agir_cvtoolkit.poses import Keypoint, Pose

from .sent_by_devices import BAD, CAPTURE, GOOD


@pytest.fixture(scope="module")
def schema() -> Any:
    return json.loads(
        files("agir_cvtoolkit.firebase").joinpath("capture.schema.json").read_text(encoding="utf-8")
    )


def fits(schema: Any, document: dict[str, Any]) -> bool:
    return bool(jsonschema.Draft202012Validator(schema).is_valid(document))


def test_it_is_a_schema(schema: Any) -> None:
    jsonschema.Draft202012Validator.check_schema(schema)


@pytest.mark.parametrize("document", GOOD.values(), ids=GOOD)
def test_what_the_rules_take_fits(schema: Any, document: dict[str, Any]) -> None:
    assert fits(schema, document)


@pytest.mark.parametrize("document", BAD.values(), ids=BAD)
def test_what_the_rules_refuse_does_not_fit(schema: Any, document: dict[str, Any]) -> None:
    # JSON has no NaN: who writes one fails before any schema is asked.
    if any(isinstance(value, float) and math.isnan(value) for value in document.values()):
        with pytest.raises(ValueError, match="not JSON compliant"):
            json.dumps(document, allow_nan=False)
    else:
        assert not fits(schema, document)


@pytest.mark.parametrize("name", ["", ".hidden", "a..b", "../x", "a/b", "a b", "x" * 129])
def test_ids_that_are_no_file_names_do_not_fit(schema: Any, name: str) -> None:
    assert not fits(schema, CAPTURE | {"id": name})


@pytest.mark.parametrize(
    "keypoints",
    [
        [{"type": "nose", "x": "1", "y": 2}],
        [{"x": 1, "y": 2}],
        {"nose": {"x": 1}},
        {"nose": {"x": 1, "y": 2, "confidence": 2}},
    ],
)
def test_joints_have_a_name_and_a_place(schema: Any, keypoints: object) -> None:
    assert not fits(schema, CAPTURE | {"detectedPoses": [{"keypoints": keypoints}]})
    assert fits(schema, CAPTURE | {"detectedPoses": [{"keypoints": {"nose": {"x": 1, "y": 2}}}]})


def test_what_this_package_submits_fits(schema: Any) -> None:
    pose = Pose({"nose": Keypoint(3.5, 4, confidence=0.4), "throat": Keypoint(5, 6, "occluded", 0.2)})
    taken = datetime(2025, 9, 11, 8, 30, tzinfo=UTC)
    capture = Capture("pose-1", 0.4, 4, taken=taken, device_id="device-1", poses=(pose,))
    assert fits(schema, capture_to_document(capture))


def test_the_swift_example_sends_what_the_schema_asks_for(schema: Any) -> None:
    page = (Path(__file__).parents[2] / "docs" / "devices.md").read_text(encoding="utf-8")
    sent = page[page.index(".setData([") : page.index("    ])\n    return id")]
    names = set(re.findall(r'^        "(\w+)":', sent, re.MULTILINE))
    capture = schema["$defs"]["capture"]
    assert set(capture["required"]) <= names <= set(capture["properties"])
    table = page[page.index("## The document") : page.index("## In Swift")]
    assert set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == set(capture["properties"])

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agir_cvtoolkit.errors import CheckpointError
from agir_cvtoolkit.models.card import ArchSpec, ModelCard, TrainedOn, read_card

CARD = ModelCard(
    name="unet-efficientnet_lite0",
    version="0123456789ab",
    architecture=ArchSpec(classes=3),
    classes=("background", "crop", "weed"),
    class_ids=(0, 1, 2),
    trained_on=TrainedOn("abc", 4, {"train": 3, "val": 1}, 0.5, 1000),
    metrics={"val_iou": 0.5},
)


def test_a_card_survives_json() -> None:
    assert ModelCard.from_json_object(json.loads(json.dumps(CARD.to_json_object()))) == CARD
    assert CARD.identity == "unet-efficientnet_lite0@0123456789ab"


def test_fields_of_newer_versions_are_ignored() -> None:
    content = CARD.to_json_object()
    content["colour"] = "green"
    content["architecture"]["attention"] = True
    assert ModelCard.from_json_object(content) == CARD


@pytest.mark.parametrize(
    "change",
    [
        {"classes": ["background"]},
        {"class_ids": [0, 1, 300]},
        {"class_ids": [1, 2, 3]},
        {"normalization": {"mean": [1, 2, 3], "std": [0, 1, 1]}},
        {"normalization": {"mean": [1, 2], "std": [1, 1, 1]}},
        {"tile_size": [0, 5]},
        {"architecture": "unet"},
        {"architecture": {"classes": "many"}},
    ],
)
def test_an_impossible_card_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(CheckpointError, match="not a model card"):
        ModelCard.from_json_object(CARD.to_json_object() | change)


def test_a_card_that_is_no_object_is_refused() -> None:
    with pytest.raises(CheckpointError):
        ModelCard.from_json_object([1, 2])


def test_reading_a_missing_or_torn_card_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "card.json"
    with pytest.raises(CheckpointError, match=r"card\.json"):
        read_card(path)
    path.write_text('{"name": ')
    with pytest.raises(CheckpointError, match=r"card\.json"):
        read_card(path)
    path.write_text(json.dumps(replace(CARD, version="x").to_json_object()))
    assert read_card(path).version == "x"


def test_the_card_needs_no_torch() -> None:
    code = (
        "import sys, agir_cvtoolkit.models.card; sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

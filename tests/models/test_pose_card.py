from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from agir_cvtoolkit.errors import CheckpointError, ConfigError
from agir_cvtoolkit.inference.pose_predictor import PosePredictor
from agir_cvtoolkit.inference.torch_predictor import open_torch
from agir_cvtoolkit.joints import load_schema
from agir_cvtoolkit.models.card import ArchSpec, ModelCard, TrainedOn, read_card
from agir_cvtoolkit.models.checkpoint import load_checkpoint, save_checkpoint
from agir_cvtoolkit.models.registry import build
from tests.pose_pictures import SCHEMA

_SPEC = ArchSpec("heatmap", "efficientnet_lite0", 4, (16, 12, 8), None)
CARD = ModelCard(
    "heatmap-efficientnet_lite0",
    "",
    _SPEC,
    classes=(),
    class_ids=(),
    tile_size=(64, 64),
    kind="pose",
    schema=SCHEMA,
    padding=0.2,
)


def test_a_pose_model_comes_back_with_its_joints(tmp_path: Path) -> None:
    network = build(_SPEC, "pose")
    written = save_checkpoint(tmp_path / "best.pth", network, CARD)
    loaded, card = load_checkpoint(tmp_path / "best.pth", "pose")
    assert card == written == read_card(tmp_path / "card.json")
    assert card.schema == SCHEMA
    assert card.kind == "pose"
    assert all(
        torch.equal(a, b)
        for a, b in zip(loaded.state_dict().values(), network.state_dict().values(), strict=True)
    )


def test_every_packaged_schema_survives_a_card() -> None:
    for name in ("dog24", "dog26", "vision25", "dog5"):
        schema = load_schema(name)
        card = replace(CARD, schema=schema, architecture=replace(_SPEC, classes=len(schema.joints)))
        again = ModelCard.from_json_object(card.to_json_object())
        assert again.schema == schema
        assert again.schema is not None
        assert again.schema.groups == schema.groups
        assert again.schema.resolve("left hind paw") == schema.resolve("left hind paw")


def test_cards_of_old_are_of_segmentation_models() -> None:
    content = ModelCard("unet", "0123456789ab", ArchSpec()).to_json_object()
    for name in ("kind", "schema", "padding"):
        del content[name]
    assert ModelCard.from_json_object(content).kind == "segmentation"


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "depth"},
        {"schema": None},
        {"schema": {"name": "x", "label": "x", "joints": ["a", "a", "b", "c"]}},
        {"schema": {"name": "x", "label": "x", "joints": ["a", "b"]}},
        {"schema": {"name": "x", "label": "x", "joints": ["a", "b", "c", "d"], "links": [["a", "e"]]}},
        {"schema": {"name": "x", "label": "x", "joints": ["a", "b", "c", "d"], "sigmas": [0.1]}},
        {"schema": 5},
        {"padding": -1},
        {"tile_size": [0, 64]},
    ],
)
def test_a_damaged_pose_card_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(CheckpointError, match="not a model card"):
        ModelCard.from_json_object(CARD.to_json_object() | change)


def test_a_model_of_the_other_kind_is_refused_by_name(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "pose.pth", build(_SPEC, "pose"), CARD)
    spec = ArchSpec(encoder_weights=None)
    save_checkpoint(tmp_path / "seg.pth", build(spec), ModelCard("unet", "", spec))
    with pytest.raises(CheckpointError, match=r"is a pose model.*infer-pose"):
        open_torch(tmp_path / "pose.pth", "cpu")
    with pytest.raises(CheckpointError, match=r"is a segmentation model.*infer-seg"):
        PosePredictor.load(tmp_path / "seg.pth", "cpu")


def test_a_card_under_the_wrong_format_is_refused(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "pose.pth", build(_SPEC, "pose"), CARD)
    content = torch.load(tmp_path / "pose.pth", weights_only=True)
    content["format"] = "agir-cvtoolkit/segmentation"
    torch.save(content, tmp_path / "pose.pth")
    with pytest.raises(CheckpointError, match="another kind"):
        load_checkpoint(tmp_path / "pose.pth")


def test_a_heat_map_network_is_none_for_segmentation() -> None:
    with pytest.raises(ConfigError, match="architecture 'heatmap' is unknown"):
        build(_SPEC)


def test_pictures_are_predicted_in_the_size_of_training() -> None:
    assert TrainedOn(scale=0.5).working_size((101, 60)) == (50, 30)
    assert TrainedOn(max_side=50).working_size((100, 60)) == (50, 30)

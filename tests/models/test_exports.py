"""Models that leave the house: ONNX and Core ML."""

from __future__ import annotations

import zipfile
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from agir_cvtoolkit.config import SegInference
from agir_cvtoolkit.errors import CheckpointError, MissingExtraError, UsageError
from agir_cvtoolkit.inference.onnx_predictor import OnnxHeatmaps, OnnxModel, OnnxPredictor
from agir_cvtoolkit.inference.pose_predictor import PosePredictor
from agir_cvtoolkit.inference.registry import open_predictor
from agir_cvtoolkit.inference.torch_predictor import open_torch
from agir_cvtoolkit.models.card import ArchSpec, ModelCard
from agir_cvtoolkit.models.checkpoint import load_checkpoint, save_checkpoint
from agir_cvtoolkit.models.coreml_export import export_coreml
from agir_cvtoolkit.models.onnx_export import check_agreement, export_onnx
from agir_cvtoolkit.models.pose_reading import TorchHeatmaps
from agir_cvtoolkit.models.registry import build
from agir_cvtoolkit.models.served import Served
from tests.pose_pictures import beast

from .test_pose_card import _SPEC, CARD

_PICTURES: NDArray[np.uint8] = np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3), dtype=np.uint8)


def small(name: str) -> ArchSpec:
    """An architecture over an encoder that is quick to export; the pose model has the large one."""
    config = {"model_type": "resnet", "embedding_size": 8, "hidden_sizes": [8, 16, 24, 32], "depths": [1] * 4}
    return ArchSpec(name, "hf:resnet", 3, encoder_weights=None, encoder_config=config)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model of each kind as checkpoint and as ONNX."""
    root = tmp_path_factory.mktemp("exported")
    torch.manual_seed(0)
    pose = build(_SPEC, "pose")
    # Places far from 0, where any error would vanish.
    torch.nn.init.normal_(pose.get_parameter("head.out.weight"), std=1500.0)
    torch.nn.init.zeros_(pose.get_parameter("head.out.bias"))
    save_checkpoint(root / "pose" / "best.pth", pose, CARD)
    spec = small("unet")
    card = ModelCard(spec.title, "", spec, ("background", "crop", "weed"), (0, 1, 2), tile_size=(64, 64))
    save_checkpoint(root / "seg" / "best.pth", build(spec), card)
    for kind in ("pose", "seg"):
        written = export_onnx(root / kind / "best.pth", root / kind / "best.onnx")
        assert written == load_checkpoint(root / kind / "best.pth")[1]
    return root


def test_segmentation_agrees_with_torch(exported: Path) -> None:
    ours, theirs = (
        open_torch(exported / "seg/best.pth", "cpu"),
        OnnxPredictor.open(exported / "seg/best.onnx"),
    )
    expected, found = ours.predict_tiles(_PICTURES), theirs.predict_tiles(_PICTURES)
    assert np.abs(expected - found).max() < 1e-5
    assert np.allclose(found.sum(axis=1), 1, atol=1e-5)
    assert (theirs.name, theirs.classes, theirs.class_ids) == (ours.name, ours.classes, ours.class_ids)
    assert theirs.working_size((640, 480)) == ours.working_size((640, 480))
    assert theirs.card == ours.card


def test_poses_agree_with_torch(exported: Path) -> None:
    network, card = load_checkpoint(exported / "pose/best.pth", "pose")
    expected = TorchHeatmaps(network, card, torch.device("cpu")).heatmaps(_PICTURES)
    found = OnnxHeatmaps.open(exported / "pose/best.onnx").heatmaps(_PICTURES)
    for ours, theirs in zip(expected, found, strict=True):
        assert ours.shape == theirs.shape == (3, 4, 16, 16)
        assert np.abs(ours - theirs).max() < 1e-5
        assert ours.max() > 0.01


@pytest.mark.parametrize(("kind", "outputs"), [("seg", 1), ("pose", 2)])
def test_the_number_of_pictures_is_free(exported: Path, kind: str, outputs: int) -> None:
    import onnxruntime

    session = onnxruntime.InferenceSession(
        str(exported / kind / "best.onnx"), providers=["CPUExecutionProvider"]
    )
    values = np.ascontiguousarray(_PICTURES.transpose(0, 3, 1, 2), dtype=np.float32)
    together = session.run(None, {"pixels": values})
    assert len(together) == outputs
    for number in range(3):
        alone = session.run(None, {"pixels": values[number : number + 1]})
        for one, all_of_them in zip(alone, together, strict=True):
            assert np.abs(one[0] - all_of_them[number]).max() < 1e-5


def test_a_pose_predictor_takes_either_file(exported: Path) -> None:
    rgb, pose = beast(1)
    ours = PosePredictor.load(exported / "pose/best.pth", "cpu").predict([rgb], [pose.box])[0]
    theirs = PosePredictor.load(exported / "pose/best.onnx").predict([rgb], [pose.box])[0]
    for joint, point in ours.keypoints.items():
        other = theirs.at(joint)
        assert (other.x, other.y) == pytest.approx((point.x, point.y), abs=0.01)
        assert other.confidence == pytest.approx(point.confidence, abs=1e-4)


def test_infer_seg_takes_an_exported_model(exported: Path) -> None:
    settings = SegInference.model_validate({"model": {"ckpt_path": str(exported / "seg/best.onnx")}})
    assert isinstance(open_predictor(settings), OnnxPredictor)


def test_tiles_of_another_size_are_refused_with_the_settings_to_change(exported: Path) -> None:
    predictor = OnnxPredictor.open(exported / "seg/best.onnx")
    with pytest.raises(
        CheckpointError,
        match=r"multiples of 32, such as 32x64, not 20x64.*tile.width=32 seg_inference.tile.height=64",
    ):
        predictor.predict_tiles(_PICTURES[:, :, :20])
    fixed = OnnxPredictor(OnnxModel(None, predictor.card, None))  # as older exports are
    with pytest.raises(
        CheckpointError, match=r"tiles of 64x64, not 32x64.*tile.width=64 seg_inference.tile.height=64"
    ):
        fixed.predict_tiles(_PICTURES[:, :, :32])


def test_what_is_no_model_of_ours_is_refused(exported: Path, tmp_path: Path) -> None:
    import onnx

    with pytest.raises(CheckpointError, match="does not exist"):
        OnnxPredictor.open(tmp_path / "none.onnx")
    (tmp_path / "bad.onnx").write_bytes(b"no model")
    with pytest.raises(CheckpointError, match="cannot be loaded"):
        OnnxPredictor.open(tmp_path / "bad.onnx")
    with pytest.raises(CheckpointError, match="is a pose model, not a segmentation model"):
        OnnxPredictor.open(exported / "pose/best.onnx")
    model = onnx.load(exported / "pose/best.onnx")
    model.metadata_props[-1].value = "{"
    onnx.save(model, tmp_path / "torn.onnx")
    with pytest.raises(CheckpointError, match="is damaged"):
        PosePredictor.load(tmp_path / "torn.onnx")
    del model.metadata_props[:]
    onnx.save(model, tmp_path / "foreign.onnx")
    with pytest.raises(CheckpointError, match="not exported by this package"):
        PosePredictor.load(tmp_path / "foreign.onnx")


def test_a_missing_library_is_named(exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    for name in ("onnx", "onnxruntime", "coremltools"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingExtraError, match=r"agir-cvtoolkit\[onnx\]"):
        export_onnx(exported / "pose/best.pth", tmp_path / "x.onnx")
    with pytest.raises(MissingExtraError, match=r"agir-cvtoolkit\[onnx\]"):
        OnnxPredictor.open(exported / "seg/best.onnx")
    with pytest.raises(MissingExtraError, match=r"agir-cvtoolkit\[coreml\]"):
        export_coreml(exported / "pose/best.pth", tmp_path / "x.mlpackage")
    assert list(tmp_path.iterdir()) == []


def test_core_ml_wants_its_ending(exported: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"Let it end in \.mlpackage"):
        export_coreml(exported / "pose/best.pth", tmp_path / "x.mlmodel")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["best.mlpackage.zip", "best.mlpackage"])
def test_core_ml_models_say_what_they_take_and_give(exported: Path, tmp_path: Path, name: str) -> None:
    """Only conversion and description are checked: running the model needs macOS."""
    path = tmp_path / name
    if find_spec("coremltools") is None:  # an extra of its own, which few machines have
        with pytest.raises(MissingExtraError, match="coreml"):
            export_coreml(exported / "pose/best.pth", path)
        return
    described = export_coreml(exported / "pose/best.pth", path)
    assert described.image_size == (64, 64)
    assert described.outputs == {"places": (1, 4, 16, 16), "hidden": (1, 4, 16, 16)}
    assert described.card.kind == "pose"
    again = export_coreml(exported / "seg/best.pth", path)
    assert again.outputs == {"probabilities": (1, 3, 64, 64)}
    if path.is_file():
        names = zipfile.ZipFile(path).namelist()
        assert "best.mlpackage/Manifest.json" in names
        assert any(entry.endswith("weight.bin") for entry in names)
    else:
        assert (path / "Manifest.json").is_file()
    assert [p.name for p in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", ["deeplabv3plus", "segformer"])
def test_the_other_architectures_agree_in_every_size(tmp_path: Path, name: str) -> None:
    spec = small(name)
    torch.manual_seed(1)
    network = build(spec)
    # Sure of something, or all probabilities would be alike.
    torch.nn.init.normal_(network.get_parameter("head.weight"), std=30.0)
    card = ModelCard(spec.title, "", spec, ("background", "crop", "weed"), (0, 1, 2), (64, 64))
    save_checkpoint(tmp_path / "best.pth", network, card)
    export_onnx(tmp_path / "best.pth", tmp_path / "best.onnx")
    ours, theirs = open_torch(tmp_path / "best.pth", "cpu"), OnnxPredictor.open(tmp_path / "best.onnx")
    for height, width in ((64, 64), (32, 160), (96, 32)):
        tiles = np.random.default_rng(2).integers(0, 256, (2, height, width, 3), dtype=np.uint8)
        expected = ours.predict_tiles(tiles)
        assert np.ptp(expected) > 0.3
        assert np.abs(expected - theirs.predict_tiles(tiles)).max() < 1e-4


def test_an_export_that_says_something_else_is_refused(exported: Path) -> None:
    import onnx

    model = onnx.load(exported / "seg/best.onnx")
    network, card = load_checkpoint(exported / "seg/best.pth")
    check_agreement(model, Served(network, card), card, 32)
    torch.nn.init.normal_(network.get_parameter("head.weight"))
    with pytest.raises(CheckpointError, match="as ONNX differs from PyTorch by"):
        check_agreement(model, Served(network, card), card, 32)

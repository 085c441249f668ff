"""Checkpoints of segmentation-models-pytorch; the library itself is played by a small network of the same names."""

from __future__ import annotations

import os
import pickle
import sys
import types
from collections import OrderedDict
from pathlib import Path, PosixPath
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from torch import Tensor, nn  # noqa: E402

from agir_cvtoolkit.config import SegInference  # noqa: E402
from agir_cvtoolkit.errors import CheckpointError, ConfigError, MissingExtraError  # noqa: E402
from agir_cvtoolkit.inference.registry import open_predictor  # noqa: E402
from agir_cvtoolkit.models.card import PixelNorm  # noqa: E402
from agir_cvtoolkit.models.smp import open_smp  # noqa: E402


class Net(nn.Module):
    """What segmentation-models-pytorch calls its parts, for an encoder of two layers."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.encoder = nn.ModuleDict(
            {f"layer{n}": nn.ModuleList([nn.Conv2d(3, 3, 1)] * 2) for n in range(1, 5)}
        )
        self.decoder = nn.ModuleDict({"blocks": nn.ModuleList([nn.Conv2d(3, 4, 3, padding=1)])})
        self.segmentation_head = nn.ModuleList([nn.Conv2d(4, outputs, 1)])

    def forward(self, pixels: Tensor) -> Tensor:
        found: Tensor = self.segmentation_head[0](self.decoder.get_submodule("blocks.0")(pixels))
        return found


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str, int]]:
    """Put the library's stand-in in its place; return what is asked of it."""
    calls: list[tuple[str, str, int]] = []

    def create_model(
        arch: str, encoder_name: str, encoder_weights: None, in_channels: int, classes: int
    ) -> Net:
        assert (encoder_weights, in_channels) == (None, 3)
        if encoder_name == "nothing":
            raise KeyError(encoder_name)
        calls.append((arch, encoder_name, classes))
        return Net(classes)

    module = types.ModuleType("segmentation_models_pytorch")
    module.create_model = create_model  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "segmentation_models_pytorch", module)
    return calls


def lightning(path: Path, **more: object) -> Net:
    torch.manual_seed(0)
    network = Net(1)
    state = {f"model.{name}": tensor for name, tensor in network.state_dict().items()}
    torch.save({"pytorch-lightning_version": "2.6", "state_dict": state, **more}, path)
    return network


def test_a_lightning_checkpoint_with_one_output(asked: list[Any], tmp_path: Path) -> None:
    path = tmp_path / "last.ckpt"
    network = lightning(path, hyper_parameters={"dir": PosixPath("/data")}, loops=OrderedDict())
    chosen = SegInference.model_validate({"model": {"ckpt_path": f"smp:{path}"}, "device": "cpu"})
    predictor = open_predictor(chosen)
    assert asked == [("unet", "resnet18", 1)]
    assert (predictor.classes, predictor.class_ids) == (("background", "plant"), (0, 255))
    assert predictor.name.startswith("smp_unet-resnet18@")
    tiles = np.random.default_rng(0).integers(0, 256, (2, 64, 32, 3), dtype=np.uint8)
    assert predictor.needs_tiles
    found = predictor.predict_tiles(tiles)
    values = torch.from_numpy(tiles).permute(0, 3, 1, 2) / 255
    mean, std = torch.tensor([0.4140, 0.3973, 0.3070]), torch.tensor([0.1644, 0.1441, 0.1478])
    with torch.inference_mode():
        expected = network((values - mean.reshape(3, 1, 1)) / std.reshape(3, 1, 1)).sigmoid()[:, 0].numpy()
    assert found[:, 1] == pytest.approx(expected, abs=1e-5)
    assert np.ptp(expected) > 0.1


def test_a_plain_state_dict_of_several_classes(asked: list[Any], tmp_path: Path) -> None:
    path = tmp_path / "model.pth"
    torch.save(Net(3).state_dict(), path)
    _, card = open_smp(path, {"mean": [0, 0, 0], "std": [1, 1, 1], "encoder_name": "resnet34"})
    assert asked == [("unet", "resnet34", 3)]
    assert (card.classes, card.class_ids) == (("background", "class_1", "class_2"), (0, 1, 2))
    assert card.normalization == PixelNorm((0, 0, 0), (255, 255, 255))
    _, card = open_smp(path, {"classes": ["soil", "crop", "weed"], "class_ids": [0, 4, 9]})
    assert (card.classes, card.class_ids) == (("soil", "crop", "weed"), (0, 4, 9))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"arhc": "unet"}, "Did you mean 'arch'"),
        ({"arch": "fpn"}, "architecture 'fpn' is not opened"),
        ({"encoder_name": "nothing"}, "makes no unet over 'nothing'"),
        ({"classes": ["soil"]}, "1 names"),
        ({"class_ids": [0, 300]}, "class ids"),
        ({"mean": [0.1, 0.1, 0.1]}, "go together"),
    ],
)
def test_options_that_are_wrong(
    asked: list[Any], tmp_path: Path, options: dict[str, Any], words: str
) -> None:
    path = tmp_path / "model.pth"
    torch.save(Net(1).state_dict(), path)
    with pytest.raises(ConfigError, match=words):
        open_smp(path, options)


def test_what_the_tensors_do_not_tell_is_asked_for(asked: list[Any], tmp_path: Path) -> None:
    path = tmp_path / "model.pth"
    state = {n: t for n, t in Net(1).state_dict().items() if not n.startswith(("encoder.layer4", "decoder"))}
    torch.save(state, path)
    with pytest.raises(ConfigError, match=r"do not tell its arch.*options=\{arch: …\}"):
        open_smp(path, {})
    with pytest.raises(ConfigError, match="do not tell its encoder_name"):
        open_smp(path, {"arch": "unet"})
    with pytest.raises(CheckpointError, match="are not those of unet over resnet18"):
        open_smp(path, {"arch": "unet", "encoder_name": "resnet18"})


class Bomb:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.mkdir, (str(self.target),)


@pytest.mark.parametrize("place", ["state_dict", "callbacks"])
def test_a_malicious_pickle_is_refused_and_not_run(tmp_path: Path, place: str) -> None:
    path, target = tmp_path / "bomb.ckpt", tmp_path / "exploded"
    lightning(path, **{place: {"a": Bomb(target)}})
    with pytest.raises(
        CheckpointError, match=r"is refused: it asks for posix.mkdir; nothing of it was executed"
    ):
        open_smp(path, {})
    path.write_bytes(pickle.dumps(Bomb(target)))
    with pytest.raises(CheckpointError, match="damaged or truncated"):
        open_smp(path, {})
    torch.save({"a": Bomb(target)}, path, _use_new_zipfile_serialization=False)
    with pytest.raises(CheckpointError):
        open_smp(path, {})
    assert not target.exists()


def test_programs_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "program.pt"
    torch.jit.script(nn.Conv2d(3, 1, 1)).save(str(path))
    with pytest.raises(CheckpointError, match="TorchScript program"):
        open_smp(path, {})


@pytest.mark.parametrize("share", [0.0, 0.3, 0.99])
def test_truncated_files_are_refused(tmp_path: Path, share: float) -> None:
    path = tmp_path / "cut.ckpt"
    lightning(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(CheckpointError, match="damaged or truncated"):
        open_smp(path, {})


def test_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="does not exist"):
        open_smp(tmp_path / "none.ckpt", {})
    path = tmp_path / "other.pth"
    for content in ({"weight": torch.zeros(1)}, {"state_dict": {"weight": torch.zeros(1)}}):
        torch.save(content, path)
        with pytest.raises(CheckpointError, match="no model of segmentation-models-pytorch"):
            open_smp(path, {})
    torch.save([1], path)
    with pytest.raises(CheckpointError, match="holds no weights"):
        open_smp(path, {})


def test_without_the_library_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "last.ckpt"
    lightning(path)
    monkeypatch.setitem(sys.modules, "segmentation_models_pytorch", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'agir-cvtoolkit\[smp\]'"):
        open_smp(path, {})


def test_a_torchvision_that_does_not_fit_is_a_missing_extra_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "last.ckpt"
    lightning(path)
    monkeypatch.delitem(sys.modules, "segmentation_models_pytorch", raising=False)
    (tmp_path / "segmentation_models_pytorch.py").write_text(
        "raise RuntimeError('operator torchvision::nms does not exist')"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(MissingExtraError, match=r"torchvision::nms does not exist.*agir-cvtoolkit\[smp\]"):
        open_smp(path, {})

from __future__ import annotations

import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from agir_cvtoolkit.errors import CheckpointError  # noqa: E402
from agir_cvtoolkit.models import checkpoint  # noqa: E402
from agir_cvtoolkit.models.card import ArchSpec, ModelCard, read_card  # noqa: E402
from agir_cvtoolkit.models.checkpoint import (  # noqa: E402
    checkpoint_card,
    load_checkpoint,
    save_checkpoint,
    weights_version,
)
from agir_cvtoolkit.models.registry import build  # noqa: E402

SPEC = ArchSpec(decoder_channels=(8, 8, 8, 8, 8), encoder_weights=None)
CARD = ModelCard(name="unet-efficientnet_lite0", version="", architecture=SPEC, metrics={"val_iou": 0.5})


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "best.pth"
    torch.manual_seed(0)
    save_checkpoint(path, build(SPEC), CARD)
    return path


def test_a_checkpoint_comes_back(whole: Path) -> None:
    network, card = load_checkpoint(whole)
    assert card.version == weights_version(network)
    assert card.metrics == {"val_iou": 0.5}
    assert not network.training
    assert read_card(whole.with_name("card.json")) == card
    assert sorted(p.name for p in whole.parent.iterdir()) == ["best.pth", "card.json"]


def test_its_card_is_read_without_building_the_network(whole: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "build", lambda *_: pytest.fail("it was built"))
    assert checkpoint_card(whole) == read_card(whole.with_name("card.json"))
    with pytest.raises(CheckpointError, match="segmentation model, not a pose model"):
        checkpoint_card(whole, "pose")


def test_it_holds_only_plain_values(whole: Path) -> None:
    content = torch.load(whole, weights_only=True)
    assert set(content) == {"format", "format_version", "card", "state_dict"}
    assert json.loads(json.dumps(content["card"])) == content["card"]


def test_a_missing_file_says_where_models_lie(tmp_path: Path) -> None:
    """Where it is asked for by a setting, this is named; else, as for promote, it may be of either kind."""
    settings = {"segmentation": "seg_inference.model.ckpt_path", "pose": "pose_inference.model"}
    for kind, setting in settings.items():
        with pytest.raises(CheckpointError, match=rf"does not exist.*Set {setting} to a trained model"):
            load_checkpoint(tmp_path / "best.pth", kind)
    with pytest.raises(CheckpointError, match="does not exist") as caught:
        load_checkpoint(tmp_path / "best.pth")
    assert caught.value.next_step == "Name a trained model: agir-cvtoolkit models list"


@pytest.mark.parametrize("share", [0.0, 0.001, 0.3, 0.9, 0.9999])
def test_a_truncated_file_is_refused(whole: Path, tmp_path: Path, share: float) -> None:
    content = whole.read_bytes()
    path = tmp_path / "cut.pth"
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(CheckpointError, match="damaged or truncated"):
        load_checkpoint(path)


def test_weights_that_were_changed_are_refused(whole: Path, tmp_path: Path) -> None:
    content = torch.load(whole, weights_only=True)
    name = next(iter(content["state_dict"]))
    content["state_dict"][name] = content["state_dict"][name] + 1
    path = tmp_path / "changed.pth"
    torch.save(content, path)
    with pytest.raises(CheckpointError, match="not those of its card"):
        load_checkpoint(path)


class _Bomb:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
        return os.mkdir, (str(self.target),)


@pytest.mark.parametrize("how", ["torch", "torch_legacy", "pickle"])
def test_no_pickle_is_executed(tmp_path: Path, how: str) -> None:
    path, target = tmp_path / "bomb.pth", tmp_path / "exploded"
    content = {"format": "agir-cvtoolkit/segmentation", "state_dict": _Bomb(target)}
    if how == "pickle":
        path.write_bytes(pickle.dumps(content))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=how == "torch")
    with pytest.raises(CheckpointError, match="nothing of it was executed"):
        load_checkpoint(path)
    assert not target.exists()


_SMP = {"encoder.conv1.weight": 1, "decoder.blocks.0.conv1.weight": 1, "segmentation_head.0.weight": 1}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (
            {"pytorch-lightning_version": "2.6.0", "state_dict": {"weight": 1}},
            "training checkpoint of Lightning",
        ),
        (
            {
                "pytorch-lightning_version": "2.6.0",
                "state_dict": {f"model.{k}": 1 for k in _SMP},
                "x": Path("a"),
            },
            "Lightning around a model of segmentation-models-pytorch",
        ),
        (_SMP, "plain state dict of segmentation-models-pytorch"),
        ({"weight": 1}, "not a model of this package"),
        ([1, 2], "not a model of this package"),
    ],
)
def test_files_of_other_tools_are_named(tmp_path: Path, content: Any, words: str) -> None:
    path = tmp_path / "other.ckpt"
    torch.save(content, path)
    with pytest.raises(CheckpointError, match=words) as caught:
        load_checkpoint(path)
    assert "agir-cvtoolkit train" in caught.value.next_step or "best.pth" in caught.value.next_step


@given(st.binary(max_size=60), st.sampled_from([b"", b"t", b"\x80\x02", b"\x80\x04", b"PK\x03\x04"]))
def test_no_bytes_end_otherwise(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, head: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "garbage.pth"
    path.write_bytes(head + content)
    with pytest.raises(CheckpointError, match="garbage"):
        load_checkpoint(path)


def test_something_else_is_no_pytorch_file(tmp_path: Path) -> None:
    path = tmp_path / "best.pth"
    path.write_text("version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(CheckpointError, match="no PyTorch file at all"):
        load_checkpoint(path)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"name": "hrnet"}, r"architecture 'hrnet' is unknown\. Upgrade"),
        ({"name": "segformer"}, "decoder_channels has 5 entries, not 1"),
        ({"name": "deeplabv3plus", "decoder_channels": []}, r"tensor pyramid\.\S+ is missing"),
        ({"encoder": "hf:dinov2-small"}, "does not describe its encoder hf:dinov2-small"),
        ({"encoder": "resnet34"}, r"encoder 'resnet34' is unknown\. Upgrade"),
        ({"decoder_channels": [16, 8, 8, 8, 8]}, "do not fit its architecture"),
        ({"decoder_channels": [8]}, "do not fit its architecture"),
    ],
)
def test_another_architecture_is_refused(
    whole: Path, tmp_path: Path, change: dict[str, Any], words: str
) -> None:
    content = torch.load(whole, weights_only=True)
    content["card"]["architecture"].update(change)
    path = tmp_path / "other.pth"
    torch.save(content, path)
    with pytest.raises(CheckpointError, match=words):
        load_checkpoint(path)


def test_a_newer_format_asks_for_an_upgrade(whole: Path, tmp_path: Path) -> None:
    content = torch.load(whole, weights_only=True) | {"format_version": 2}
    path = tmp_path / "newer.pth"
    torch.save(content, path)
    with pytest.raises(CheckpointError, match="pip install --upgrade"):
        load_checkpoint(path)


def test_a_checkpoint_without_weights_is_refused(whole: Path, tmp_path: Path) -> None:
    content = torch.load(whole, weights_only=True) | {"state_dict": {"weight": 3}}
    path = tmp_path / "empty.pth"
    torch.save(content, path)
    with pytest.raises(CheckpointError, match="holds no weights"):
        load_checkpoint(path)

"""Every architecture over every kind of encoder: sizes, gradients, checkpoints."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import pickle
import sys
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from agir_cvtoolkit.errors import CheckpointError, ConfigError, MissingExtraError  # noqa: E402
from agir_cvtoolkit.models.card import ArchSpec, ModelCard, PixelNorm, encoder_name  # noqa: E402
from agir_cvtoolkit.models.checkpoint import load_checkpoint, save_checkpoint  # noqa: E402
from agir_cvtoolkit.models.encoders import IMAGENET_NORM, build_encoder, pixel_norm  # noqa: E402
from agir_cvtoolkit.models.hf_backbone import BackboneEncoder  # noqa: E402
from agir_cvtoolkit.models.registry import ARCHITECTURES, build  # noqa: E402

_SMALL: dict[str, dict[str, Any]] = {
    "dinov2": {"hidden_size": 16, "num_hidden_layers": 4, "num_attention_heads": 2, "image_size": 56},
    "resnet": {"embedding_size": 8, "hidden_sizes": [8, 16, 24, 32], "depths": [1, 1, 1, 1]},
    "convnext": {"hidden_sizes": [8, 16, 24, 32], "depths": [1, 1, 1, 1]},
    "swin": {"embed_dim": 8, "depths": [1, 1, 1, 1], "num_heads": [1, 1, 2, 2], "image_size": 64},
    "segformer": {
        "hidden_sizes": [8, 16, 24, 32],
        "depths": [1, 1, 1, 1],
        "num_attention_heads": [1, 1, 2, 4],
    },
}


def backbone_folder(root: Path, kind: str = "convnext") -> Path:
    """A folder as `save_pretrained` writes it."""
    config = transformers.AutoConfig.for_model(kind, **_SMALL[kind])
    whole = transformers.SegformerModel if kind == "segformer" else transformers.AutoModel
    torch.manual_seed(3)
    model = whole(config) if kind == "segformer" else whole.from_config(config)
    model.save_pretrained(root / kind)
    return root / kind


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_logits_have_the_size_of_the_picture(name: str) -> None:
    network = build(ArchSpec(name, classes=4, encoder_weights=None)).eval()
    with torch.inference_mode():
        for height, width in ((1, 1), (33, 70)):
            assert network(torch.zeros(2, 3, height, width)).shape == (2, 4, height, width)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_a_batch_of_one_trains_every_weight(name: str) -> None:
    network = build(ArchSpec(name, classes=3, encoder_weights=None)).train()
    network(torch.randn(1, 3, 64, 64)).square().mean().backward()
    still = [n for n, p in network.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    # A weight before a normalisation may have no slope by chance; whole layers without one are not in use.
    assert len(still) < 0.1 * len(list(network.parameters())), still


def test_the_last_stage_of_deeplab_keeps_stride_16() -> None:
    network = build(ArchSpec("deeplabv3plus", encoder_weights=None)).eval()
    with torch.inference_mode():
        maps = network.get_submodule("encoder")(torch.zeros(1, 3, 64, 96))
    assert [tuple(m.shape[2:]) for m in maps[-3:]] == [(8, 12), (4, 6), (4, 6)]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("unet", "dinov2"),
        ("unet", "convnext"),
        ("fpn", "resnet"),
        ("deeplabv3plus", "swin"),
        ("segformer", "segformer"),
    ],
)
def test_a_backbone_from_a_folder_travels_inside_the_checkpoint(tmp_path: Path, name: str, kind: str) -> None:
    folder = backbone_folder(tmp_path, kind)
    spec = ArchSpec(name, f"hf:{folder}", classes=3)
    network = build(spec).eval()
    pixels = torch.randn(2, 3, 70, 64)
    with torch.inference_mode():
        expected = network(pixels)
    save_checkpoint(tmp_path / "model" / "best.pth", network, card(spec))
    folder.rename(tmp_path / "gone")
    again, found = load_checkpoint(tmp_path / "model" / "best.pth")
    assert found.architecture.encoder == f"hf:{kind}"
    assert str(tmp_path) not in json.dumps(found.to_json_object())
    with torch.inference_mode():
        assert torch.equal(again(pixels), expected)


def card(spec: ArchSpec) -> ModelCard:
    names = ("background", "crop", "weed")[: spec.classes]
    return ModelCard(spec.title, "", spec, names, tuple(range(spec.classes)), (64, 64), pixel_norm(spec))


@pytest.mark.parametrize("kind", ["convnext", "segformer"])
def test_the_weights_are_those_of_the_folder(tmp_path: Path, kind: str) -> None:
    folder = backbone_folder(tmp_path, kind)
    theirs = transformers.AutoModel.from_pretrained(folder).state_dict()
    ours = build_encoder(ArchSpec(encoder=f"hf:{folder}"))
    assert isinstance(ours, BackboneEncoder)
    name = next(n for n in theirs if n.endswith("weight") and theirs[n].ndim == 4)
    assert torch.equal(ours.backbone.state_dict()[name], theirs[name])
    random = build_encoder(ArchSpec(encoder=f"hf:{folder}", encoder_weights=None))
    assert not torch.equal(random.state_dict()[f"backbone.{name}"], theirs[name])


def test_weights_that_are_pickles_are_not_read(tmp_path: Path) -> None:
    folder = backbone_folder(tmp_path)
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps({}))
    with pytest.raises(CheckpointError, match="holds no weights as safetensors"):
        build(ArchSpec(encoder=f"hf:{folder}"))


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    folder = backbone_folder(tmp_path)
    (backbone_folder(tmp_path, "resnet") / "model.safetensors").replace(folder / "model.safetensors")
    with pytest.raises(CheckpointError, match=r"holds \d+ of the \d+ tensors"):
        build(ArchSpec(encoder=f"hf:{folder}"))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "holds no config.json"),
        ("{", "cannot be read"),
        ("[]", "cannot be read"),
        ('{"model_type": "nothing"}', "makes no backbone"),
        ('{"model_type": "bert"}', "makes no backbone"),
        ('{"model_type": "timm_backbone", "backbone": "resnet18"}', "makes no backbone|needs an optional"),
    ],
)
def test_folders_that_hold_no_backbone(tmp_path: Path, content: str | None, words: str) -> None:
    if content is not None:
        (tmp_path / "config.json").write_text(content)
    with pytest.raises((CheckpointError, ConfigError, MissingExtraError), match=words):
        build(ArchSpec(encoder=f"hf:{tmp_path}", encoder_weights=None))


def test_backbones_of_one_size_are_refused(tmp_path: Path) -> None:
    hiera = {"model_type": "hiera", "embed_dim": 16, "depths": [1] * 4, "num_heads": [1, 1, 2, 2]}
    (tmp_path / "config.json").write_text(json.dumps(hiera | {"image_size": [64, 64]}))
    with pytest.raises(CheckpointError, match="makes no backbone: The size of tensor"):
        build(ArchSpec(encoder=f"hf:{tmp_path}", encoder_weights=None))


def test_the_u_net_is_that_of_older_checkpoints() -> None:
    state = build(ArchSpec(encoder_weights=None)).state_dict()
    named = "\n".join(f"{name} {tuple(tensor.shape)}" for name, tensor in sorted(state.items()))
    assert hashlib.sha256(named.encode()).hexdigest()[:16] == "ce420ebc40ce6f29"


def test_code_in_a_folder_is_not_run(tmp_path: Path) -> None:
    folder = backbone_folder(tmp_path)
    config = json.loads((folder / "config.json").read_text())
    config["auto_map"] = {"AutoConfig": "trap.Config", "AutoBackbone": "trap.Trap", "AutoModel": "trap.Trap"}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "trap.py").write_text(f"open({str(tmp_path / 'exploded')!r}, 'w')\n")
    encoder = build_encoder(ArchSpec(encoder=f"hf:{folder}"))
    assert encoder.description is not None
    assert "auto_map" not in encoder.description
    assert not (tmp_path / "exploded").exists()


def test_normalisation_is_that_of_the_folder(tmp_path: Path) -> None:
    folder = backbone_folder(tmp_path)
    spec = ArchSpec(encoder=f"hf:{folder}")
    assert pixel_norm(spec) == IMAGENET_NORM
    assert pixel_norm(ArchSpec()) == PixelNorm()
    path = folder / "preprocessor_config.json"
    path.write_text('{"image_mean": [0.5, 0.5, 0.4], "image_std": [0.5, 0.25, 0.5]}')
    assert pixel_norm(spec) == PixelNorm((127.5, 127.5, 102.0), (127.5, 63.75, 127.5))
    path.write_text('{"image_mean": [0.5], "image_std": [0.5]}')
    with pytest.raises(CheckpointError, match="three channels"):
        pixel_norm(spec)


def test_mix_transformers_come_without_weights() -> None:
    encoder = build_encoder(ArchSpec(encoder="mit_b0", encoder_weights=None)).eval()
    assert encoder.channels == (32, 64, 160, 256)
    sent = pickle.loads(pickle.dumps(encoder))  # as another process of a training gets it
    with torch.inference_mode():
        maps, there = encoder(torch.zeros(1, 3, 64, 64)), sent(torch.zeros(1, 3, 64, 64))
    assert [tuple(m.shape[1:]) for m in maps] == [(32, 16, 16), (64, 8, 8), (160, 4, 4), (256, 2, 2)]
    assert all(torch.equal(a, b) for a, b in zip(maps, there, strict=True))
    with pytest.raises(ConfigError, match=r"no package brings.*encoder_weights=null"):
        build_encoder(ArchSpec(encoder="mit_b0"))


def test_without_transformers_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = backbone_folder(tmp_path)
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(MissingExtraError, match=r"agir-cvtoolkit\[hf\]"):
        build(ArchSpec(encoder=f"hf:{folder}"))


def test_a_card_that_names_an_absurd_size_takes_no_memory(tmp_path: Path) -> None:
    spec = ArchSpec("segformer", "mit_b0", classes=3, encoder_weights=None)
    path = tmp_path / "best.pth"
    save_checkpoint(path, build(spec), card(spec))
    content = torch.load(path, weights_only=True)
    content["card"]["architecture"]["decoder_channels"] = [40_000_000]
    torch.save(content, path)
    with pytest.raises(CheckpointError, match="do not fit its architecture"):
        load_checkpoint(path)


def test_classes_that_are_not_those_of_the_weights(tmp_path: Path) -> None:
    spec = ArchSpec("segformer", classes=3, encoder_weights=None)
    path = tmp_path / "best.pth"
    wrong = dataclasses.replace(card(spec), architecture=dataclasses.replace(spec, classes=2))
    wrong = dataclasses.replace(wrong, classes=("background", "plant"), class_ids=(0, 255))
    save_checkpoint(path, build(spec), wrong)
    with pytest.raises(CheckpointError, match=r"tensor head.weight is \(3, .*, not \(2, "):
        load_checkpoint(path)


def test_names_of_encoders_compare_without_case_and_folders_with_it() -> None:
    assert encoder_name("EfficientNet-Lite0") == "efficientnet_lite0"
    assert encoder_name("hf:Models/DINOv2-small") == "hf:Models/DINOv2-small"
    assert ArchSpec("unet", "hf:Models/DINOv2-small").title == "unet-DINOv2-small"

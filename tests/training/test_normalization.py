from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("lightning")

from agir_cvtoolkit.config._training import Train  # noqa: E402
from agir_cvtoolkit.inference.torch_predictor import open_torch  # noqa: E402
from agir_cvtoolkit.models.card import ArchSpec, PixelNorm, read_card  # noqa: E402
from agir_cvtoolkit.models.checkpoint import load_checkpoint  # noqa: E402
from agir_cvtoolkit.models.encoders import pixel_norm  # noqa: E402
from agir_cvtoolkit.pictures import load_rgb  # noqa: E402
from agir_cvtoolkit.training.batches import tiles_of  # noqa: E402
from agir_cvtoolkit.training.dataset import PreparedDataset, open_dataset  # noqa: E402
from agir_cvtoolkit.training.normalization import norm_of  # noqa: E402
from agir_cvtoolkit.training.segmentation import TrainResult, fit  # noqa: E402

from .test_segmentation import make_dataset  # noqa: E402

PRETRAINED, RANDOM = ArchSpec(), ArchSpec(encoder_weights=None)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> PreparedDataset:
    return open_dataset(make_dataset(tmp_path_factory.mktemp("normalization"), 1))


@pytest.fixture(scope="module")
def trained(dataset: PreparedDataset, tmp_path_factory: pytest.TempPathFactory) -> TrainResult:
    settings = Train(
        max_epochs=1,
        batch_size=3,
        device="cpu",
        normalization="dataset",
        model={"arch_name": "fpn"},
        tracking={"tensorboard": False},
    )
    return fit(dataset.root, tmp_path_factory.mktemp("model"), settings)


@pytest.mark.parametrize(
    ("wanted", "spec", "of_the_data"),
    [
        ("auto", PRETRAINED, False),
        ("auto", RANDOM, True),
        ("encoder", RANDOM, False),
        ("dataset", PRETRAINED, True),
    ],
)
def test_only_weights_from_elsewhere_keep_their_pixels(
    wanted: Any, spec: ArchSpec, of_the_data: bool, dataset: PreparedDataset
) -> None:
    found = norm_of(dataset, Train(normalization=wanted), spec)
    if not of_the_data:
        assert found == pixel_norm(spec)
        return
    tiles = tiles_of(dataset, "train", Train(), training=False)
    pixels = np.concatenate(
        [tiles[0, index][0].numpy().reshape(3, -1) for index in range(len(tiles))], axis=1
    )
    assert found.mean == pytest.approx(pixels.mean(axis=1))
    assert found.std == pytest.approx(pixels.std(axis=1))


def test_pictures_of_one_colour_can_be_trained_on(dataset: PreparedDataset) -> None:
    from dataclasses import replace

    flat = replace(dataset, rgb_std=(0.0, 0.0, 0.0))
    assert norm_of(flat, Train(normalization="dataset"), PRETRAINED).std == (1.0, 1.0, 1.0)


def test_what_was_trained_with_is_what_is_predicted_and_exported_with(
    trained: TrainResult, dataset: PreparedDataset, tmp_path: Path
) -> None:
    norm = trained.card.normalization
    assert norm == norm_of(dataset, Train(normalization="dataset"), PRETRAINED) != PixelNorm()
    assert read_card(trained.card_path).normalization == norm
    tile = load_rgb(dataset.image_path(dataset.splits["test"][0]))
    network, card = load_checkpoint(trained.best_path)
    assert card.normalization == norm
    pixels = torch.from_numpy(tile.astype(np.float32)).permute(2, 0, 1)[None]
    mean, std = (torch.tensor(part).reshape(1, 3, 1, 1) for part in (norm.mean, norm.std))
    with torch.inference_mode():
        expected = torch.softmax(network((pixels - mean) / std), dim=1)[0].numpy()
    assert open_torch(trained.best_path, "cpu").predict_tiles(tile[None])[0] == pytest.approx(
        expected, abs=1e-5
    )
    pytest.importorskip("onnxscript")
    pytest.importorskip("onnxruntime")
    from agir_cvtoolkit.inference.onnx_predictor import OnnxPredictor
    from agir_cvtoolkit.models.onnx_export import export_onnx

    exported = tmp_path / "best.onnx"
    assert export_onnx(trained.best_path, exported).normalization == norm
    assert OnnxPredictor.open(exported).predict_tiles(tile[None])[0] == pytest.approx(expected, abs=1e-4)

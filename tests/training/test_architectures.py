"""Every architecture through the whole of training, with two classes and over a backbone from a folder."""

from __future__ import annotations

from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("lightning")
pytest.importorskip("transformers")

from agir_cvtoolkit.config._training import EarlyStop, Optimizer, Train, TrainModel  # noqa: E402
from agir_cvtoolkit.inference.torch_predictor import open_torch  # noqa: E402
from agir_cvtoolkit.models.encoders import IMAGENET_NORM  # noqa: E402
from agir_cvtoolkit.models.registry import ARCHITECTURES  # noqa: E402
from agir_cvtoolkit.pictures import load_rgb  # noqa: E402
from agir_cvtoolkit.training.segmentation import fit  # noqa: E402
from tests.models.test_architectures import backbone_folder  # noqa: E402

from .test_segmentation import make_dataset  # noqa: E402


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_dataset(tmp_path_factory.mktemp("data"), 2)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_it_learns_two_classes_over_a_backbone_from_a_folder(
    dataset: Path, tmp_path: Path, name: str
) -> None:
    folder = backbone_folder(tmp_path, "resnet")
    settings = Train(
        max_epochs=6,
        batch_size=3,
        device="cpu",
        num_workers=0,
        use_data_augmentation=False,
        optimizer=Optimizer(lr=2e-2, encoder_lr_factor=1.0),
        early_stop=EarlyStop(patience=None),
        # Random weights: the folder's are random too, and would hold their statistics still.
        model=TrainModel(arch_name=name, encoder_name=f"hf:{folder}", encoder_weights=None),
    )
    result = fit(dataset, tmp_path / "model", settings)
    assert result.card.name == f"{name}-resnet"
    assert result.card.normalization != IMAGENET_NORM
    folder.rename(tmp_path / "gone")
    predictor = open_torch(result.best_path, "cpu")
    assert predictor.class_ids == (0, 40, 90)
    seen = load_rgb(dataset.parent / "images" / "p0.png")
    assert predictor.predict_tiles(seen[None]).shape == (1, 3, 64, 64)
    assert result.history[-1].train_loss < 0.75 * result.history[0].train_loss
    assert result.history[-1].train_iou > result.history[0].train_iou

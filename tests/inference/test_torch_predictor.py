from __future__ import annotations

import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from agir_cvtoolkit.errors import CheckpointError, ConfigError, MissingExtraError  # noqa: E402
from agir_cvtoolkit.inference.torch_predictor import TorchPredictor, open_torch  # noqa: E402
from agir_cvtoolkit.models.card import ArchSpec, ModelCard, TrainedOn  # noqa: E402
from agir_cvtoolkit.models.checkpoint import save_checkpoint  # noqa: E402
from agir_cvtoolkit.models.registry import build  # noqa: E402


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "best.pth"
    spec = ArchSpec(classes=3, decoder_channels=(16, 8, 8, 8, 8))
    with torch.random.fork_rng():
        torch.manual_seed(1)
        network = build(spec)
    card = ModelCard(
        "unet-efficientnet_lite0", "", spec, ("background", "crop", "weed"), (0, 1, 2),
        trained_on=TrainedOn(scale=0.5, max_side=400),
    )  # fmt: skip
    save_checkpoint(path, network, card)
    return path


@pytest.fixture(scope="module")
def predictor(checkpoint: Path) -> TorchPredictor:
    return open_torch(checkpoint, "cpu")


def tiles(count: int, height: int = 96, width: int = 64) -> np.ndarray:
    return np.random.default_rng(2).integers(0, 255, (count, height, width, 3), dtype=np.uint8)


def test_it_says_what_it_is(predictor: TorchPredictor) -> None:
    assert predictor.name == predictor.card.identity
    assert predictor.classes == ("background", "crop", "weed")
    assert predictor.class_ids == (0, 1, 2)
    assert predictor.needs_tiles


def test_probabilities_sum_to_one(predictor: TorchPredictor) -> None:
    found = predictor.predict_tiles(tiles(2))
    assert found.shape == (2, 3, 96, 64)
    assert found.dtype == np.float32
    assert found.min() >= 0
    assert found.sum(axis=1) == pytest.approx(1, abs=1e-5)
    assert found.std() > 0.001
    assert predictor.predict_tiles(tiles(0)).shape == (0, 3, 96, 64)


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_the_batch_size_changes_no_bit(predictor: TorchPredictor, size: int) -> None:
    batch = tiles(7)
    whole = predictor.predict_tiles(batch)
    parts = [predictor.predict_tiles(batch[i : i + size]) for i in range(0, 7, size)]
    assert np.array_equal(np.concatenate(parts), whole)


def test_neighbours_in_the_batch_play_no_part(predictor: TorchPredictor) -> None:
    batch = tiles(4)
    other = batch[::-1].copy()
    assert np.array_equal(predictor.predict_tiles(other)[::-1], predictor.predict_tiles(batch))


def test_any_size_is_taken_and_views_too(predictor: TorchPredictor) -> None:
    batch = tiles(1, 50, 77)
    mirrored = batch[:, :, ::-1]
    assert np.array_equal(predictor.predict_tiles(mirrored), predictor.predict_tiles(mirrored.copy()))


def test_pictures_that_must_not_be_written_to_are_taken(predictor: TorchPredictor) -> None:
    batch = tiles(1)
    expected = predictor.predict_tiles(batch)
    batch.flags.writeable = False
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.array_equal(predictor.predict_tiles(batch), expected)


def test_pictures_are_predicted_at_the_scale_of_the_training(predictor: TorchPredictor) -> None:
    assert predictor.working_size((600, 300)) == (300, 150)
    assert predictor.working_size((4000, 1000)) == (400, 100)


def test_devices_that_are_not_there_are_refused(checkpoint: Path) -> None:
    with pytest.raises(ConfigError, match=r"seg_inference\.device=cpu"):
        open_torch(checkpoint, "cuda:99")
    assert open_torch(checkpoint, "auto").classes[0] == "background"


def test_what_is_no_checkpoint_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError):
        open_torch(tmp_path / "none.pth")


def test_without_torch_the_extra_is_named(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingExtraError, match=r"agir-cvtoolkit\[train\]"):
        open_torch(checkpoint)


def test_importing_the_room_imports_no_torch() -> None:
    code = "import sys, agir_cvtoolkit.inference.torch_predictor; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

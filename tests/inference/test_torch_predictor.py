from __future__ import annotations

import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from torch import Tensor, nn  # noqa: E402

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


class Greedy(nn.Module):
    """A network on a device with room for so many tiles; it remembers how many it was given."""

    def __init__(self, room: int) -> None:
        super().__init__()
        self.room = room
        self.seen: list[int] = []

    def forward(self, pixels: Tensor) -> Tensor:
        self.seen.append(len(pixels))
        if len(pixels) > self.room:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return pixels


def greedy(room: int) -> tuple[TorchPredictor, Greedy]:
    network = Greedy(room)
    card = ModelCard("greedy", "1", ArchSpec(classes=3), ("background", "crop", "weed"), (0, 1, 2))
    predictor = TorchPredictor(network, card, torch.device("cpu"))
    predictor._most_pixels = 8 * 32 * 32  # as on a GPU
    return predictor, network


def test_groups_that_do_not_fit_are_halved_and_stay_so() -> None:
    predictor, network = greedy(3)
    expected = greedy(8)[0].predict_tiles(tiles(5, 32, 32))
    assert np.array_equal(predictor.predict_tiles(tiles(5, 32, 32)), expected)
    assert network.seen == [8, 4, 2, 2, 2]
    predictor.predict_tiles(tiles(2, 32, 32))
    assert network.seen[5:] == [2]


def test_a_tile_that_does_not_fit_is_a_lack_of_memory() -> None:
    with pytest.raises(MemoryError, match="a tile of 32x32 does not fit"):
        greedy(0)[0].predict_tiles(tiles(3, 32, 32))


def test_bfloat16_changes_little(checkpoint: Path) -> None:
    whole, half = (open_torch(checkpoint, "cpu", precision) for precision in ("32", "bf16"))
    expected, found = whole.predict_tiles(tiles(1)), half.predict_tiles(tiles(1))
    assert found.dtype == np.float32
    assert 0 < np.abs(found - expected).max() < 0.05
    assert found.sum(axis=1) == pytest.approx(1, abs=1e-5)


def test_a_network_with_other_outputs_than_its_card_is_refused() -> None:
    card = ModelCard("greedy", "1", ArchSpec(classes=2))
    predictor = TorchPredictor(Greedy(1), card, torch.device("cpu"))
    with pytest.raises(CheckpointError, match=r"gives \(3, 32, 32\) where \(2, 32, 32\) is right"):
        predictor.predict_tiles(tiles(1, 32, 32))

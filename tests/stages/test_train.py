"""``train`` and the ledger: every model is known by the place where it lies."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import agir_cvtoolkit.stages.train  # noqa: E402
from agir_cvtoolkit import Call, promote, status, train  # noqa: E402
from agir_cvtoolkit.config import Train  # noqa: E402
from agir_cvtoolkit.errors import AgirError  # noqa: E402
from agir_cvtoolkit.ledger import Ledger  # noqa: E402
from agir_cvtoolkit.models.card import ArchSpec, ModelCard, read_card  # noqa: E402
from agir_cvtoolkit.models.checkpoint import load_checkpoint, save_checkpoint  # noqa: E402
from agir_cvtoolkit.models.registry import build  # noqa: E402
from agir_cvtoolkit.pictures import save_png  # noqa: E402
from agir_cvtoolkit.progress import Progress  # noqa: E402
from agir_cvtoolkit.runs import Run, start_run  # noqa: E402
from agir_cvtoolkit.training import segmentation  # noqa: E402
from agir_cvtoolkit.training.segmentation import TrainResult  # noqa: E402

ROOT = Path("outputs/runs")
SPEC = ArchSpec(decoder_channels=(8, 8, 8, 8, 8), encoder_weights=None)
SETTINGS = (
    "preprocess.size={height: 32, width: 32}",
    "preprocess.source.type=custom",
    "preprocess.source.custom_images_dir=images",
    "preprocess.source.custom_masks_dir=masks",
)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A run beside two folders with three pictures, and a training that takes no time: its seed makes its weights."""
    monkeypatch.chdir(tmp_path)
    for number in range(3):
        rgb = np.random.default_rng(number).integers(0, 255, (32, 32, 3), dtype=np.uint8)
        for folder, array in (("images", rgb), ("masks", rgb[..., 0] // 128)):
            Path(folder).mkdir(exist_ok=True)
            save_png(array, Path(folder, f"r{number}.png"))
    monkeypatch.setattr(agir_cvtoolkit.stages.train, "fit", instantly)
    return start_run(ROOT, "a")


def instantly(_dataset: Path, out_dir: Path, settings: Train, _progress: Progress) -> TrainResult:
    best = out_dir / "best.pth"
    if best.is_file():
        card = read_card(out_dir / "card.json")
    else:
        torch.manual_seed(settings.seed)
        out_dir.mkdir(parents=True)
        card = save_checkpoint(best, build(SPEC), ModelCard(name="unet", version="", architecture=SPEC))
    return TrainResult(best, out_dir / "card.json", card, 1, 1, 0.5, 0.5, (), False, "trained")


def trained(seed: int) -> str:
    return train(Call(overrides=(*SETTINGS, f"train.seed={seed}", "preprocess.split.seed=1"))).version


def places() -> dict[str, Path]:
    with Ledger.open(None, ROOT) as ledger:
        return {row.version: Path(row.path) for row in ledger.models()}


def test_a_model_that_makes_way_is_known_at_its_place_in_history(run: Run) -> None:
    first = trained(1)
    assert places() == {first: run.path("model", "best.pth").resolve()}
    second = trained(2)
    third = trained(3)
    assert len({first, second, third}) == 3
    for version, path in places().items():
        assert load_checkpoint(path)[1].version == version
    assert places()[first] == run.path("history", "train", "1", "model", "best.pth").resolve()
    assert trained(3) == third
    assert places()[third] == run.path("model", "best.pth").resolve()


def test_a_training_is_judged_and_drawn(run: Run) -> None:
    def once() -> Mapping[str, float]:
        return train(Call(overrides=(*SETTINGS, "train.seed=1", "preprocess.split.seed=1"))).figures

    figures = once()
    assert {"val_mean_iou", "val_boundary_f1", "val_ece", "val_iou.plant", "val_dice.plant"} <= set(figures)
    assert run.read_metrics("train")["figures"] == figures
    for name in ("reliability.png", "worst.png"):
        assert run.path("model", "pictures", name).stat().st_size > 1000
    assert once() == figures
    told = run.read_metrics("train")
    run.write_metrics("train", {**told, "version": "of an earlier training", "figures": {"val_ece": 9.0}})
    assert once() == figures


def test_a_training_that_is_killed_leaves_no_wrong_path(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    first = trained(1)

    def killed(*_: object) -> TrainResult:
        raise KeyboardInterrupt

    monkeypatch.setattr(agir_cvtoolkit.stages.train, "fit", killed)
    with pytest.raises(KeyboardInterrupt):
        trained(2)
    assert load_checkpoint(places()[first])[1].version == first


@pytest.mark.parametrize(
    "setting",
    [
        "train.model.encoder_name=resnet34",
        "train.loss.class_weights=[1, 2, 3]",
        "train.device=cuda:63",
        "train.precision=16-mixed",
        "train.tracking.mlflow=runs",
    ],
)
def test_settings_that_are_refused_leave_the_model_where_it_is(
    run: Run, setting: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = trained(1)
    monkeypatch.setattr(agir_cvtoolkit.stages.train, "fit", segmentation.fit)
    monkeypatch.setitem(sys.modules, "mlflow", None)
    device = () if "device" in setting else ("train.device=cpu",)
    with pytest.raises(AgirError, match=r"resnet34|class_weights|cuda:63|16-mixed|mlflow"):
        train(Call(overrides=(*SETTINGS, "train.seed=1", "preprocess.split.seed=1", *device, setting)))
    assert load_checkpoint(run.path("model", "best.pth"))[1].version == first
    assert not run.path("history", "train").exists()


def test_the_champion_keeps_its_own_place(run: Run) -> None:
    first = trained(1)
    kept = promote().path
    trained(1)
    assert places()[first] == kept
    trained(2)
    assert places()[first] == kept
    assert [(m.version, m.path) for m in status().models if m.is_champion] == [(first, str(kept))]

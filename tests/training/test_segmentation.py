from __future__ import annotations

import csv
import io
import logging
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch")
pytest.importorskip("lightning")

from agir_cvtoolkit.config._training import (  # noqa: E402
    Augmentation,
    EarlyStop,
    Optimizer,
    Preprocess,
    Split,
    TileSize,
    Train,
    TrainModel,
)
from agir_cvtoolkit.errors import ConfigError, DataError, InterruptedByUser  # noqa: E402
from agir_cvtoolkit.models.card import read_card  # noqa: E402
from agir_cvtoolkit.models.checkpoint import load_checkpoint  # noqa: E402
from agir_cvtoolkit.training.pairs import DatasetClass, pairs_from_folders  # noqa: E402
from agir_cvtoolkit.training.preprocess import prepare  # noqa: E402
from agir_cvtoolkit.training.segmentation import fit  # noqa: E402

SETTINGS = Train(max_epochs=3, batch_size=3, device="cpu", optimizer=Optimizer(lr=5e-3))


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_dataset(tmp_path_factory.mktemp("data"), 1)


def make_dataset(root: Path, kinds: int) -> Path:
    """Blobs of one colour each on noise, so that a few steps are enough."""
    rng = np.random.default_rng(3)
    for folder in ("images", "masks"):
        (root / folder).mkdir()
    rows, columns = np.mgrid[:64, :64]
    for index in range(10):
        image = rng.normal((120, 95, 70), 25, (64, 64, 3))
        mask = np.zeros((64, 64), np.uint8)
        for kind in range(kinds):
            x, y = rng.uniform(14, 50, 2)
            inside = (columns - x) ** 2 + (rows - y) ** 2 < 130
            image[inside] = rng.normal(((50, 130, 40), (150, 40, 140))[kind], 20, (int(inside.sum()), 3))
            mask[inside] = (40, 90)[kind]
        Image.fromarray(image.clip(0, 255).astype(np.uint8)).save(root / "images" / f"p{index}.png")
        Image.fromarray(mask).save(root / "masks" / f"p{index}.png")
    pairs, _ = pairs_from_folders(root / "images", root / "masks")
    settings = Preprocess(size=TileSize(height=64, width=64), split=Split(train=0.6, val=0.2, test=0.2))
    classes = [DatasetClass(0, "background"), DatasetClass(40, "crop"), DatasetClass(90, "weed")]
    prepare(pairs, root / "dataset", settings, classes=classes if kinds == 2 else None)
    return root / "dataset"


class Steps:
    """Counts, and presses Ctrl-C after so many steps."""

    def __init__(self, stop_after: int | None = None) -> None:
        self.total = self.done = 0
        self.stop_after = stop_after

    def bar(self, _description: str, total: int) -> Steps:
        self.total = total
        return self

    def __enter__(self) -> Steps:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def advance(self, steps: int = 1) -> None:
        self.done += steps
        if self.done == self.stop_after:
            raise KeyboardInterrupt


def weights(path: Path) -> dict[str, Any]:
    return load_checkpoint(path)[0].state_dict()


def test_training_learns_and_leaves_model_card_and_history(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    steps, out, err = Steps(), io.StringIO(), io.StringIO()
    before = torch.random.get_rng_state()
    with redirect_stdout(out), redirect_stderr(err):
        result = fit(dataset, tmp_path / "model", SETTINGS.model_copy(update={"max_epochs": 6}), steps)
    assert (out.getvalue(), err.getvalue()) == ("", "")
    assert torch.equal(torch.random.get_rng_state(), before)
    assert not torch.are_deterministic_algorithms_enabled()
    assert logging.getLogger("lightning.pytorch").level != logging.ERROR
    assert steps.done == steps.total == 6 * (2 + 1)
    assert result.state == "trained"
    assert result.epochs == 6
    assert result.best_val_iou == max(e.val_iou for e in result.history) > 0.6
    assert result.history[-1].train_loss < result.history[0].train_loss
    assert sorted(p.name for p in tmp_path.iterdir()) == ["model"]
    names = sorted(p.name for p in result.best_path.parent.iterdir())
    assert names == ["best.pth", "card.json", "history.csv", "tensorboard", "training.json"]
    card = read_card(result.card_path)
    assert card == load_checkpoint(result.best_path)[1] == result.card
    assert card.classes == ("background", "plant")
    assert card.class_ids == (0, 255)
    assert card.tile_size == (64, 64)
    assert card.trained_on.splits == {"train": 6, "val": 2, "test": 2}
    assert card.metrics["val_iou"] == result.best_val_iou
    assert card.metrics["test_iou"] > 0.4
    with (result.best_path.parent / "history.csv").open() as stream:
        lines = list(csv.DictReader(stream))
    assert [int(line["number"]) for line in lines] == [1, 2, 3, 4, 5, 6]


def test_a_killed_training_ends_as_an_undisturbed_one(dataset: Path, tmp_path: Path) -> None:
    whole = fit(dataset, tmp_path / "whole", SETTINGS)
    with pytest.raises(InterruptedByUser):
        fit(dataset, tmp_path / "killed", SETTINGS, Steps(stop_after=5))
    assert (tmp_path / "killed" / "last.ckpt").is_file()
    steps = Steps()
    again = fit(dataset, tmp_path / "killed", SETTINGS, steps)
    assert again.state == "continued"
    assert steps.done == 2 * (2 + 1)
    assert [(e.train_loss, e.val_iou) for e in again.history] == [
        (e.train_loss, e.val_iou) for e in whole.history
    ]
    assert again.card.version == whole.card.version
    first, second = weights(whole.best_path), weights(again.best_path)
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_a_finished_training_is_not_repeated_and_another_one_begins_anew(
    dataset: Path, tmp_path: Path
) -> None:
    settings = SETTINGS.model_copy(update={"max_epochs": 1})
    first = fit(dataset, tmp_path, settings)
    stamp = first.best_path.stat().st_mtime_ns
    again = fit(dataset, tmp_path, settings.model_copy(update={"num_workers": 0}), Steps(stop_after=1))
    assert again.state == "unchanged"
    assert first.best_path.stat().st_mtime_ns == stamp
    assert again.card == first.card
    other = fit(dataset, tmp_path, settings.model_copy(update={"seed": 7}))
    assert other.state == "trained"
    assert other.card.version != first.card.version


def test_the_resume_file_of_another_training_or_a_torn_one_is_not_continued(
    dataset: Path, tmp_path: Path
) -> None:
    with pytest.raises(InterruptedByUser):
        fit(dataset, tmp_path, SETTINGS, Steps(stop_after=5))
    result = fit(dataset, tmp_path, SETTINGS.model_copy(update={"max_epochs": 1}))
    assert (result.state, result.epochs) == ("trained", 1)
    (tmp_path / "last.ckpt").write_bytes(b"torn")
    assert fit(dataset, tmp_path, SETTINGS.model_copy(update={"max_epochs": 1, "seed": 1})).state == "trained"


def test_several_classes_are_told_apart(tmp_path: Path) -> None:
    settings = SETTINGS.model_copy(update={"max_epochs": 8})
    result = fit(make_dataset(tmp_path, 2), tmp_path / "model", settings)
    assert result.card.classes == ("background", "crop", "weed")
    assert result.card.class_ids == (0, 40, 90)
    assert result.card.metrics["val_iou.crop"] > 0.4
    assert result.card.metrics["val_iou.weed"] > 0.4


def test_training_stops_when_nothing_improves(dataset: Path, tmp_path: Path) -> None:
    settings = SETTINGS.model_copy(
        update={"max_epochs": 9, "early_stop": EarlyStop(patience=2, min_delta=0.9), "num_workers": 0}
    )
    result = fit(dataset, tmp_path, settings)
    assert result.stopped_early
    assert result.best_epoch == 1
    assert result.epochs == 3
    assert result.best_val_iou == result.history[0].val_iou


def test_a_training_that_stopped_early_and_was_killed_before_its_end_trains_no_more(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from agir_cvtoolkit.training import trainer

    settings = SETTINGS.model_copy(
        update={"max_epochs": 9, "early_stop": EarlyStop(patience=1, min_delta=0.9), "num_workers": 0}
    )

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(trainer, "_with_test_scores", killed)
        with pytest.raises(KeyboardInterrupt):
            fit(dataset, tmp_path, settings)
    again = fit(dataset, tmp_path, settings)
    assert (again.state, again.epochs, again.best_epoch) == ("continued", 2, 1)
    assert again.stopped_early
    assert "test_iou" in again.card.metrics


def test_a_frozen_encoder_keeps_its_weights(dataset: Path, tmp_path: Path) -> None:
    from agir_cvtoolkit.models.card import ArchSpec
    from agir_cvtoolkit.models.encoders import build_encoder

    pretrained = build_encoder(ArchSpec()).state_dict()

    def moved(model: TrainModel, name: str) -> set[str]:
        settings = SETTINGS.model_copy(update={"max_epochs": 1, "model": model})
        trained = weights(fit(dataset, tmp_path / name, settings).best_path)
        return {k for k, v in pretrained.items() if not torch.equal(v, trained[f"encoder.{k}"])}

    assert moved(TrainModel(encoder_freeze=True), "frozen") == set()
    assert moved(TrainModel(encoder_freeze_epochs=1), "later") == set()
    free = moved(TrainModel(), "free")
    assert free
    assert not [k for k in free if "running" in k or "num_batches" in k]


def test_without_augmentation_and_weights_it_trains_too(dataset: Path, tmp_path: Path) -> None:
    settings = Train(
        max_epochs=1, batch_size=2, device="cpu", use_data_augmentation=False,
        augmentation=Augmentation(), model=TrainModel(encoder_weights=None, arch_name="Unet"),
    )  # fmt: skip
    result = fit(dataset, tmp_path, settings)
    assert result.card.architecture.encoder_weights is None
    assert result.card.architecture.name == "unet"


def test_loading_in_other_processes_gives_the_same_model(dataset: Path, tmp_path: Path) -> None:
    settings = SETTINGS.model_copy(update={"max_epochs": 2})
    first = fit(dataset, tmp_path / "none", settings)
    second = fit(dataset, tmp_path / "two", settings.model_copy(update={"num_workers": 2}))
    assert first.card.version == second.card.version


def test_wrong_settings_and_data_end_in_clear_errors(dataset: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="Did you mean 'unet'"):
        fit(dataset, tmp_path, SETTINGS.model_copy(update={"model": TrainModel(arch_name="unnet")}))
    with pytest.raises(DataError, match="agir-cvtoolkit preprocess"):
        fit(tmp_path / "nothing", tmp_path, SETTINGS)
    if not torch.cuda.is_available():
        with pytest.raises(ConfigError, match=r"train\.device=cpu"):
            fit(dataset, tmp_path, SETTINGS.model_copy(update={"device": "cuda"}))


def test_a_training_that_diverges_says_so(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from agir_cvtoolkit.training import learner

    monkeypatch.setattr(learner, "segmentation_loss", lambda logits, *_: logits.sum() * float("nan"))
    with pytest.raises(DataError, match=r"diverged in epoch 1.*train\.optimizer\.lr"):
        fit(dataset, tmp_path, SETTINGS)


def test_a_damaged_tile_is_named(tmp_path: Path) -> None:
    root = make_dataset(tmp_path, 1)
    tile = next((root / "masks").iterdir())
    Image.fromarray(np.full((64, 64), 3, np.uint8)).save(tile)
    with pytest.raises(DataError, match=tile.stem):
        fit(root, tmp_path / "model", SETTINGS)


def test_a_score_on_the_pictures_of_the_training_says_so(tmp_path: Path) -> None:
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
    ground = np.full((64, 64, 3), 90, dtype=np.uint8)
    mask = np.zeros((64, 64), dtype=np.uint8)
    ground[20:40, 20:40], mask[20:40, 20:40] = (40, 140, 30), 1
    Image.fromarray(ground).save(tmp_path / "images" / "p.png")
    Image.fromarray(mask).save(tmp_path / "masks" / "p.png")
    pairs, _ = pairs_from_folders(tmp_path / "images", tmp_path / "masks")
    prepare(pairs, tmp_path / "dataset", Preprocess(size=TileSize(height=64, width=64)))
    settings = SETTINGS.model_copy(update={"max_epochs": 1, "model": TrainModel(encoder_weights=None)})
    result = fit(tmp_path / "dataset", tmp_path / "model", settings)
    assert "same pictures" in result.warning
    assert read_card(result.card_path).trained_on.warning == result.warning

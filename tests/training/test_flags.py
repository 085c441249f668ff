"""Every flag of the group ``train`` acts."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import yaml

torch = pytest.importorskip("torch")
pytest.importorskip("lightning")

from agir_cvtoolkit.config._training import Augmentation, Train  # noqa: E402
from agir_cvtoolkit.errors import ConfigError, DataError, MissingExtraError, UsageError  # noqa: E402
from agir_cvtoolkit.training.segmentation import fit, follow  # noqa: E402
from tests.ports import free_port  # noqa: E402

from .test_segmentation import make_dataset  # noqa: E402

SMALL: dict[str, Any] = {
    "max_epochs": 1,
    "batch_size": 2,
    "device": "cpu",
    "model": {"arch_name": "fpn"},
    "tracking": {"tensorboard": False},
}

MIX_TRANSFORMER = {"arch_name": "segformer", "encoder_name": "mit_b0", "encoder_weights": None}
"""It drops channels in its head and paths in its encoder."""

CHANGED: dict[str, Any] = {
    "seed": 7,
    "max_epochs": 2,
    "batch_size": 6,
    "model.arch_name": "deeplabv3plus",
    "model.encoder_weights": None,
    "normalization": "dataset",
    "optimizer.lr": 0.001,
    "optimizer.weight_decay": 0.9,
    "optimizer.encoder_lr_factor": 1.0,
    "optimizer.schedule": "poly",
    "optimizer.warmup": 0.9,
    "optimizer.clip_norm": 0.01,
    "loss.class_weights": [1, 5, 9],
}
"""Values that make another model."""
ELSEWHERE = {
    "num_workers": "test_loading_in_other_processes_gives_the_same_model",
    "device": "test_wrong_settings_and_data_end_in_clear_errors",
    "processes": "test_two_processes_train_as_one",
    "nodes": "test_nodes_wait_for_each_other_and_train_as_one",
    "auto_preprocess": "tests/stages/test_train.py",
    "model.encoder_name": "tests/models/test_architectures.py",
    "model.remembered_variations": "test_remembered_features_change_nothing",
    "precision": "test_half_precision_reaches_the_network",
    "use_data_augmentation": "tests/training/test_batches.py",
    "model.encoder_freeze": "test_a_frozen_encoder_keeps_its_weights",
    "model.encoder_freeze_epochs": "test_a_frozen_encoder_keeps_its_weights",
    **dict.fromkeys(
        (f"loss.{part}" for part in ("cross_entropy", "dice", "focal", "focal_gamma", "lovasz")),
        "tests/training/test_losses.py",
    ),
    **dict.fromkeys(
        (f"augmentation.{name}" for name in Augmentation.model_fields), "tests/training/test_batches.py"
    ),
    "early_stop.patience": "test_training_stops_when_nothing_improves",
    "early_stop.min_delta": "test_training_stops_when_nothing_improves",
    "tracking.tensorboard": "test_tensorboard_gets_each_epoch",
    "tracking.wandb": "test_a_tracker_that_is_not_installed_names_its_extra",
    "tracking.mlflow": "test_a_tracker_that_is_not_installed_names_its_extra",
}
"""Flags with a test of their own."""


def with_flag(name: str | None = None, value: Any = None) -> Train:
    content = {key: dict(part) if isinstance(part, dict) else part for key, part in SMALL.items()}
    if name is not None:
        group, _, key = name.rpartition(".")
        (content.setdefault(group, {}) if group else content)[key] = value
    return Train(**content)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_dataset(tmp_path_factory.mktemp("flags"), 2)


@pytest.fixture(scope="module")
def plain(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    return fit(dataset, tmp_path_factory.mktemp("plain"), with_flag()).card.version


def test_no_flag_is_forgotten() -> None:
    text = (files("agir_cvtoolkit") / "conf" / "train" / "default.yaml").read_text(encoding="utf-8")
    assert sorted(flags(yaml.safe_load(text))) == sorted([*CHANGED, *ELSEWHERE])


def flags(content: dict[str, Any], before: str = "") -> list[str]:
    found = []
    for key, value in content.items():
        found += flags(value, f"{before}{key}.") if isinstance(value, dict) else [f"{before}{key}"]
    return found


@pytest.mark.parametrize("flag", CHANGED)
def test_a_flag_makes_another_model(flag: str, plain: str, dataset: Path, tmp_path: Path) -> None:
    found = fit(dataset, tmp_path, with_flag(flag, CHANGED[flag]))
    assert found.card.version != plain


def test_the_same_flags_make_the_same_model(plain: str, dataset: Path, tmp_path: Path) -> None:
    assert fit(dataset, tmp_path, with_flag()).card.version == plain


def test_remembered_features_change_nothing(dataset: Path, tmp_path: Path) -> None:
    def losses(variations: int) -> list[float]:
        model = {"arch_name": "fpn", "encoder_freeze": True, "remembered_variations": variations}
        settings = Train(**SMALL | {"model": model, "max_epochs": 2})
        result = fit(dataset, tmp_path / str(variations), settings)
        assert not (tmp_path / str(variations) / "remembered").exists()
        return [epoch.train_loss for epoch in result.history]

    anew = losses(0)
    assert losses(2) == pytest.approx(anew, rel=1e-3)
    once = losses(1)
    assert once[0] == pytest.approx(anew[0], rel=1e-3)
    assert once[1] != pytest.approx(anew[1], rel=1e-3)


def test_half_precision_reaches_the_network(dataset: Path, tmp_path: Path) -> None:
    from agir_cvtoolkit.training.losses import segmentation_loss as whole

    kinds = set()

    def seen(logits: Any, *rest: Any) -> Any:
        kinds.add(logits.dtype)
        return whole(logits, *rest)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("agir_cvtoolkit.training.learner.segmentation_loss", seen)
        fit(dataset, tmp_path / "half", with_flag("precision", "bf16-mixed"))
        assert kinds == {torch.bfloat16}
        kinds.clear()
        fit(dataset, tmp_path / "whole", with_flag())
        assert kinds == {torch.float32}
    if not torch.cuda.is_available():
        with pytest.raises(ConfigError, match=r"train\.precision=bf16-mixed"):
            fit(dataset, tmp_path / "none", with_flag("precision", "16-mixed"))


def test_tensorboard_gets_each_epoch(dataset: Path, tmp_path: Path) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    settings = Train(**SMALL | {"max_epochs": 2, "tracking": {"tensorboard": True}})
    result = fit(dataset, tmp_path, settings)
    events = accumulator.EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert [e.step for e in events.Scalars("val_iou.crop")] == [1, 2]
    found = [e.value for e in events.Scalars("val_iou")]
    assert found == pytest.approx([epoch.val_iou for epoch in result.history])
    with (tmp_path / "history.csv").open() as stream:
        lines = list(csv.DictReader(stream))
    assert [float(line["val_iou.weed"]) for line in lines] == pytest.approx(
        [epoch.val_iou_by_class[2] or 0.0 for epoch in result.history], abs=1e-6
    )


@pytest.mark.parametrize("name", ["wandb", "mlflow"])
def test_a_tracker_that_is_not_installed_names_its_extra(name: str, dataset: Path, tmp_path: Path) -> None:
    from importlib.util import find_spec

    if find_spec(name) is not None:
        pytest.skip(f"{name} is installed")
    with pytest.raises(MissingExtraError, match=rf"pip install 'agir-cvtoolkit\[{name}\]'"):
        fit(dataset, tmp_path, with_flag(f"tracking.{name}", "somewhere"))


def test_two_processes_train_as_one(dataset: Path, tmp_path: Path) -> None:
    def trained(processes: int) -> Any:
        settings = {"processes": processes, "model": MIX_TRANSFORMER}
        return fit(dataset, tmp_path / str(processes), Train(**SMALL | settings))

    one, two = trained(1), trained(2)
    (first,), (second,) = one.history, two.history
    assert second.train_loss == pytest.approx(first.train_loss, rel=1e-4)
    assert second.val_iou == pytest.approx(first.val_iou, abs=2e-3)
    assert two.card.metrics["test_iou"] == pytest.approx(one.card.metrics["test_iou"], abs=2e-3)


NODE = """
import sys
from pathlib import Path
import torch
torch.set_num_threads(1)
from agir_cvtoolkit.config._training import Train
from agir_cvtoolkit.training.nodes import rank
from agir_cvtoolkit.training.segmentation import fit, follow
dataset = Path(sys.argv[1])
for out, text in zip(sys.argv[2::2], sys.argv[3::2]):
    settings = Train.model_validate_json(text)
    if rank():
        follow(dataset, Path(out), settings)
    else:
        result = fit(dataset, Path(out), settings)
        epoch = result.history[0]
        print(epoch.train_loss, epoch.val_iou, result.card.metrics["test_iou"])
"""


@pytest.mark.slow
def test_nodes_wait_for_each_other_and_train_as_one(dataset: Path, tmp_path: Path) -> None:
    trainings = {
        name: Train(**SMALL | {"nodes": 2, "model": {"arch_name": name}}) for name in ("unet", "fpn")
    }
    words = [str(word) for name, s in trainings.items() for word in (tmp_path / name, s.model_dump_json())]
    port = free_port()
    started = []
    for number in (1, 0):
        launched: dict[str, object] = {"RANK": number, "GROUP_RANK": number, "LOCAL_RANK": 0, "WORLD_SIZE": 2}
        launched |= {"LOCAL_WORLD_SIZE": 1, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        started.append(
            subprocess.Popen(
                [sys.executable, "-c", NODE, dataset, *words],
                env={**os.environ, "TORCHELASTIC_RUN_ID": "a", **{k: str(v) for k, v in launched.items()}},
                stdout=subprocess.PIPE,
            )
        )
    said = [process.communicate(timeout=600)[0] for process in started]
    assert [process.returncode for process in started] == [0, 0]
    lines = said[1].splitlines()
    for (name, settings), line in zip(trainings.items(), lines, strict=True):
        alone = fit(dataset, tmp_path / f"{name} alone", settings.model_copy(update={"nodes": 1}))
        loss, iou, test_iou = map(float, line.split())
        assert loss == pytest.approx(alone.history[0].train_loss, rel=1e-4)
        assert iou == pytest.approx(alone.history[0].val_iou, abs=2e-3)
        assert test_iou == pytest.approx(alone.card.metrics["test_iou"], abs=2e-3)
        assert not (tmp_path / name / "nodes.json").exists()


def test_nodes_need_somebody_who_starts_them(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from agir_cvtoolkit.training import nodes

    for name in ("RANK", "SLURM_PROCID"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(UsageError, match="srun"):
        nodes.rank()
    monkeypatch.setenv("SLURM_PROCID", "3")
    assert nodes.rank() == 3
    monkeypatch.setattr(nodes, "_LONGEST_S", 0.3)
    monkeypatch.setenv("SLURM_JOB_ID", "other")
    nodes.call_the_others(tmp_path, "key", continued=False)
    monkeypatch.setenv("SLURM_JOB_ID", "mine")
    with pytest.raises(DataError, match="says nothing"):
        nodes.wait_for_the_first(tmp_path)
    nodes.call_the_others(tmp_path, "key", continued=True)
    with pytest.raises(DataError, match="other settings than the first one"):
        follow(dataset, tmp_path, with_flag())


def test_nodes_wait_for_no_training_that_was_finished_before(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from agir_cvtoolkit.training import nodes, segmentation

    earlier = object()
    monkeypatch.setattr(segmentation, "_finished", lambda *_: earlier)
    monkeypatch.setattr(nodes, "_LONGEST_S", 0.3)
    settings = with_flag("nodes", 2)
    assert fit(dataset, tmp_path, settings) is earlier
    follow(dataset, tmp_path, settings)

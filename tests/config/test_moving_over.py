"""Every configuration key of AgIR-CVToolkit keeps its name or is refused with what to use instead."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import ValidationError

from agir_cvtoolkit.config import RETIRED, Settings, load_settings, settings_keys
from agir_cvtoolkit.config._explanations import explained
from agir_cvtoolkit.errors import ConfigError

KEPT = [
    "io.out_root=x",
    "io.keys_file=x",
    "io.semif_storage_dir=x",
    "io.field_storage_dir=x",
    "db.semif.db_path=x",
    "db.semif.table=x",
    "db.field.db_path=x",
    "db.field.table=x",
    "data.semif.path_column=x",
    "data.semif.id_column=x",
    "data.semif.cutout_id_column=x",
    "data.semif.common_name_column=x",
    "data.field.path_column=x",
    "data.field.id_column=x",
    "data.field.cutout_id_column=x",
    "data.field.common_name_column=x",
    "project.name=x",
    "project.subname=x",
    "seg_inference.source.db=field",
    "seg_inference.source.image_mode=cutout",
    "seg_inference.model.ckpt_path=x",
    "seg_inference.tile.height=1024",
    "seg_inference.tile.width=1024",
    "seg_inference.tile.overlap=0.5",
    "seg_inference.tile.pad_mode=constant",
    "seg_inference.post_process.threshold=0.6",
    "seg_inference.post_process.min_area=5",
    "seg_inference.post_process.edge_occupancy_threshold=0.5",
    "seg_inference.output.save_masks=false",
    "seg_inference.output.save_images=false",
    "seg_inference.output.save_cutouts=true",
    "seg_inference.output.save_viz=true",
    "seg_inference.output.cutout_use_rgba=true",
    "seg_inference.output.save_colorized_masks=true",
    "seg_inference.output.colorize_brightness=6.5",
    "seg_inference.output.colorize_rgb_field=category_rgb",
    "seg_inference.output.colorize_fallback_rgb=[1,2,3]",
    "seg_inference.visualization.overlay_alpha=0.4",
    "cvat_upload.project_id=319384",
    "cvat_upload.organization_slug=PSA",
    "cvat_upload.task_name=x",
    "cvat_upload.labels=[weed]",
    "cvat_upload.mask_strategy=polygon",
    "cvat_upload.source.type=detections",
    "cvat_upload.source.db=field",
    "cvat_upload.label_map._default=weed",
    "cvat_download.organization_slug=PSA",
    "cvat_download.project_id=319384",
    "cvat_download.task_ids=[1]",
    "cvat_download.required_status=null",
    "cvat_download.include_images=true",
    "cvat_download.dataset_format=CamVid 1.0",
    "cvat_download.overwrite_existing=true",
    "preprocess.source.type=inference_results",
    "preprocess.source.tasks=[1]",
    "preprocess.source.custom_images_dir=x",
    "preprocess.source.custom_masks_dir=x",
    "preprocess.size.height=2048",
    "preprocess.size.width=2048",
    "preprocess.ignore_empty_data=true",
    "preprocess.pad.enabled=true",
    "preprocess.pad.mode=constant",
    "preprocess.pad.fill=0",
    "preprocess.grid_crop.enabled=true",
    "preprocess.grid_crop.stride=512",
    "preprocess.grid_crop.threshold=2.5",
    "preprocess.resize.enabled=true",
    "preprocess.resize.interpolation.image=BILINEAR",
    "preprocess.split.enabled=true",
    "preprocess.split.train=0.8",
    "preprocess.split.val=0.15",
    "preprocess.split.test=0.05",
    "preprocess.split.seed=1",
    "train.seed=42",
    "train.max_epochs=100",
    "train.batch_size=8",
    "train.num_workers=4",
    "train.use_data_augmentation=true",
    "train.auto_preprocess=true",
    "train.model.arch_name=unet",
    "train.model.encoder_name=efficientnet_lite0",
    "train.model.encoder_weights=imagenet",
    "train.model.encoder_freeze=true",
    "train.optimizer.lr=0.001",
    "train.optimizer.weight_decay=0.0001",
    "train.early_stop.patience=10",
]

REFUSED = [
    "seg_inference.source.type",
    "seg_inference.source.filters.state",
    "seg_inference.source.sample.strategy",
    "seg_inference.source.sample.by",
    "seg_inference.source.sample.per_group",
    "seg_inference.source.sample.n",
    "seg_inference.source.sample.seed",
    "seg_inference.source.limit",
    "seg_inference.gpu.max_gpus",
    "seg_inference.gpu.exclude_ids",
    "seg_inference.model.arch",
    "seg_inference.model.encoder_name",
    "seg_inference.model.in_channels",
    "seg_inference.model.num_classes",
    "seg_inference.model.encoder_weights",
    "seg_inference.model.pad_divisor",
    "seg_inference.model.strict_load",
    "seg_inference.model.normalization.mean",
    "seg_inference.model.normalization.std",
    "seg_inference.visualization.enabled",
    "seg_inference.output.save_visualizations",
    "seg_inference.output.cutout_rgba_transparent",
    "cvat_upload.project_name",
    "cvat_download.check_image_exists",
    "preprocess.source.db",
    "preprocess.resolve_images.enabled",
    "preprocess.pad_gridcrop_resize.enabled",
    "preprocess.pad_gridcrop_resize.use_concurrency",
    "preprocess.pad_gridcrop_resize.num_workers",
    "preprocess.remove_src",
    "preprocess.resize.interpolation.mask",
    "preprocess.split.remove_src",
    "preprocess.split.use_concurrency",
    "preprocess.split.num_workers",
    "preprocess.compute_data_stats.enabled",
    "preprocess.compute_data_stats.use_concurrency",
    "preprocess.compute_data_stats.num_workers",
    "train.pin_memory",
    "train.use_data_normalization",
    "train.use_multi_gpu",
    "train.gpu.max_gpus",
    "train.gpu.exclude_ids",
    "train.model.in_channels",
    "train.model.classes",
    "train.model.decoder_attention_type",
    "train.optimizer._target_",
    "train.scheduler._target_",
    "train.scheduler.mode",
    "train.scheduler.factor",
    "train.scheduler.patience",
    "train.scheduler.min_lr",
    "train.checkpoint.monitor",
    "train.checkpoint.mode",
    "train.checkpoint.save_top_k",
    "train.checkpoint.save_last",
    "train.early_stop.monitor",
    "train.early_stop.mode",
    "train.trainer.accelerator",
    "train.trainer.precision",
    "train.trainer.deterministic",
    "train.trainer.strategy",
    "train.logger.csv.enable",
    "train.logger.wandb.enable",
    "train.dataloader_visualizer.enabled",
    "train.augmentation_visualizer.enabled",
    "train.train_images_dir",
    "train.train_masks_dir",
    "train.val_images_dir",
    "train.val_masks_dir",
    "train.test_images_dir",
    "train.test_masks_dir",
    "train.project_datastats_dir",
    "augment.train",
    "augment.val",
    "augment.img_size",
    "working_dir",
    "runtime",
    "paths",
    "query",
    "seed",
]


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_the_keys_that_keep_their_names_work() -> None:
    settings = load_settings(KEPT)
    for override in KEPT:
        assert settings.is_explicit(override.split("=")[0])


@pytest.mark.parametrize("key", REFUSED)
def test_a_key_that_is_gone_says_what_to_use_instead(key: str) -> None:
    with pytest.raises(ConfigError, match="is not a setting of this version") as caught:
        load_settings([f"++{key}=1"])
    assert caught.value.next_step.startswith("Instead: ")


@pytest.mark.parametrize("key", REFUSED)
def test_a_key_that_is_gone_is_refused_in_a_file_too(key: str) -> None:
    tree: object = 1
    for part in reversed(key.split(".")):
        tree = {part: tree}
    with pytest.raises(ValidationError) as caught:
        Settings.model_validate(tree)
    error = explained(caught.value, {})
    assert "is not a setting of this version" in error.problem
    assert error.next_step.startswith("Instead: ")


def test_a_file_with_a_key_that_is_gone_is_named() -> None:
    path = Path("conf/train/default.yaml")
    path.parent.mkdir(parents=True)
    path.write_text("trainer:\n  accelerator: auto\n")
    with pytest.raises(ConfigError, match=r"train\.trainer \(conf/train/default\.yaml\) is not a setting"):
        load_settings()


def test_no_key_is_both_known_and_refused() -> None:
    known = settings_keys()
    for retired in RETIRED:
        assert not [key for key in known if key == retired or key.startswith(retired + ".")]


def test_new_names_that_are_given_exist() -> None:
    known = settings_keys()
    groups = tuple({key.split(".")[0] for key in known})
    for key, text in RETIRED.items():
        for name in re.findall(rf"\b(?:{'|'.join(groups)})\.[\w.]+\b", text):
            assert any(k == name or k.startswith(name + ".") for k in known), (key, name)

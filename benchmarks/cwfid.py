"""Learning on real pictures: crop, weed and background in the Crop/Weed Field Image Dataset (Haug & Ostermann 2014).

The data set is not part of this package: give its folder, with ``images/*.jpg`` and ``labels/*.png`` (0 background,
1 crop, 2 weed). The split by picture is ``cwfid_split.json``: 29 to learn from (6 of them to choose the epoch), 10 to
test on. They are predicted as ``infer-seg`` does, in overlapping tiles, of the size that was trained on; scores are
counted over all their pixels at full size.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from agir_cvtoolkit import Call, train
from agir_cvtoolkit.inference.tiling import Tiling, blended_bands, predicted_tiles
from agir_cvtoolkit.inference.torch_predictor import TorchPredictor, open_torch
from agir_cvtoolkit.pictures import load_mask, load_rgb, save_png
from agir_cvtoolkit.reporting.class_sheet import painted
from agir_cvtoolkit.runs import read_json_object, start_run, write_json
from agir_cvtoolkit.training.scores import Scores, scores_of

from ._table import Row, finish, parser

TITLE = "Mean IoU over crop, weed and background on pictures that were not trained on"
LEAST, LONGEST_S = 0.75, 20 * 60
SPLIT = Path(__file__).with_name("cwfid_split.json")
CLASSES = ("background", "crop", "weed")
SETTINGS = (
    "preprocess.source.type=custom",
    "preprocess.classes=labels",
    "preprocess.size={height: 352, width: 352}",
    f"preprocess.split.listed={SPLIT}",
    "preprocess.split.near_duplicates=null",
    "train.model.arch_name=fpn",
    "train.model.encoder_freeze=true",
    "train.optimizer.lr=0.005",
    "train.loss={cross_entropy: 0.5, dice: 0.0, lovasz: 0.5}",
    "train.augmentation.shadow=0.1",
    "train.early_stop.patience=null",
    "train.device=cpu",
)


@dataclass(frozen=True)
class Learned:
    """One training: what it scores on the test pictures, and how long it took with everything before it."""

    scores: Scores
    seconds: float
    model: Path


def options_of(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the options."""
    made = parser(__doc__ or "")
    made.add_argument("--data", type=Path, required=True, metavar="DIR", help="folder of the data set")
    made.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="of the trainings")
    made.add_argument("--epochs", type=int, default=12, help="of each training")
    made.add_argument("--keep", type=Path, default=None, metavar="DIR", help="keep models and overlays there")
    return made.parse_args(arguments)


def measure(options: argparse.Namespace) -> list[Row]:
    """Train once per seed and score each model."""
    found = []
    with tempfile.TemporaryDirectory() as temporary:
        for seed in options.seeds:
            root = (options.keep or Path(temporary)).absolute()
            found.append(learn(options.data.absolute(), root, seed, options.epochs))
            if options.keep is not None:
                draw(options.data, found[-1].model, root / f"overlays-{seed}")
    rows = [
        Row(
            f"seed {seed}: {', '.join(_by_class(one.scores))}",
            "",
            f"{one.scores.mean_iou:.3f}",
            f"{one.seconds:.0f} s",
            f"at most {LONGEST_S} s",
            one.seconds <= LONGEST_S,
        )
        for seed, one in zip(options.seeds, found, strict=True)
    ]
    means = [one.scores.mean_iou for one in found]
    spread = f"sd {statistics.stdev(means):.3f}" if len(means) > 1 else ""
    mean = statistics.mean(means)
    total = Row(f"mean of {len(means)} seeds", "", f"{mean:.3f}", spread, f"at least {LEAST}", mean >= LEAST)
    return [*rows, total]


def learn(data: Path, root: Path, seed: int, epochs: int) -> Learned:
    """Make the data set, train, and score the model on the test pictures."""
    started = time.perf_counter()
    out_root = root / "outputs" / "runs"
    run = start_run(out_root, f"cwfid/{seed}")
    listed = [{"id": number, "name": name} for number, name in enumerate(CLASSES)]
    write_json(run.path("dataset", "classes.json"), {"classes": listed})
    result = train(
        Call(
            overrides=(
                *SETTINGS,
                f"preprocess.source.custom_images_dir={data / 'images'}",
                f"preprocess.source.custom_masks_dir={data / 'labels'}",
                f"io.out_root={out_root}",
                f"train.seed={seed}",
                f"train.max_epochs={epochs}",
            ),
            run=run.run_id,
        )
    )
    seconds = time.perf_counter() - started
    return Learned(score(data, result.best_checkpoint), seconds, result.best_checkpoint)


def score(data: Path, model: Path) -> Scores:
    """Score a model on the whole test pictures."""
    predictor = open_torch(model, "cpu")
    counted = np.zeros((len(CLASSES), len(CLASSES)), dtype=np.int64)
    for name in read_json_object(SPLIT)["test"]:
        rgb = load_rgb(data / "images" / f"{name}.jpg")
        labels = load_mask(data / "labels" / f"{name}.png", (rgb.shape[1], rgb.shape[0])).astype(np.int64)
        joined = labels * len(CLASSES) + _said(predictor, rgb)
        counted += np.bincount(joined.reshape(-1), minlength=counted.size).reshape(counted.shape)
    return scores_of(counted)


def draw(data: Path, model: Path, folder: Path) -> None:
    """Lay what a model says over each test picture, beside the truth."""
    predictor = open_torch(model, "cpu")
    for name in read_json_object(SPLIT)["test"]:
        rgb = load_rgb(data / "images" / f"{name}.jpg")
        truth = load_mask(data / "labels" / f"{name}.png", (rgb.shape[1], rgb.shape[0]))
        said = _said(predictor, rgb)
        folder.mkdir(parents=True, exist_ok=True)
        save_png(np.concatenate([painted(rgb, truth), painted(rgb, said)], axis=1), folder / f"{name}.png")


def _said(predictor: TorchPredictor, rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    height, width = predictor.card.tile_size
    tiling = Tiling(height, width)
    batches = predicted_tiles(predictor, rgb, tiling)
    bands = blended_bands(batches, len(CLASSES), (rgb.shape[1], rgb.shape[0]), tiling)
    return np.concatenate([band.probabilities.argmax(axis=0).astype(np.uint8) for band in bands])


def _by_class(scores: Scores) -> list[str]:
    return [
        f"{name} {'-' if iou is None else f'{iou:.3f}'}"
        for name, iou in zip(CLASSES, scores.iou_by_class, strict=True)
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and return 1 when a gate is missed."""
    options = options_of(arguments)
    return finish(TITLE, measure(options), options.json_file)


if __name__ == "__main__":
    sys.exit(main())

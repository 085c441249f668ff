from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytest

from agir_cvtoolkit import Call
from agir_cvtoolkit.ledger import Ledger, SelectionRow
from agir_cvtoolkit.pictures import save_png
from agir_cvtoolkit.runs import Run, start_run
from agir_cvtoolkit.stages import benefit
from agir_cvtoolkit.stages.benefit import measure_benefit
from agir_cvtoolkit.training.frozen_pixels import PixelLearner, PixelSettings

SIDE = 64


@pytest.fixture(scope="module")
def labels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Draw 16 pictures: those drawn at random show soil, those that were chosen leaves."""
    folder = tmp_path_factory.mktemp("labels")
    rng = np.random.default_rng(5)
    rows, columns = np.mgrid[:SIDE, :SIDE]
    for number in range(16):
        rgb = rng.normal((120, 90, 70), 12, (SIDE, SIDE, 3))
        mask = np.zeros((SIDE, SIDE), dtype=np.uint8)
        for _ in range(4 if number >= 8 else 1):
            y, x = rng.integers(12, SIDE - 12, 2)
            leaf = (rows - y) ** 2 + (columns - x) ** 2 < (10 if number >= 8 else 5) ** 2
            rgb[leaf], mask[leaf] = (60, 150, 50), 1
        for name in ("images", "labels"):
            (folder / name).mkdir(exist_ok=True)
        save_png(rgb.clip(0, 255).astype(np.uint8), folder / "images" / f"p{number:02d}.png")
        save_png(mask, folder / "labels" / f"p{number:02d}.png")
    return folder


def measured(labels: Path, root: Path, control: int) -> tuple[Call, Run]:
    call = Call(
        (
            f"io.out_root={root / 'runs'}",
            "preprocess.source.type=custom",
            f"preprocess.source.custom_images_dir={labels / 'images'}",
            f"preprocess.source.custom_masks_dir={labels / 'labels'}",
        )
    )
    settings = call.settings()
    run = start_run(Path(settings.io.out_root), "r")
    rows = [
        SelectionRow(
            run_id=run.run_id,
            batch=1,
            unit_id=f"p{number:02d}",
            record_id=f"p{number:02d}",
            region=None,
            control=number < control,
            rank=number + 1,
            score=0.5,
            strategy="class-doubt",
            rule="",
            seed=0,
            model="m",
        )
        for number in range(16)
    ]
    with Ledger.open(settings.io.ledger_url, settings.io.out_root) as ledger:
        ledger.record_selection(run.run_id, 1, rows)
    return call, run


def test_as_many_chosen_labels_as_random_ones_are_compared_on_pictures_of_neither(
    labels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What they learn is no matter here.
    monkeypatch.setattr(benefit, "PixelLearner", partial(PixelLearner, settings=PixelSettings(steps=4)))
    call, run = measured(labels, tmp_path, control=8)
    found = measure_benefit(run, call.settings(), seeds=3)
    assert [curve.strategy for curve in found.curves] == ["random", "chosen"]
    assert [point.labels for point in found.curves[0].points] == [2, 4]
    assert (found.tested, found.tested_on) == (8, "control pictures that were held out")
    assert found.verdict in {"gain", "loss", "no gain so far"}
    difference = found.curves[1].points[-1].difference
    assert difference is not None
    assert difference.count == 3
    assert found.words[0].startswith("With 4 labels each, random choice would have brought mean IoU")
    assert found.words[-1].startswith("Tested on 8 pictures")
    again = measure_benefit(run, call.settings(), seeds=3)
    assert again == found


def test_too_few_labels_are_said_to_be_too_few(labels: Path, tmp_path: Path) -> None:
    call, run = measured(labels, tmp_path, control=2)
    found = measure_benefit(run, call.settings())
    assert (found.verdict, found.curves) == ("too few labels", ())
    assert found.words[0].startswith("2 labels were drawn at random and 14 chosen")

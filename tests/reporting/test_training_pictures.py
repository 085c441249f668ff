"""Curves, reliability diagram and sheet of the worst tiles: what is in the values is in the picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from agir_cvtoolkit.reporting.class_sheet import CLASS_COLOURS, ClassRow, class_sheet, painted
from agir_cvtoolkit.reporting.plot import LINES, steps
from agir_cvtoolkit.reporting.reliability import reliability_diagram
from agir_cvtoolkit.reporting.training_curves import training_curves


def coloured(path: Path, colour: tuple[int, int, int], near: int = 12) -> np.ndarray:
    """Pixels (rows, columns) that have a colour."""
    away = np.abs(np.asarray(Image.open(path).convert("RGB")).astype(int) - colour).max(axis=2)
    return np.argwhere(away <= near)


def test_a_falling_loss_falls_and_gaps_stay_gaps(tmp_path: Path) -> None:
    losses = {"train": [1.0, 0.5, 0.1]}
    path = training_curves(tmp_path / "c.png", losses, {"val IoU": [0.2, float("nan"), 0.9]})
    places = coloured(path, LINES[0])
    line = places[places[:, 1] < 460]
    left, right = line[line[:, 1] < 150], line[line[:, 1] > 380]
    assert left[:, 0].mean() < right[:, 0].mean() - 100
    inside = places[(places[:, 1] > 640) & (places[:, 1] < 1030)]
    assert not len(inside)


def test_one_epoch_is_a_dot(tmp_path: Path) -> None:
    path = training_curves(tmp_path / "c.png", {"train": [0.7]}, {"val IoU": [0.5]})
    places = coloured(path, LINES[0])
    assert len(places[(places[:, 1] > 640) & (places[:, 1] < 1030)])


def test_the_diagram_shows_overconfidence_below_the_diagonal(tmp_path: Path) -> None:
    def height(hits: int) -> float:
        counts, sure = [0] * 9 + [100], [0.0] * 9 + [95.0]
        path = reliability_diagram(tmp_path / f"{hits}.png", counts, sure, [0] * 9 + [hits])
        bar = coloured(path, (120, 170, 205))
        return float(bar[bar[:, 1] < 520][:, 0].min())

    assert height(95) < height(50) < height(10)


def test_the_sheet_shows_each_class_in_its_colour_and_what_differs(tmp_path: Path) -> None:
    picture = np.full((60, 60, 3), 90, np.uint8)
    truth = np.zeros((60, 60), np.uint8)
    truth[10:30, 10:30], truth[35:55, 35:55] = 1, 2
    shown = painted(picture, truth)
    assert (shown[0, 0] == 90).all()
    assert not (shown[20, 20] == shown[45, 45]).all()
    rows = [ClassRow("p_x0_y0", picture, truth, np.zeros_like(truth), 0.25)]
    path = class_sheet(rows, ["background", "crop", "weed"], tmp_path / "s.png", title="worst")
    assert len(coloured(path, CLASS_COLOURS[0]))
    assert len(coloured(path, CLASS_COLOURS[1]))
    empty = class_sheet([], ["background", "plant"], tmp_path / "e.png")
    assert Image.open(empty).height < Image.open(path).height


def test_steps_are_round_and_few() -> None:
    assert steps(0.0, 1.0) == [0.0, 0.2, 0.4, 0.6000000000000001, 0.8, 1.0]
    assert len(steps(0.0, 0.037)) <= 7
    assert steps(1, 2)[0] == 1.0

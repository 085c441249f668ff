"""The curve over rounds."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from agir_cvtoolkit.reporting.curve import _COLOURS, _range, curve


def _rows_of(path: Path, colour: tuple[int, int, int]) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
    with Image.open(path) as image:
        rgb = np.asarray(image.convert("RGB")).astype(int)
    return np.nonzero((np.abs(rgb - np.array(colour)).sum(axis=2) < 12)[:, 60:780])[0]


def test_a_larger_share_is_drawn_higher(tmp_path: Path) -> None:
    path = curve(
        tmp_path / "curve.png", "T", ("0", "1", "2"), {"low": (0.1, 0.2, 0.3), "high": (0.6, 0.7, 0.8)}
    )
    assert _rows_of(path, _COLOURS[1]).mean() < _rows_of(path, _COLOURS[0]).mean() - 50


def test_gaps_and_single_steps_are_drawn(tmp_path: Path) -> None:
    path = curve(
        tmp_path / "gap.png", "T", ("0", "1", "2"), {"a": (0.1, math.nan, 0.3), "b": (math.nan,) * 3}
    )
    assert len(_rows_of(path, _COLOURS[0]))
    assert not len(_rows_of(path, _COLOURS[1]))
    assert curve(tmp_path / "single.png", "T", ("0",), {"a": (0.5,)}).is_file()


@pytest.mark.parametrize("values", [[0.5], [0.0, 1.0], [0.02], [0.98, 1.0], [0.41, 0.86]])
def test_the_axis_holds_the_values_and_stays_in_range(values: list[float]) -> None:
    low, high, step = _range(values)
    assert 0 <= low <= min(values)
    assert max(values) <= high <= 1
    assert (high - low) / step == pytest.approx(round((high - low) / step))


def test_a_line_needs_a_value_for_each_step(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="one value for each of 2 steps"):
        curve(tmp_path / "curve.png", "T", ("0", "1"), {"a": (0.1,)})

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from agir_cvtoolkit.reporting.efficiency import EfficiencyLine, draw_efficiency


def line(name: str, lift: float = 0.0) -> EfficiencyLine:
    scores = (0.5 + lift, 0.6 + lift, 0.7 + lift)
    return EfficiencyLine(
        name, (8, 16, 32), scores, tuple(s - 0.02 for s in scores), tuple(s + 0.02 for s in scores)
    )


def test_lines_differ_without_their_colours(tmp_path: Path) -> None:
    grey = []
    for order in (("one",), ("two", "one")):
        path = draw_efficiency(
            tmp_path / "curves.png",
            "Mean IoU by labels",
            [line(name, 0.05 * n) for n, name in enumerate(order)],
        )
        grey.append(np.asarray(Image.open(path).convert("L"), dtype=int))
    assert grey[0].shape == (560, 960)
    assert (abs(grey[0] - grey[1]) > 40).sum() > 500  # a second line, dashed and with other marks
    assert len(np.unique(grey[1][100:480, 100:700])) > 20


def test_no_lines_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="nothing to draw"):
        draw_efficiency(tmp_path / "curves.png", "", [])

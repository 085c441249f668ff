"""Losses and scores of a training, epoch by epoch, as one picture."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from PIL import Image

from agir_cvtoolkit.runs import atomic_path

from .plot import FINE, LINES, PAPER, Panel, steps

_SIZE = (1180, 420)


def training_curves(
    path: Path, losses: Mapping[str, Sequence[float]], scores: Mapping[str, Sequence[float]]
) -> Path:
    """Draw losses on the left and scores on the right, and write a PNG.

    Args:
        path: where to.
        losses: by name, one value for each epoch, from the first on.
        scores: the same, in [0, 1]; NaN leaves a gap.

    Returns:
        `path`.
    """
    sheet = Image.new("RGB", (_SIZE[0] * FINE, _SIZE[1] * FINE), PAPER)
    epochs = max(len(values) for values in losses.values())
    top = max((v for values in losses.values() for v in values if math.isfinite(v)), default=1.0)
    for box, title, lines, high in (
        ((70, 60, 460, 350), "Loss", losses, top * 1.05 or 1.0),
        ((640, 60, 1030, 350), "Score", scores, 1.0),
    ):
        panel = Panel(sheet, box, (1, max(2, epochs)), (0.0, high))
        ticks = [tick for tick in steps(1, max(2, epochs)) if tick == int(tick)]
        panel.axes(title, "epoch", ticks, steps(0.0, high))
        colours = dict(zip(lines, LINES * len(lines), strict=False))
        for name, values in lines.items():
            panel.line(range(1, len(values) + 1), values, colours[name])
        panel.legend(colours)
    with atomic_path(path) as temporary:
        sheet.resize(_SIZE, Image.Resampling.LANCZOS).save(temporary, format="PNG", optimize=True)
    return path

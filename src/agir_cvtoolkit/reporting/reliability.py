"""A reliability diagram (Niculescu-Mizil & Caruana 2005): how often a model is right, by how sure it was."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from PIL import Image

from agir_cvtoolkit.runs import atomic_path

from .overlay import Colour
from .plot import FAINT, FINE, LINES, PAPER, Panel, steps

_SIZE = (720, 560)
_ACCURACY: Final[Colour] = (120, 170, 205)


def reliability_diagram(
    path: Path, counts: Sequence[int], confidences: Sequence[float], hits: Sequence[int], *, title: str = ""
) -> Path:
    """Draw accuracy by confidence with the diagonal, and below it how many pixels there are, and write a PNG.

    Args:
        path: where to.
        counts: pixels in each of the equally wide bins of [0, 1].
        confidences: sums of the probabilities in each bin.
        hits: right answers in each bin.
        title: first line.

    Returns:
        `path`.
    """
    sheet = Image.new("RGB", (_SIZE[0] * FINE, _SIZE[1] * FINE), PAPER)
    ends = [(number / len(counts), (number + 1) / len(counts)) for number in range(len(counts))]
    above = Panel(sheet, (80, 60, 520, 380), (0.0, 1.0), (0.0, 1.0))
    above.axes(title, "", (), steps(0.0, 1.0))
    for x, count, hit in zip(ends, counts, hits, strict=True):
        if count:
            above.bar(x, hit / count, _ACCURACY)
    above.line((0.0, 1.0), (0.0, 1.0), FAINT)
    filled = [
        (sure / count, hit / count)
        for count, sure, hit in zip(counts, confidences, hits, strict=True)
        if count
    ]
    above.line([x for x, _ in filled], [y for _, y in filled], LINES[1], 3)
    above.legend({"accuracy": _ACCURACY, "by mean confidence": LINES[1], "as sure as right": FAINT})
    total = sum(counts) or 1
    below = Panel(sheet, (80, 420, 520, 490), (0.0, 1.0), (0.0, 1.0))
    below.axes("", "confidence", steps(0.0, 1.0), (0.0, 0.5, 1.0))
    for x, count in zip(ends, counts, strict=True):
        below.bar(x, count / total, FAINT)
    below.legend({"share of pixels": FAINT})
    with atomic_path(path) as temporary:
        sheet.resize(_SIZE, Image.Resampling.LANCZOS).save(temporary, format="PNG", optimize=True)
    return path

"""What the scores of a prediction cost: those of one pass beside the prediction, and those of several as factors.

The baseline is the same prediction of the same picture; scoring is timed on its bands by itself, in the same run.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agir_cvtoolkit.config import SegInference
from agir_cvtoolkit.inference.colour_predictor import ColourPredictor
from agir_cvtoolkit.inference.ensemble import ensemble_of
from agir_cvtoolkit.inference.predictor import Band, Predictor
from agir_cvtoolkit.inference.scores import SINGLE_PASS, ScoreGrid
from agir_cvtoolkit.inference.segment import predicted, probability_bands, segment

from ._table import Row, finish, parser, seconds, size_of

TITLE = "Scores of a prediction"
MOST = 0.10

RGB = NDArray[np.uint8]


def measure(options: argparse.Namespace) -> list[Row]:
    """Measure all scores on drawn pictures."""
    from agir_cvtoolkit.inference.torch_predictor import open_torch

    from ._small_network import fitted_checkpoint, scene

    with tempfile.TemporaryDirectory() as folder:
        one, other = Path(folder) / "one.pth", Path(folder) / "other.pth"
        fitted_checkpoint(one, options.steps)
        fitted_checkpoint(other, options.steps + 1)
        network, second = open_torch(one, "cpu"), open_torch(other, "cpu")
        rgb, _ = scene(0, options.size)
        small = rgb[: options.size[1] // 4, : options.size[0] // 4].copy()
        segment(network, small[:512, :512], SegInference())
        rows = [
            _beside("a U-Net", network, rgb, options.rounds, gate=True),
            _beside("excess green", ColourPredictor(), rgb, options.rounds, gate=False),
        ]
        plain = _timed(network, small)
        looks = _timed(network, small, {"uncertainty": {"scores": ["disagreement"]}})
        both = _timed(ensemble_of(network, [second]), small, {"model": {"ensemble": [str(other)]}})
    return [
        *rows,
        _factor("disagreement of four looks", plain, looks),
        _factor("ensemble of two models", plain, both),
    ]


def _beside(name: str, predictor: Predictor, rgb: RGB, rounds: int, *, gate: bool) -> Row:
    """Compare scoring with the prediction that it belongs to: the best of each, in turns."""
    settings = SegInference()
    size = rgb.shape[1], rgb.shape[0]
    bands = list(probability_bands(predictor, predicted(predictor, rgb, settings), size, settings))
    total = scoring = float("inf")
    for _ in range(rounds):
        total = min(total, _timed(predictor, rgb))
        scoring = min(scoring, _scored(bands, rgb.shape[:2], len(predictor.classes)))
    share = scoring / (total - scoring)
    return Row(
        f"{rgb.shape[0] * rgb.shape[1] / 1e6:.3g} MP by {name}: {', '.join(SINGLE_PASS)}",
        seconds(total - scoring),
        seconds(total),
        f"+{share:.1%}",
        f"at most +{MOST:.0%}" if gate else "",
        share <= MOST if gate else None,
    )


def _scored(bands: Sequence[Band], shape: tuple[int, int], classes: int) -> float:
    started = time.perf_counter()
    grid = ScoreGrid(shape, 0.5, 0.01)
    for band in bands:
        grid.add(band.top, band.probabilities)
    grid.scores(classes, (), SINGLE_PASS)
    return time.perf_counter() - started


def _timed(predictor: Predictor, rgb: RGB, settings: dict[str, Any] | None = None) -> float:
    chosen = SegInference.model_validate(settings or {})
    started = time.perf_counter()
    segment(predictor, rgb, chosen)
    return time.perf_counter() - started


def _factor(name: str, plain: float, ours: float) -> Row:
    return Row(name, seconds(plain), seconds(ours), f"{ours / plain:.2f}x the prediction")


def options_of(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the options."""
    made = parser(__doc__ or "")
    made.add_argument("--size", type=size_of, default=(6000, 4000), help="of the picture")
    made.add_argument("--steps", type=int, default=2, help="of fitting the networks")
    made.add_argument("--rounds", type=int, default=2, help="how often each is timed, in turns")
    return made.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and return 1 when a gate is missed."""
    options = options_of(arguments)
    return finish(TITLE, measure(options), options.json_file)


if __name__ == "__main__":
    sys.exit(main())

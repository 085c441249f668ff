"""Tiled prediction of one large picture: what it costs beside the network, and beside tile by tile.

The baselines are the bare forward passes of the same network on the same tiles, and the loop that most tools have: tiles
that overlap by half, one after the other, blended with Hann weights over the whole picture.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from agir_cvtoolkit.config import SegInference
from agir_cvtoolkit.inference.onnx_predictor import OnnxPredictor
from agir_cvtoolkit.inference.predictor import Predictor
from agir_cvtoolkit.inference.segment import segment
from agir_cvtoolkit.inference.tiling import tile_starts

from ._table import Row, finish, parser, seconds, size_of

if TYPE_CHECKING:
    import torch

TITLE = "Tiled prediction"
TOTAL = 1.15
FASTER = 2.0
IOU = 0.002

_TILE = 512
"""Height and width in pixels, whatever the network learned from."""

RGB = NDArray[np.uint8]


def measure(options: argparse.Namespace) -> list[Row]:
    """Measure all ways once on the same picture."""
    import torch

    from agir_cvtoolkit.inference.torch_predictor import open_torch
    from agir_cvtoolkit.models.checkpoint import load_checkpoint
    from agir_cvtoolkit.models.onnx_export import export_onnx

    from ._small_network import fitted_checkpoint, scene

    torch.set_num_threads(options.threads or torch.get_num_threads())
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = Path(folder) / "best.pth"
        fitted_checkpoint(checkpoint, options.steps)
        rgb, truth = scene(0, options.size)
        network, card = load_checkpoint(checkpoint, "segmentation")
        normal = card.normalization
        network.eval()
        predictor = open_torch(checkpoint, "cpu")
        settings = SegInference.model_validate({"tile": {"height": _TILE, "width": _TILE}})
        segment(predictor, rgb[:1024, :1024], settings)
        # In turns, and the best of each: what else the machine does hits both alike.
        bare = ours = float("inf")
        for _ in range(options.rounds):
            bare = min(bare, _bare(network, rgb, settings))
            took, mask = _timed(predictor, rgb, settings)
            ours = min(ours, took)
        naive, naive_mask = _tile_by_tile(network, rgb, _TILE, (normal.mean, normal.std))
        export_onnx(checkpoint, Path(folder) / "best.onnx")
        onnx, onnx_mask = _timed(OnnxPredictor.open(Path(folder) / "best.onnx"), rgb, settings)
    here, there = _iou(mask, truth), _iou(naive_mask, truth)
    name = f"{rgb.shape[0] * rgb.shape[1] / 1e6:.3g} MP"
    return [
        Row(
            f"{name}: all of it against the bare forward passes",
            seconds(bare),
            seconds(ours),
            f"{ours / bare:.2f}x",
            f"<= {TOTAL}x",
            ours / bare <= TOTAL,
        ),
        Row(
            f"{name}: against tile by tile with overlap .5",
            seconds(naive),
            seconds(ours),
            f"{naive / ours:.2f}x faster",
            f">= {FASTER}x",
            naive / ours >= FASTER,
        ),
        Row(
            f"{name}: IoU of the mask, tile by tile and ours",
            f"{there:.4f}",
            f"{here:.4f}",
            f"{here - there:+.4f}",
            f"within {IOU}",
            abs(here - there) < IOU,
        ),
        Row(
            f"{name}: torch against ONNX Runtime", seconds(ours), seconds(onnx), f"{ours / onnx:.2f}x faster"
        ),
        Row(f"{name}: pixels that ONNX Runtime finds otherwise", "", f"{np.mean(mask != onnx_mask):.2e}"),
    ]


def _timed(predictor: Predictor, rgb: RGB, settings: SegInference) -> tuple[float, NDArray[np.bool_]]:
    started = time.perf_counter()
    found = segment(predictor, rgb, settings)
    return time.perf_counter() - started, found.index != 0


def _bare(network: torch.nn.Module, rgb: RGB, settings: SegInference) -> float:
    """Return the seconds that the network itself takes for our tiles, ready in memory and in its best layout."""
    import torch

    overlap = settings.tile.overlap
    fast = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    total = 0.0
    with torch.inference_mode():
        for top in tile_starts(rgb.shape[0], _TILE, overlap):
            for left in tile_starts(rgb.shape[1], _TILE, overlap):
                pixels = torch.from_numpy(rgb[top : top + _TILE, left : left + _TILE].copy())
                ready = (pixels.permute(2, 0, 1)[None].float() / 255).contiguous(
                    memory_format=torch.channels_last
                )
                started = time.perf_counter()
                fast(ready)
                total += time.perf_counter() - started
    network.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    return total


def _tile_by_tile(
    network: torch.nn.Module, rgb: RGB, tile: int, normal: tuple[Sequence[float], Sequence[float]]
) -> tuple[float, NDArray[np.bool_]]:
    import torch

    started = time.perf_counter()
    height, width = rgb.shape[:2]
    hann = np.hanning(tile + 2)[1:-1]
    window = np.outer(hann, hann).astype(np.float32)
    step = tile // 2
    tops, lefts = (sorted({*range(0, side - tile, step), side - tile}) for side in (height, width))
    total = np.zeros((height, width), dtype=np.float32)
    weights = np.zeros((height, width), dtype=np.float32)
    mean, std = np.array(normal[0], dtype=np.float32), np.array(normal[1], dtype=np.float32)
    with torch.inference_mode():
        for top in tops:
            for left in lefts:
                part = (rgb[top : top + tile, left : left + tile].astype(np.float32) - mean) / std
                logits = network(torch.from_numpy(part.transpose(2, 0, 1)[None].copy()))
                plant = torch.softmax(logits, dim=1)[0, 1].numpy()
                total[top : top + tile, left : left + tile] += plant * window
                weights[top : top + tile, left : left + tile] += window
    mask: NDArray[np.bool_] = total >= np.float32(0.5) * weights
    return time.perf_counter() - started, mask


def _iou(mask: NDArray[np.bool_], truth: NDArray[np.bool_]) -> float:
    return int(np.count_nonzero(mask & truth)) / max(1, int(np.count_nonzero(mask | truth)))


def options_of(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the options."""
    made = parser(__doc__ or "")
    made.add_argument("--size", type=size_of, default=(6000, 4000), help="of the picture")
    made.add_argument("--steps", type=int, default=80, help="of fitting the network")
    made.add_argument("--rounds", type=int, default=2, help="how often both are timed, in turns")
    made.add_argument("--threads", type=int, default=None, help="of torch")
    return made.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and return 1 when a gate is missed."""
    options = options_of(arguments)
    return finish(TITLE, measure(options), options.json_file)


if __name__ == "__main__":
    sys.exit(main())

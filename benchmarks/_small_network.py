"""A network that knows leaves on soil: fitted in a minute on drawn pictures, so that masks are worth comparing."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from agir_cvtoolkit.models.card import ArchSpec, ModelCard
from agir_cvtoolkit.models.checkpoint import save_checkpoint
from agir_cvtoolkit.models.registry import build

_TILE = 256


def fitted_checkpoint(path: Path, steps: int) -> None:
    """Write a U-Net that was fitted for `steps` batches of four tiles."""
    torch.manual_seed(0)
    spec = ArchSpec()
    network = build(spec)
    pictures = [scene(number, (1024, 768)) for number in range(1, 5)]
    card = ModelCard("unet-efficientnet_lite0", "", spec)
    normal = card.normalization
    mean, std = (torch.tensor(v).reshape(1, 3, 1, 1) for v in (normal.mean, normal.std))
    optimizer = torch.optim.AdamW(network.parameters(), 2e-3)
    rng = np.random.default_rng(0)
    network.train()
    for _ in range(steps):
        tiles, labels = _batch(pictures, rng)
        logits = network((tiles.float() - mean) / std)
        loss = torch.nn.functional.cross_entropy(logits, labels)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    path.parent.mkdir(parents=True, exist_ok=True)
    save_checkpoint(path, network.eval(), card)


def scene(seed: int, size: tuple[int, int]) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Draw leaves of several greens on uneven soil, with a camera's noise.

    Args:
        seed: another picture for each.
        size: width and height.

    Returns:
        The picture, uint8 of shape (height, width, 3), and where its leaves are.
    """
    width, height = size
    rng = np.random.default_rng(seed)
    uneven = rng.normal(0, 18, (height // 16 + 1, width // 16 + 1)).astype(np.float32)
    light = cv2.resize(uneven, size, interpolation=cv2.INTER_CUBIC)
    rgb = (np.array([122, 96, 70], dtype=np.float32) + light[..., None]).clip(0, 255).astype(np.uint8)
    plant = np.zeros((height, width), dtype=np.uint8)
    for _ in range(width * height // 12_000):
        middle = int(rng.integers(width)), int(rng.integers(height))
        axes = int(rng.integers(20, 90)), int(rng.integers(6, 24))
        turned = float(rng.uniform(0, 360))
        tint = [int(rng.integers(*ends)) for ends in ((50, 110), (105, 170), (25, 70))]
        cv2.ellipse(rgb, middle, axes, turned, 0, 360, tint, -1, cv2.LINE_AA)
        cv2.ellipse(plant, middle, axes, turned, 0, 360, 1, -1)
    noise = rng.integers(0, 24, (512, 512, 3), dtype=np.uint8)
    tiled = np.tile(noise, (height // 512 + 1, width // 512 + 1, 1))[:height, :width]
    return np.asarray(cv2.add(rgb, tiled), dtype=np.uint8), plant != 0


def _batch(
    pictures: list[tuple[NDArray[np.uint8], NDArray[np.bool_]]], rng: np.random.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    tiles, labels = [], []
    for _ in range(4):
        rgb, plant = pictures[int(rng.integers(len(pictures)))]
        top, left = (int(rng.integers(side - _TILE)) for side in plant.shape)
        window = np.s_[top : top + _TILE, left : left + _TILE]
        tiles.append(torch.from_numpy(rgb[window].copy()).permute(2, 0, 1))
        labels.append(torch.from_numpy(plant[window].astype(np.int64)))
    return torch.stack(tiles), torch.stack(labels)

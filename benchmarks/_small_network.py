"""A network that knows plants: small, fitted in a minute on drawn scenes, so that masks are worth comparing."""

from __future__ import annotations

import tempfile
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from agir_cvtoolkit.demo.scenes import draw_scenes
from agir_cvtoolkit.models.card import ArchSpec, ModelCard
from agir_cvtoolkit.models.checkpoint import save_checkpoint
from agir_cvtoolkit.models.registry import build
from agir_cvtoolkit.pictures import load_mask, load_rgb

_TILE = 256


def fitted_checkpoint(path: Path, steps: int) -> None:
    """Write a U-Net that was fitted for `steps` batches of four tiles."""
    torch.manual_seed(0)
    spec = ArchSpec()
    network = build(spec)
    with tempfile.TemporaryDirectory() as folder:
        scenes = draw_scenes(Path(folder), 6, seed=5, size=(1024, 768)).scenes
        pictures = [(load_rgb(s.image), load_mask(s.mask) != 0) for s in scenes]
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


def large_scene(size: tuple[int, int]) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Return a scene and its plants at `size` (width, height): a smaller one, enlarged and with a camera's noise."""
    with tempfile.TemporaryDirectory() as folder:
        scene = draw_scenes(Path(folder), 1, seed=11, size=(size[0] // 2, size[1] // 2)).scenes[0]
        rgb, plant = load_rgb(scene.image), load_mask(scene.mask)
    large = np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_CUBIC), dtype=np.uint8)
    noise = np.random.default_rng(2).integers(0, 12, (512, 512, 3), dtype=np.uint8)
    tiled = np.tile(noise, (size[1] // 512 + 1, size[0] // 512 + 1, 1))[: size[1], : size[0]]
    found = cv2.resize(plant, size, interpolation=cv2.INTER_NEAREST) != 0
    return np.asarray(cv2.add(large, tiled), dtype=np.uint8), found


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

"""Prediction with a trained network."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from agir_cvtoolkit.errors import UsageError
from agir_cvtoolkit.models.card import ModelCard
from agir_cvtoolkit.models.libraries import require_torch

from .predictor import RGB, Probabilities

if TYPE_CHECKING:
    import torch

_GPU_PIXELS = 4 * 1024 * 1024


class TorchPredictor:
    """Predicts tiles with a checkpoint of this package.

    A tile's result does not depend, to the last bit, on the batch that it comes in: on a CPU tiles are
    computed one by one (which is the faster way there too), on a GPU in groups of one fixed size.
    """

    def __init__(self, network: torch.nn.Module, card: ModelCard, device: torch.device) -> None:
        """Take a network in evaluation mode, its card, and the device to compute on."""
        import torch

        self.card = card
        self._device = device
        placed: torch.nn.Module = network.eval().to(device)
        self._network = placed.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._mean = torch.tensor(card.normalization.mean, device=device).reshape(1, 3, 1, 1)
        self._std = torch.tensor(card.normalization.std, device=device).reshape(1, 3, 1, 1)

    @property
    def name(self) -> str:
        """Name and version of the weights, such as ``unet-efficientnet_lite0@0123456789ab``."""
        return self.card.identity

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes; the first is the background."""
        return self.card.classes

    @property
    def class_ids(self) -> tuple[int, ...]:
        """Mask value of each class, 0 for the background."""
        return self.card.class_ids

    @property
    def needs_tiles(self) -> Literal[True]:
        """True."""
        return True

    def working_size(self, size: tuple[int, int]) -> tuple[int, int]:
        """Return width and height at which a picture of `size` should be predicted: the training's scale."""
        return self.card.trained_on.working_size(size)

    def predict_tiles(self, batch: RGB) -> Probabilities:
        """Predict a batch.

        Args:
            batch: uint8 RGB of shape (n, height, width, 3), of any height and width.

        Returns:
            float32 of shape (n, classes, height, width), summing to 1 over the classes.

        Raises:
            UsageError: the GPU has not enough memory.
        """
        import torch

        count, height, width, _ = batch.shape
        found = np.empty((count, len(self.classes), height, width), dtype=np.float32)
        group = 1 if self._device.type == "cpu" else max(1, _GPU_PIXELS // (height * width))
        try:
            with torch.inference_mode(), torch.backends.cudnn.flags(deterministic=True, benchmark=False):
                for start in range(0, count, group):
                    part = batch[start : start + group]
                    found[start : start + group] = self._probabilities(_filled(part, group))[: len(part)]
        except torch.OutOfMemoryError as error:
            raise UsageError(
                "the GPU ran out of memory while predicting", "Lower seg_inference.tile or set device=cpu"
            ) from error
        return found

    def _probabilities(self, tiles: RGB) -> Probabilities:
        import torch

        pixels = (
            torch.from_numpy(np.require(tiles, requirements=["C", "W"])).to(self._device).permute(0, 3, 1, 2)
        )
        values = (pixels.float() - self._mean) / self._std
        logits = self._network(values.contiguous(memory_format=torch.channels_last))
        probabilities: Probabilities = torch.softmax(logits, dim=1).cpu().numpy()
        return probabilities


def open_torch(path: Path, device: str = "auto") -> TorchPredictor:
    """Open a checkpoint for prediction.

    Args:
        path: usually ``model/best.pth`` of a run.
        device: ``auto`` (a GPU where there is one), ``cpu``, ``cuda``, ``cuda:<number>`` or ``mps``.

    Raises:
        CheckpointError: missing, damaged, of another tool or architecture.
        ConfigError: there is no such device.
        MissingExtraError: torch is not installed.
    """
    require_torch("Prediction with a trained model")
    from agir_cvtoolkit.models.checkpoint import load_checkpoint

    network, card = load_checkpoint(path, "segmentation")
    return TorchPredictor(network, card, _device(device))


def _filled(tiles: RGB, count: int) -> RGB:
    missing = count - len(tiles)
    return tiles if missing == 0 else np.pad(tiles, ((0, missing), (0, 0), (0, 0), (0, 0)))


def _device(wanted: str) -> torch.device:
    from agir_cvtoolkit.models.devices import device_for

    return device_for(wanted, "seg_inference.device")

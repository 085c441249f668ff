"""Prediction with a trained network by PyTorch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from agir_cvtoolkit.models.card import ModelCard
from agir_cvtoolkit.models.libraries import require_torch

from .network_predictor import NetworkPredictor
from .predictor import RGB, Probabilities

if TYPE_CHECKING:
    import torch

_GPU_PIXELS = 4 * 1024 * 1024


class TorchPredictor(NetworkPredictor):
    """Predicts tiles with a checkpoint.

    On a CPU tiles are computed one by one (which is the faster way there too), on a GPU in groups of about four
    megapixels. Where a group does not fit, groups of half the size are computed from then on; results may then differ
    from those of the larger groups in their last bits.
    """

    def __init__(
        self, network: torch.nn.Module, card: ModelCard, device: torch.device, precision: str = "32"
    ) -> None:
        """Take a network in evaluation mode.

        Args:
            network: maps normalised pixels to logits.
            card: its card.
            device: to compute on.
            precision: ``32``, or ``bf16`` for bfloat16 inside, which GPUs and newer CPUs compute faster.
        """
        super().__init__(card)
        import torch

        from agir_cvtoolkit.models.served import Served

        self._device = device
        placed: torch.nn.Module = Served(network, card).to(device)
        self._served = placed.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._halved = precision == "bf16"
        self._most_pixels = 1 if device.type == "cpu" else _GPU_PIXELS

    def _group(self, height: int, width: int) -> int:
        return max(1, self._most_pixels // (height * width))

    def _computed(self, tiles: RGB) -> Probabilities | None:
        import torch

        pixels = torch.from_numpy(np.require(tiles, requirements=["C", "W"]))
        try:
            with (
                torch.inference_mode(),
                torch.backends.cudnn.flags(deterministic=True, benchmark=False),
                torch.autocast(self._device.type, torch.bfloat16, enabled=self._halved),
            ):
                # Seen as (n, 3, height, width) this is channels-last already.
                found: Probabilities = self._served(pixels.to(self._device).permute(0, 3, 1, 2)).cpu().numpy()
        except torch.OutOfMemoryError as error:
            if len(tiles) == 1:
                raise MemoryError(f"a tile of {tiles.shape[2]}x{tiles.shape[1]} does not fit") from error
            self._most_pixels = len(tiles) // 2 * tiles.shape[1] * tiles.shape[2]
            return None
        return found


def open_torch(path: Path, device: str = "auto", precision: str = "32") -> TorchPredictor:
    """Open a checkpoint for prediction.

    Args:
        path: usually ``model/best.pth`` of a run.
        device: ``auto`` (a GPU where there is one), ``cpu``, ``cuda``, ``cuda:<number>`` or ``mps``.
        precision: ``32`` or ``bf16``.

    Raises:
        CheckpointError: missing, damaged, of another tool or architecture.
        ConfigError: there is no such device.
        MissingExtraError: torch is not installed.
    """
    require_torch("Prediction with a trained model")
    from agir_cvtoolkit.models.checkpoint import load_checkpoint
    from agir_cvtoolkit.models.devices import device_for

    network, card = load_checkpoint(path, "segmentation")
    return TorchPredictor(network, card, device_for(device, "seg_inference.device"), precision)

"""Embeddings of pictures by an encoder that has seen ImageNet: what looks alike lies close together."""

from __future__ import annotations

import hashlib

import numpy as np
import torch
from numpy.typing import NDArray

from .card import ArchSpec
from .devices import device_for
from .encoders import LITE, build_encoder, pixel_norm

SIDE = 224
_GROUP = 8


class Embedder:
    """Embeds pictures: the means of an encoder's last two maps, each of length 1, beside each other.

    An embedding does not depend on the batch that its picture comes in: groups of one fixed size are computed, the last
    of which is filled up.

    Attributes:
        name: of the encoder.
        version: 12 hex digits of its weights.
        dimensions: of an embedding.
    """

    def __init__(self, encoder: str = LITE, device: str = "auto") -> None:
        """Open the encoder.

        Args:
            encoder: ``efficientnet_lite0`` with its ImageNet weights, or ``hf:<folder>`` of a pretrained backbone.
            device: ``auto``, ``cpu``, ``cuda``, ``cuda:<number>`` or ``mps``.

        Raises:
            ConfigError: there is no such encoder or device.
            CheckpointError: the folder holds no backbone that can be used.
            MissingExtraError: the encoder's package is not installed.
        """
        spec = ArchSpec(encoder=encoder)
        norm = pixel_norm(spec)
        self._device = device_for(device, "select.embedding.device")
        self._encoder = build_encoder(spec).eval().to(self._device)
        self._mean = torch.tensor(norm.mean, device=self._device).reshape(1, 3, 1, 1)
        self._std = torch.tensor(norm.std, device=self._device).reshape(1, 3, 1, 1)
        self.name = encoder
        self.version = _version(self._encoder)
        self.dimensions = sum(self._encoder.channels[-2:])

    def embed(self, pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Embed pictures.

        Args:
            pictures: uint8 RGB of shape (n, 224, 224, 3).

        Returns:
            float32 of shape (n, dimensions), rows of length 1.
        """
        parts = [np.zeros((0, self.dimensions), dtype=np.float32)]
        with torch.inference_mode():
            for start in range(0, len(pictures), _GROUP):
                part = pictures[start : start + _GROUP]
                filled = np.pad(part, ((0, _GROUP - len(part)), (0, 0), (0, 0), (0, 0)))
                pixels = torch.from_numpy(filled).to(self._device).permute(0, 3, 1, 2).float()
                maps = self._encoder((pixels - self._mean) / self._std)[-2:]
                means = [torch.nn.functional.normalize(one.mean(dim=(2, 3)), dim=1) for one in maps]
                both = torch.nn.functional.normalize(torch.cat(means, dim=1), dim=1)
                parts.append(both.cpu().numpy()[: len(part)])
        return np.concatenate(parts)


def _version(encoder: torch.nn.Module) -> str:
    found = hashlib.sha256()
    for name, values in sorted(encoder.state_dict().items()):
        found.update(name.encode())
        found.update(values.cpu().numpy().tobytes())
    return found.hexdigest()[:12]

"""What a frozen encoder sees of the variations of samples, remembered as long as memory allows."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from agir_cvtoolkit.config._pose import PoseTrain
from agir_cvtoolkit.joints import JointSchema
from agir_cvtoolkit.models.card import PixelNorm
from agir_cvtoolkit.models.heatmap import HeatmapNet
from agir_cvtoolkit.models.heatmap_decoding import place_targets

from .pose_samples import RGB, PoseSample, load_sample, view_of

_PICTURES_MIB = 256


class Pictures:
    """The newest pictures, decoded."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, RGB] = OrderedDict()
        self._room = _PICTURES_MIB << 20

    def get(self, sample: PoseSample) -> RGB:
        """Return a sample's picture.

        Raises:
            DataError: it is missing, damaged or of another size.
        """
        key = str(sample.picture)
        rgb = self._kept.pop(key, None)
        if rgb is None:
            rgb = load_sample(sample)
            self._room -= rgb.nbytes
        self._kept[key] = rgb
        while self._room < 0 and len(self._kept) > 1:
            self._room += self._kept.popitem(last=False)[1].nbytes
        return rgb


class Lessons:
    """Samples in their variations, as what a step of the training needs."""

    def __init__(
        self,
        samples: Sequence[PoseSample],
        schema: JointSchema,
        settings: PoseTrain,
        network: HeatmapNet,
        device: torch.device,
    ) -> None:
        """Take samples, settings, and the network whose encoder looks."""
        norm = PixelNorm()
        self._samples, self._schema, self._settings = samples, schema, settings
        self._network, self._device = network, device
        self._mean = torch.tensor(norm.mean, device=device).reshape(1, 3, 1, 1)
        self._std = torch.tensor(norm.std, device=device).reshape(1, 3, 1, 1)
        self._pictures = Pictures()
        self._seen: dict[tuple[int, int], list[Tensor]] = {}
        self._targets: dict[tuple[int, int], tuple[np.ndarray, np.ndarray]] = {}
        self._room = settings.cache_mib << 20

    def batch(self, keys: Sequence[tuple[int, int]]) -> tuple[list[Tensor] | Tensor, Tensor, Tensor]:
        """Return a batch: feature maps (frozen encoder) or pixels, place targets, hidden targets.

        Args:
            keys: (sample, variation) of each.
        """
        frozen = self._settings.model.encoder_freeze
        inputs: list[list[Tensor]] = []
        pixels: list[Tensor] = []
        places, hidden = [], []
        for key in keys:
            maps = self._seen.get(key)
            if maps is not None:
                inputs.append(maps)
                goal = self._targets[key]
            else:
                shown, goal = self._view(key)
                if frozen:
                    maps = self._look(shown)
                    self._remember(key, maps, goal)
                    inputs.append(maps)
                else:
                    pixels.append(self._normalised(shown))
            places.append(place_targets(goal[0], self._settings.model.input_size, self._settings.sigma))
            hidden.append(goal[1])
        seen: list[Tensor] | Tensor
        if frozen:
            seen = [torch.cat(level).to(self._device).float() for level in zip(*inputs, strict=True)]
        else:
            seen = torch.cat(pixels)
        return (
            seen,
            torch.from_numpy(np.stack(places)).to(self._device),
            torch.from_numpy(np.stack(hidden)).to(self._device),
        )

    def _view(self, key: tuple[int, int]) -> tuple[RGB, tuple[np.ndarray, np.ndarray]]:
        sample = self._samples[key[0]]
        rng = np.random.default_rng([self._settings.seed, *key])
        view = view_of(sample, self._pictures.get(sample), self._schema, self._settings, rng)
        return view.pixels, (view.points, view.hidden)

    def _normalised(self, pixels: RGB) -> Tensor:
        values = torch.from_numpy(pixels.copy()).to(self._device).permute(2, 0, 1)[None].float()
        return (values - self._mean) / self._std

    def _look(self, pixels: RGB) -> list[Tensor]:
        # One by one, and rounded whether remembered or not: a continued training sees the very same values.
        with torch.no_grad():
            return [level.half().cpu() for level in self._network.features(self._normalised(pixels))]

    def _remember(
        self, key: tuple[int, int], maps: list[Tensor], goal: tuple[np.ndarray, np.ndarray]
    ) -> None:
        size = sum(level.numel() * level.element_size() for level in maps)
        if size <= self._room:
            self._room -= size
            self._seen[key] = maps
            self._targets[key] = goal

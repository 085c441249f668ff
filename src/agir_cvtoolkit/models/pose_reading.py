"""From a picture to a pose with a heat-map network, whatever computes its heat maps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from agir_cvtoolkit.joints import JointSchema
from agir_cvtoolkit.poses import Keypoint, Pose, Visibility
from agir_cvtoolkit.records import Box

from .card import ModelCard
from .heatmap_decoding import Decoded, Floats, decode
from .pose_crop import RGB, Crop, crop_around

if TYPE_CHECKING:
    import torch
    from torch import nn

_GPU_GROUP = 16


class HeatmapSource(Protocol):
    """What computes heat maps: PyTorch or ONNX Runtime."""

    def heatmaps(self, inputs: RGB) -> tuple[Floats, Floats]:
        """Return the probabilities of place and of being hidden.

        Args:
            inputs: uint8 RGB (n, size, size, 3).

        Returns:
            Two float32 arrays (n, joints, size / 4, size / 4). A picture's result must not depend on the others.
        """
        ...


class TorchHeatmaps:
    """Heat maps by PyTorch: one by one on a CPU, in groups of one fixed size on a GPU, so that a result does not
    depend, to the last bit, on the batch that it comes in.
    """

    def __init__(self, network: nn.Module, card: ModelCard, device: torch.device) -> None:
        """Take a network of `heatmap.build_heatmap`, its card, and the device to compute on."""
        import torch

        self._network = network.eval().to(device)
        self._device = device
        self._mean = torch.tensor(card.normalization.mean, device=device).reshape(1, 3, 1, 1)
        self._std = torch.tensor(card.normalization.std, device=device).reshape(1, 3, 1, 1)

    def heatmaps(self, inputs: RGB) -> tuple[Floats, Floats]:
        """See `HeatmapSource.heatmaps`."""
        import torch

        from .heatmap import place_probabilities

        group = 1 if self._device.type == "cpu" else _GPU_GROUP
        parts: list[tuple[Floats, Floats]] = []
        with torch.inference_mode(), torch.backends.cudnn.flags(deterministic=True, benchmark=False):
            for start in range(0, len(inputs), group):
                part = inputs[start : start + group]
                filled = np.pad(part, ((0, group - len(part)), (0, 0), (0, 0), (0, 0)))
                pixels = torch.from_numpy(filled).to(self._device).permute(0, 3, 1, 2).float()
                places, hidden = place_probabilities(self._network((pixels - self._mean) / self._std))
                parts.append((places.cpu().numpy()[: len(part)], hidden.cpu().numpy()[: len(part)]))
        return np.concatenate([p for p, _ in parts]), np.concatenate([h for _, h in parts])


def find_poses(
    source: HeatmapSource,
    card: ModelCard,
    rgbs: Sequence[RGB],
    boxes: Sequence[Box | None],
    absent_below: float = 0.05,
    *,
    look_twice: bool = False,
) -> list[Pose]:
    """Return one pose for each picture.

    Args:
        source: computes the heat maps of the network that `card` describes.
        card: of a pose model.
        rgbs: uint8 RGB arrays (height, width, 3) of upright pictures.
        boxes: around the animal in pixels of its picture; None for the whole picture.
        absent_below: joints below this confidence are absent; they keep their confidence.
        look_twice: where there is no box, look again at the box around the joints that were found.

    Returns:
        Poses in pixels of their pictures; places lie inside the picture. ``box`` is the given one.

    Raises:
        ValueError: the card has no schema, or there are not as many boxes as pictures.
    """
    if card.schema is None:
        raise ValueError("the model's card names no joints")
    if len(rgbs) != len(boxes):
        raise ValueError(f"{len(boxes)} boxes for {len(rgbs)} pictures")
    if not rgbs:
        return []
    found = _look(source, card, rgbs, boxes)
    if look_twice:
        again = {}
        for number, (rgb, box) in enumerate(zip(rgbs, boxes, strict=True)):
            nearer = _around(found[number], rgb) if box is None else None
            if nearer is not None:
                again[number] = nearer
        if again:
            closer = _look(source, card, [rgbs[i] for i in again], list(again.values()))
            for number, decoded in zip(again, closer, strict=True):
                if decoded.confidence.mean() > found[number].confidence.mean():
                    found[number] = decoded
    return [
        _pose(decoded, card.schema, rgb, box, absent_below)
        for decoded, rgb, box in zip(found, rgbs, boxes, strict=True)
    ]


def _look(
    source: HeatmapSource, card: ModelCard, rgbs: Sequence[RGB], boxes: Sequence[Box | None]
) -> list[Decoded]:
    crops: list[Crop] = [
        crop_around(box, (rgb.shape[1], rgb.shape[0]), card.tile_size[0], card.padding)
        for rgb, box in zip(rgbs, boxes, strict=True)
    ]
    inputs = np.stack([crop.pixels(rgb) for crop, rgb in zip(crops, rgbs, strict=True)])
    places, hidden = source.heatmaps(inputs)
    decoded = [decode(p, h) for p, h in zip(places, hidden, strict=True)]
    return [
        replace(one, points=crop.to_picture(one.points)) for crop, one in zip(crops, decoded, strict=True)
    ]


_SURE = 0.3
_FEWEST = 3


def _around(found: Decoded, rgb: RGB) -> Box | None:
    """Return the box around the joints that were found, None where it would be no closer look."""
    sure = found.points[found.confidence > _SURE]
    if len(sure) < _FEWEST:
        return None
    (left, top), (right, bottom) = sure.min(axis=0), sure.max(axis=0)
    height, width = rgb.shape[:2]
    if max(right - left, bottom - top) <= 0.02 * max(width, height):
        return None
    return Box(float(left), float(top), float(right - left), float(bottom - top))


def _pose(decoded: Decoded, schema: JointSchema, rgb: RGB, box: Box | None, absent_below: float) -> Pose:
    height, width = rgb.shape[:2]
    inside: NDArray[np.float64] = decoded.points.clip((0, 0), (width, height))
    keypoints = {}
    for place, joint in enumerate(schema.joints):
        confidence = round(float(decoded.confidence[place]), 6)
        if confidence < absent_below:
            keypoints[joint] = Keypoint(0.0, 0.0, "absent", confidence)
            continue
        visibility: Visibility = "occluded" if decoded.hidden[place] > 0.5 else "visible"
        x, y = inside[place]
        keypoints[joint] = Keypoint(round(float(x), 3), round(float(y), 3), visibility, confidence)
    there = decoded.confidence >= absent_below
    rivalry = round(float(decoded.rivalry[there].mean()), 6) if there.any() else 0.0
    return Pose(keypoints, box, rivalry=rivalry)

"""Prediction of poses with a trained model, by PyTorch or ONNX Runtime."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from agir_cvtoolkit.errors import CheckpointError
from agir_cvtoolkit.joints import JointSchema
from agir_cvtoolkit.models.card import ModelCard
from agir_cvtoolkit.models.libraries import require_torch
from agir_cvtoolkit.models.pose_crop import RGB
from agir_cvtoolkit.models.pose_reading import HeatmapSource, TorchHeatmaps, find_poses
from agir_cvtoolkit.poses import Pose
from agir_cvtoolkit.records import Box

ABSENT_BELOW = 0.05
"""Joints below this confidence are absent."""


class PosePredictor:
    """Finds one animal in each picture, or in each box of a picture.

    Attributes:
        card: of the model.
        schema: the joints that it knows.
    """

    def __init__(
        self,
        source: HeatmapSource,
        card: ModelCard,
        *,
        absent_below: float = ABSENT_BELOW,
        look_twice: bool = True,
    ) -> None:
        """Take what computes heat maps, and the card of its model.

        Args:
            source: by PyTorch or ONNX Runtime.
            card: of a pose model.
            absent_below: joints below this confidence are absent.
            look_twice: where no box is given, look again at the animal that was found.

        Raises:
            CheckpointError: the card is not of a pose model.
        """
        if card.schema is None:
            raise CheckpointError(f"model {card.identity} is no pose model", "Choose one that retrain made.")
        self.card = card
        self.schema: JointSchema = card.schema
        self._source = source
        self._absent_below = absent_below
        self._look_twice = look_twice

    @classmethod
    def load(
        cls,
        path: Path,
        device: str = "auto",
        *,
        absent_below: float = ABSENT_BELOW,
        look_twice: bool = True,
    ) -> PosePredictor:
        """Open a model: ``best.pth``, or ``best.onnx`` by ONNX Runtime.

        Args:
            path: of the model.
            device: ``auto`` (a GPU where there is one), ``cpu``, ``cuda``, ``cuda:<number>`` or ``mps``; ONNX models
                are computed on the CPU.
            absent_below, look_twice: as of the class.

        Raises:
            CheckpointError: missing, damaged, of another tool, or no pose model.
            ConfigError: there is no such device.
            MissingExtraError: torch, or for ``.onnx`` ONNX Runtime, is not installed.
        """
        if path.suffix.lower() == ".onnx":
            from .onnx_predictor import OnnxHeatmaps

            ready = OnnxHeatmaps.open(path)
            return cls(ready, ready.card, absent_below=absent_below, look_twice=look_twice)
        require_torch("Prediction of poses with a trained model")
        from agir_cvtoolkit.models.checkpoint import load_checkpoint
        from agir_cvtoolkit.models.devices import device_for

        network, card = load_checkpoint(path, "pose")
        source = TorchHeatmaps(network, card, device_for(device, "pose_inference.device"))
        return cls(source, card, absent_below=absent_below, look_twice=look_twice)

    @property
    def name(self) -> str:
        """Name and version of the weights, such as ``heatmap-efficientnet_lite0@0123456789ab``."""
        return self.card.identity

    def predict(self, rgbs: Sequence[RGB], boxes: Sequence[Box | None] | None = None) -> list[Pose]:
        """Find one animal in each picture; what is found does not depend on the other pictures.

        The overall confidence of a pose, as devices compute it, is `poses.overall_confidence`.

        Args:
            rgbs: uint8 RGB arrays (height, width, 3) of upright pictures; the same one for several boxes of it.
            boxes: around the animals, in pixels; None where none is known. Without boxes: all whole pictures.

        Returns:
            Poses in pixels of their pictures: every joint of the schema with its confidence, ``visible``,
            ``occluded``, or ``absent`` where the confidence is too low for a place.
        """
        known: Sequence[Box | None] = [None] * len(rgbs) if boxes is None else boxes
        return find_poses(
            self._source, self.card, rgbs, known, self._absent_below, look_twice=self._look_twice
        )

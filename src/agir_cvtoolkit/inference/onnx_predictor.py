"""Prediction with models that were exported as ONNX, by ONNX Runtime and without torch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from agir_cvtoolkit.errors import CheckpointError, MissingExtraError
from agir_cvtoolkit.models.card import ModelCard

from .predictor import RGB, Probabilities

_CARD_KEY = "agir_cvtoolkit.card"
_AGAIN = "Export it again from its best.pth."


class OnnxModel:
    """An exported model of either kind.

    Attributes:
        card: as it lies in the file.
    """

    def __init__(self, session: Any, card: ModelCard) -> None:
        """Take ONNX Runtime's session and the card."""
        self.card = card
        self._session = session

    @classmethod
    def open(cls, path: Path, kind: str) -> OnnxModel:
        """Open a model on the CPU.

        Args:
            path: of the file.
            kind: ``segmentation`` or ``pose``.

        Raises:
            CheckpointError: missing, damaged, not exported by this package, or of the other kind.
            MissingExtraError: ONNX Runtime is not installed.
        """
        try:
            import onnxruntime
        except ImportError as error:
            raise MissingExtraError("Prediction with ONNX models", "onnx") from error
        if not path.is_file():
            raise CheckpointError(f"model {path} does not exist", "Check the path.")
        try:
            session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
            content = session.get_modelmeta().custom_metadata_map.get(_CARD_KEY)
        except Exception as error:
            # ONNX Runtime's own exceptions share no class but this one.
            raise CheckpointError(f"model {path} cannot be loaded: {_first_line(error)}", _AGAIN) from error
        if content is None:
            raise CheckpointError(f"model {path} was not exported by this package", _AGAIN)
        try:
            parsed: object = json.loads(content)
        except ValueError as error:
            raise CheckpointError(f"the card in model {path} is damaged", _AGAIN) from error
        card = ModelCard.from_json_object(parsed, f"the card in model {path}")
        if card.kind != kind:
            raise CheckpointError(
                f"model {path} is a {card.kind} model, not a {kind} model", "Choose another."
            )
        return cls(session, card)

    def run(self, pixels: RGB) -> list[NDArray[np.float32]]:
        """Return the outputs for uint8 RGB (n, height, width, 3), one picture after another."""
        parts = []
        for picture in pixels:
            values = np.ascontiguousarray(picture.transpose(2, 0, 1)[None], dtype=np.float32)
            parts.append(self._session.run(None, {self._session.get_inputs()[0].name: values}))
        return [np.concatenate(one) for one in zip(*parts, strict=True)]


class OnnxHeatmaps:
    """Heat maps of a pose model; what `pose_predictor.PosePredictor` needs.

    Attributes:
        card: of the model.
    """

    def __init__(self, model: OnnxModel) -> None:
        """Take an open pose model."""
        self.card = model.card
        self._model = model

    @classmethod
    def open(cls, path: Path) -> OnnxHeatmaps:
        """Open a pose model; errors are those of `OnnxModel.open`."""
        return cls(OnnxModel.open(path, "pose"))

    def heatmaps(self, inputs: RGB) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return probabilities of place and of being hidden, as `models.pose_reading.HeatmapSource` says."""
        places, hidden = self._model.run(inputs)
        return places, hidden


class OnnxPredictor:
    """Predicts tiles with an exported segmentation model, in the size that it was exported with."""

    def __init__(self, model: OnnxModel) -> None:
        """Take an open segmentation model."""
        self.card = model.card
        self._model = model

    @classmethod
    def open(cls, path: Path) -> OnnxPredictor:
        """Open a segmentation model; errors are those of `OnnxModel.open`."""
        return cls(OnnxModel.open(path, "segmentation"))

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
            batch: uint8 RGB of shape (n, height, width, 3); height and width are those of ``card.tile_size``.

        Returns:
            float32 of shape (n, classes, height, width), summing to 1 over the classes.

        Raises:
            CheckpointError: the tiles are of another size than the model takes.
        """
        height, width = self.card.tile_size
        if batch.shape[1:3] != (height, width):
            raise CheckpointError(
                f"model {self.name} takes tiles of {width}x{height}, not {batch.shape[2]}x{batch.shape[1]}",
                f"Set seg_inference.tile.width={width} seg_inference.tile.height={height}",
            )
        return self._model.run(batch)[0]


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]

"""Prediction with models that were exported as ONNX, by ONNX Runtime and without torch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agir_cvtoolkit.errors import CheckpointError, MissingExtraError
from agir_cvtoolkit.models.card import ModelCard

from .network_predictor import NetworkPredictor
from .predictor import RGB, Probabilities

_CARD_KEY, _STEP_KEY = "agir_cvtoolkit.card", "agir_cvtoolkit.tile_step"
_AGAIN = "Export it again from its best.pth."


class OnnxModel:
    """An exported model of either kind.

    Attributes:
        card: as it lies in the file.
        tile_step: height and width must be multiples of it; None where they must be those of ``card.tile_size``.
    """

    def __init__(self, session: Any, card: ModelCard, tile_step: int | None) -> None:
        """Take ONNX Runtime's session, the card and the step."""
        self.card = card
        self.tile_step = tile_step
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
            metadata = session.get_modelmeta().custom_metadata_map
        except Exception as error:
            # ONNX Runtime's own exceptions share no class but this one.
            raise CheckpointError(f"model {path} cannot be loaded: {_first_line(error)}", _AGAIN) from error
        if _CARD_KEY not in metadata:
            raise CheckpointError(f"model {path} was not exported by this package", _AGAIN)
        try:
            parsed: object = json.loads(metadata[_CARD_KEY])
            step = int(metadata[_STEP_KEY]) if _STEP_KEY in metadata else None
        except ValueError as error:
            raise CheckpointError(f"the card in model {path} is damaged", _AGAIN) from error
        card = ModelCard.from_json_object(parsed, f"the card in model {path}")
        if card.kind != kind:
            raise CheckpointError(
                f"model {path} is a {card.kind} model, not a {kind} model", "Choose another."
            )
        return cls(session, card, step)

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


class OnnxPredictor(NetworkPredictor):
    """Predicts tiles with an exported segmentation model, one by one."""

    def __init__(self, model: OnnxModel) -> None:
        """Take an open segmentation model."""
        super().__init__(model.card)
        self._model = model

    @classmethod
    def open(cls, path: Path) -> OnnxPredictor:
        """Open a segmentation model; errors are those of `OnnxModel.open`."""
        return cls(OnnxModel.open(path, "segmentation"))

    def _computed(self, tiles: RGB) -> Probabilities:
        return self._model.run(tiles)[0]

    def _check_size(self, height: int, width: int) -> None:
        step = self._model.tile_step
        if step is None and (height, width) != self.card.tile_size:
            fits, (tall, wide) = "", self.card.tile_size
        elif step is not None and (height % step or width % step):
            fits = f" whose sides are multiples of {step}, such as"
            tall, wide = (max(1, round(side / step)) * step for side in (height, width))
        else:
            return
        raise CheckpointError(
            f"model {self.name} takes tiles{fits or ' of'} {wide}x{tall}, not {width}x{height}",
            f"Set seg_inference.tile.width={wide} seg_inference.tile.height={tall}",
        )


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]

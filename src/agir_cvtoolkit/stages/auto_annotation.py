"""Our predictors as an auto-annotation function of CVAT, for ``cvat-cli`` and CVAT's agents.

``cvat-cli task auto-annotate TASK --function-module agir_cvtoolkit.stages.auto_annotation`` calls `create`, then
`AutoAnnotation.detect` for each picture. Only here the CVAT SDK is imported: such a function has to speak its types.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from agir_cvtoolkit.errors import ConfigError, MissingExtraError, did_you_mean

try:
    import cvat_sdk.auto_annotation as cvataa
    from cvat_sdk import models
except ImportError as missing:
    raise MissingExtraError("An auto-annotation function for CVAT", "auto-annotation") from missing

if TYPE_CHECKING:
    from PIL.Image import Image

    from agir_cvtoolkit.config import SegInference
    from agir_cvtoolkit.inference.predictor import RGB, Predictor
    from agir_cvtoolkit.masks import Bitmap

_TOLERANCE = 0.5
"""Largest distance in pixels by which an outline may leave its mask."""


def create(
    checkpoint: str = "", predictor: str = "", labels: str = "", overrides: str = ""
) -> AutoAnnotation:
    """Make the function that ``cvat-cli`` calls; each argument is one of its ``--function-parameter``.

    Args:
        checkpoint: a trained model, as in ``seg_inference.model.ckpt_path``.
        predictor: as in ``seg_inference.model.predictor``; without either it is ``excess_green``.
        labels: the label in CVAT for each class, such as ``plant=weed`` or ``crop=maize,weed=weed``; classes that are
            not named keep their names.
        overrides: further settings, separated by spaces, such as ``seg_inference.post_process.threshold=0.6``.

    Raises:
        ConfigError: wrong settings or labels.
        CheckpointError: the model cannot be used.
        MissingExtraError: torch is wanted and not installed.
    """
    from agir_cvtoolkit.config import SegInference, load_settings
    from agir_cvtoolkit.inference.registry import open_predictor

    from ._segmentation_champion import champion_of

    settings = load_settings(tuple(shlex.split(overrides)))
    chosen = settings.seg_inference.model_dump()
    chosen["model"] |= {"ckpt_path": checkpoint} if checkpoint else {}
    chosen["model"] |= {"predictor": predictor} if predictor else {}
    try:
        wanted = SegInference.model_validate(chosen)
    except ValueError as error:
        raise ConfigError(
            f"predictor '{predictor}' cannot be used: {error}", "See docs/models.md."
        ) from error
    whole = settings.model_copy(update={"seg_inference": wanted})
    opened = open_predictor(wanted, champion_of(whole))
    return AutoAnnotation(opened, wanted, _parsed(labels))


class AutoAnnotation:
    """A detection function of CVAT: one mask for each class of a picture, or its outlines.

    Attributes:
        spec: the labels, as CVAT's driver wants them.
    """

    def __init__(self, predictor: Predictor, settings: SegInference, labels: Mapping[str, str]) -> None:
        """Take an open predictor.

        Args:
            predictor: of either kind.
            settings: of prediction and post-processing.
            labels: label in CVAT by class.

        Raises:
            ConfigError: a label for a class that the predictor does not know.
        """
        known = predictor.classes[1:]
        for name in labels:
            if name not in known:
                near = did_you_mean(name, known)
                raise ConfigError(
                    f"predictor {predictor.name} knows no class '{name}'",
                    f"{near} Its classes are {', '.join(known)}.".strip(),
                )
        self._predictor = predictor
        self._settings = settings
        self.spec: Any = cvataa.DetectionFunctionSpec(
            labels=[
                cvataa.label_spec(labels.get(name, name), number)
                for number, name in enumerate(known, start=1)
            ]
        )

    def detect(self, context: Any, image: Image) -> list[Any]:
        """Return the shapes of a picture.

        Args:
            context: of CVAT's driver. Its ``conf_threshold``, where it is higher than
                ``seg_inference.post_process.threshold``, takes its place: a pixel belongs to a plant from there on.
            image: the frame.
        """
        from PIL import ImageOps

        from agir_cvtoolkit.inference.segment import segment

        rgb: RGB = np.asarray(ImageOps.exif_transpose(image).convert("RGB"), dtype=np.uint8)
        settings = self._settings
        if context.conf_threshold is not None and context.conf_threshold > settings.post_process.threshold:
            # 1 itself would ask for more than a probability can be.
            post = {"threshold": min(context.conf_threshold, 1 - 1e-6)}
            settings = settings.model_copy(
                update={"post_process": settings.post_process.model_copy(update=post)}
            )
        index = segment(self._predictor, rgb, settings).index
        found: list[Any] = []
        for number in range(1, len(self._predictor.classes)):
            shapes = _polygons if context.conv_mask_to_poly else _masks
            found.extend(shapes(index == number, number))
        return found


def _masks(mask: Bitmap, label: int) -> Iterator[Any]:
    from agir_cvtoolkit.masks import encode

    runs = encode(mask)
    if runs is not None:
        points = [float(value) for value in (*runs.lengths, *runs.box)]
        yield models.LabeledShapeRequest(type="mask", frame=0, label_id=label, points=points)


def _polygons(mask: Bitmap, label: int) -> Iterator[Any]:
    from agir_cvtoolkit.outlines import bridged, regions

    for region in regions(mask, _TOLERANCE):
        points = [float(value) for value in bridged(region).reshape(-1)]
        yield models.LabeledShapeRequest(type="polygon", frame=0, label_id=label, points=points)


def _parsed(labels: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for pair in filter(None, (part.strip() for part in labels.split(","))):
        name, separator, label = (part.strip() for part in pair.partition("="))
        if not (name and separator and label):
            raise ConfigError(f"labels '{labels}' are no pairs", "Write them so: plant=weed")
        found[name] = label
    return found

"""No model yet: animals without a single joint, so that people can draw the first ones."""

from __future__ import annotations

from collections.abc import Sequence

from agir_cvtoolkit.joints import JointSchema
from agir_cvtoolkit.models.pose_crop import RGB
from agir_cvtoolkit.poses import Pose
from agir_cvtoolkit.records import Box

from .pose_predictor import PosePredictor


class BlankPosePredictor(PosePredictor):
    """Says of every picture that it has not found a joint.

    Args:
        schema: the joints that people will draw.
    """

    def __init__(self, schema: JointSchema) -> None:
        self.schema = schema

    @property
    def name(self) -> str:
        """Name of the absent model, with that of the joints."""
        return f"none@{self.schema.name}"

    def predict(self, rgbs: Sequence[RGB], boxes: Sequence[Box | None] | None = None) -> list[Pose]:
        """Return an empty pose for each picture or box."""
        return [Pose() for _ in rgbs]

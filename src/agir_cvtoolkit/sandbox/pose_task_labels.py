"""The labels of a task about poses, by what they are for."""

from __future__ import annotations

from collections.abc import Sequence

from agir_cvtoolkit.joints import JointSchema

from .handwork import Json

_VISIBILITY = "visibility"


class PoseLabels:
    """The labels of one task.

    Attributes:
        joints: by the id of their label.
        of_joint: labels, or sublabels of the skeleton, by joint.
        skeleton: the skeleton's label; None where joints are single points.
        box: label of boxes; None where there is none.
    """

    def __init__(self, labels: Sequence[Json], schema: JointSchema) -> None:
        self.joints: dict[int, str] = {}
        self.of_joint: dict[str, Json] = {}
        self.skeleton: Json | None = None
        self.box: Json | None = None
        for label in labels:
            if label["type"] == "skeleton" and self.skeleton is None:
                self.skeleton = label
                for sublabel in label["sublabels"]:
                    self._take(sublabel, schema)
            elif label["type"] in {"points", "any"} and schema.resolve(label["name"]) is not None:
                self._take(label, schema)
            elif label["type"] == "rectangle" and self.box is None:
                self.box = label

    def _take(self, label: Json, schema: JointSchema) -> None:
        joint = schema.resolve(label["name"])
        if joint is not None and joint not in self.of_joint:
            self.of_joint[joint] = label
            self.joints[int(label["id"])] = joint

    def visibility(self, joint: str) -> int | None:
        """Return the id of a joint's attribute for its visibility."""
        found = (a["id"] for a in self.of_joint[joint]["attributes"] if a["name"].casefold() == _VISIBILITY)
        return next(found, None)

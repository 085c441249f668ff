"""The drawing of a skeleton label, from which CVAT's page makes new skeletons."""

from __future__ import annotations

import math
from html import escape

from agir_cvtoolkit.joints import JointSchema

Place = tuple[float, float]

_PLACES: dict[str, Place] = {
    "nose": (94, 30), "left_eye": (85, 20), "right_eye": (89, 17), "left_ear": (76, 12), "right_ear": (81, 8),
    "left_ear_bottom": (78, 20), "left_ear_middle": (76, 14), "left_ear_top": (74, 8),
    "right_ear_bottom": (83, 14), "right_ear_middle": (82, 9), "right_ear_top": (81, 4),
    "throat": (76, 34), "neck": (76, 34), "withers": (66, 28), "center": (46, 31), "spine_mid": (46, 31),
    "left_front_shoulder": (67, 44), "left_front_elbow": (65, 60), "left_front_knee": (66, 74),
    "left_front_wrist": (66, 74),
    "left_front_paw": (67, 90), "right_front_shoulder": (73, 45), "right_front_elbow": (74, 60),
    "right_front_knee": (76, 74), "right_front_wrist": (76, 74), "right_front_paw": (78, 88),
    "left_hip": (26, 42), "left_back_hip": (26, 42), "left_knee": (24, 60), "left_back_elbow": (24, 58),
    "left_back_knee": (19, 74), "left_back_wrist": (19, 74), "left_back_paw": (21, 90), "right_hip": (33, 43),
    "right_back_hip": (33, 43), "right_knee": (34, 60), "right_back_elbow": (34, 58), "right_back_knee": (30, 74),
    "right_back_wrist": (30, 74), "right_back_paw": (33, 88),
    "tail_base": (16, 32), "tail_top": (16, 32), "tail_mid_1": (10, 25), "tail_mid": (9, 24),
    "tail_middle": (9, 24), "tail_mid_2": (6, 17), "tail_tip": (5, 8), "tail_bottom": (5, 8),
    "head": (88, 22), "trunk": (46, 34), "forelegs": (70, 70), "hindlegs": (26, 70), "tail": (8, 20),
}  # fmt: skip
"""Where a standing animal that looks to the right has its joints, in percent of the drawing."""


def skeleton_svg(schema: JointSchema) -> str:
    """Draw a skeleton label as the server wants it: a line for each link, then a circle for each joint.

    Circles are numbered from 1 in the order of the joints; the server puts its own ids in place of
    ``data-label-name``, and CVAT's page looks every number of a line up among the circles. Joints lie where they are
    on a standing dog; those of other animals on a ring.
    """
    places = _places(schema)
    numbers = {joint: number for number, joint in enumerate(schema.joints, start=1)}
    lines = [
        f'<line x1="{places[a][0]:.2f}" y1="{places[a][1]:.2f}" x2="{places[b][0]:.2f}" y2="{places[b][1]:.2f}" '
        f'stroke="black" data-type="edge" data-node-from="{numbers[a]}" stroke-width="0.5" '
        f'data-node-to="{numbers[b]}"></line>'
        for a, b in schema.links
    ]
    circles = [
        f'<circle r="0.75" stroke="black" fill="#b3b3b3" cx="{places[joint][0]:.2f}" cy="{places[joint][1]:.2f}" '
        f'stroke-width="0.1" data-type="element node" data-element-id="{number}" data-node-id="{number}" '
        f'data-label-name="{escape(joint)}"></circle>'
        for joint, number in numbers.items()
    ]
    return "".join((*lines, *circles))


def _places(schema: JointSchema) -> dict[str, Place]:
    known = {joint: _PLACES[joint] for joint in schema.joints if joint in _PLACES}
    if len(known) == len(schema.joints) and len(set(known.values())) == len(known):
        return known
    turn = 2 * math.pi / len(schema.joints)
    return {
        joint: (50 + 40 * math.cos(i * turn), 50 - 40 * math.sin(i * turn))
        for i, joint in enumerate(schema.joints)
    }

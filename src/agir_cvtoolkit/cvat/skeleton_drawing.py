"""The drawing of a skeleton label, from which CVAT's page makes new skeletons."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from html.parser import HTMLParser

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


Edge = tuple[str, str]


@dataclass(frozen=True)
class Drawing:
    """How a skeleton label is drawn.

    Attributes:
        places: of each point, by name, in percent of the drawing (x right, y down), in the order of the label.
        edges: pairs of points that a line joins.
    """

    places: Mapping[str, Place] = field(hash=False)
    edges: tuple[Edge, ...] = ()


def skeleton_svg(schema: JointSchema) -> str:
    """Draw the skeleton label of a schema: see `drawing_of` and `draw`."""
    return draw(drawing_of(schema.joints, schema.links))


def drawing_of(
    points: Sequence[str], edges: Sequence[Edge] = (), given: Mapping[str, Place] | None = None
) -> Drawing:
    """Place the points of a skeleton.

    Joints lie where they are on a standing dog; where one is not known there, or two coincide, all points lie on a
    ring.

    Args:
        points: names, in the order of the label.
        edges: pairs of them.
        given: places that are known already; the others are chosen.
    """
    given = given or {}
    known = {point: _PLACES[point] for point in points if point in _PLACES}
    if len(known) < len(points) or len(set(known.values())) < len(known):
        turn = 2 * math.pi / max(1, len(points))
        known = {
            p: (50 + 40 * math.cos(i * turn), 50 - 40 * math.sin(i * turn)) for i, p in enumerate(points)
        }
    places: dict[str, Place] = {}
    taken = set(given.values())
    for point in points:
        place = given.get(point, known[point])
        while point not in given and place in taken:
            place = (place[0] + 7) % 100, (place[1] + 3) % 100
        places[point] = place
        taken.add(place)
    return Drawing(places, tuple(edges))


def draw(drawing: Drawing) -> str:
    """Draw a skeleton label as the server wants it: a line for each edge, then a circle for each point.

    Circles are numbered from 1 in the order of the points; the server puts its own ids in place of
    ``data-label-name``, and CVAT's page looks every number of a line up among the circles.
    """
    places = drawing.places
    numbers = {point: number for number, point in enumerate(places, start=1)}
    lines = [
        f'<line x1="{places[a][0]:.2f}" y1="{places[a][1]:.2f}" x2="{places[b][0]:.2f}" y2="{places[b][1]:.2f}" '
        f'stroke="black" data-type="edge" data-node-from="{numbers[a]}" stroke-width="0.5" '
        f'data-node-to="{numbers[b]}"></line>'
        for a, b in drawing.edges
    ]
    circles = [
        f'<circle r="0.75" stroke="black" fill="#b3b3b3" cx="{places[point][0]:.2f}" cy="{places[point][1]:.2f}" '
        f'stroke-width="0.1" data-type="element node" data-element-id="{number}" data-node-id="{number}" '
        f'data-label-name="{escape(point)}"></circle>'
        for point, number in numbers.items()
    ]
    return "".join((*lines, *circles))


def read_drawing(svg: str, points: Mapping[int, str] | Sequence[str]) -> Drawing:
    """Read a drawing as CVAT's page or server writes it.

    Args:
        svg: circles and lines; circles name their point by ``data-label-name``, or by the server's ``data-label-id``.
        points: names of the points, by the server's id of each where they have one, in the order of the label.

    Raises:
        ValueError: a point has no circle, or two; a circle has no point, or no place within the drawing; a line
            joins what is not there.
    """
    reader = _Reader()
    reader.feed(svg)
    reader.close()
    by_id = points if isinstance(points, Mapping) else {}
    names = list(points.values() if isinstance(points, Mapping) else points)
    places: dict[str, Place] = {}
    nodes: dict[str, str] = {}
    for circle in reader.circles:
        name = circle.get("data-label-name") or by_id.get(_number(circle.get("data-label-id")))
        if name is None or name not in names:
            raise ValueError(f"a circle stands for {name!r}, which is no point of the skeleton")
        if name in places:
            raise ValueError(f"point {name!r} is drawn twice")
        places[name] = (_percent(circle, "cx"), _percent(circle, "cy"))
        nodes[circle.get("data-node-id") or circle.get("data-element-id") or ""] = name
    missing = [name for name in names if name not in places]
    if missing:
        raise ValueError(f"it has no circle for {', '.join(repr(name) for name in missing)}")
    edges = []
    for line in reader.lines:
        ends = [nodes.get(line.get(key) or "-") for key in ("data-node-from", "data-node-to")]
        if ends[0] is None or ends[1] is None or ends[0] == ends[1]:
            raise ValueError(
                "a line does not join two circles (data-node-from and data-node-to are data-node-id)"
            )
        edges.append((ends[0], ends[1]))
    return Drawing({name: places[name] for name in names}, tuple(edges))


class _Reader(HTMLParser):
    """Gathers circles and lines, as a browser would; it knows no entities and fetches nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.circles: list[dict[str, str]] = []
        self.lines: list[dict[str, str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        listed = {"circle": self.circles, "line": self.lines}.get(tag)
        if listed is not None:
            listed.append({name: value or "" for name, value in attrs})


def _number(text: str | None) -> int:
    return int(text) if text and text.isascii() and text.isdigit() else -1


def _percent(circle: Mapping[str, str], name: str) -> float:
    try:
        value = float(circle.get(name, ""))
    except ValueError:
        value = math.nan
    if not 0 <= value <= 100:
        raise ValueError(f"{name}={circle.get(name, '')!r} of a circle is no number from 0 to 100")
    return round(value, 2)

"""Tracks as ordinary shapes, frame by frame: what "CVAT for images 1.1" exports of them.

Between key frames points move, the angle takes the short way, all else is the earlier key frame's. A key frame
that is outside ends the shape before it; after the last one it goes on unchanged. Key frames on deleted frames do
not count.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from agir_cvtoolkit.interpolation import shape_on
from agir_cvtoolkit.shapes import Keyframe, Polygon, Polyline, Track

from .store import Json

_CURVES = frozenset({"polygon", "polyline"})
_STIFF = frozenset({"mask", "skeleton", "cuboid"})


def shapes_of(track: Json, last: int, deleted: Collection[int] = ()) -> Iterator[Json]:
    """Yield a track's shapes from its first key frame to frame `last`, as the annotations of a task have them.

    Args:
        track: as the interface shows it.
        last: of the track's job.
        deleted: frames that are left out.
    """
    parts = [(element, dict(_states(element, last, deleted))) for element in track["elements"]]
    for frame, state in _states(track, last, deleted):
        shape = state | _common(track) | {"elements": []}
        if parts:
            shape["elements"] = [
                (found.get(frame) or _absent(found, frame)) | _common(element)
                for element, found in parts
                if found
            ]
            if all(element["outside"] for element in shape["elements"]):
                continue
        if not shape["outside"]:
            yield shape


def _common(track: Json) -> Json:
    return {key: track[key] for key in ("source", "group", "label_id")}


def _absent(states: dict[int, Json], frame: int) -> Json:
    """Return an element that is drawn only later: it is there, and outside."""
    return states[min(states)] | {"frame": frame, "outside": True}


def _states(track: Json, last: int, deleted: Collection[int]) -> Iterator[tuple[int, Json]]:
    keys = sorted(
        (shape for shape in track["shapes"] if shape["frame"] not in deleted),
        key=lambda shape: int(shape["frame"]),
    )
    for key, following in zip(keys, [*keys[1:], None], strict=True):
        stop = last + 1 if following is None else min(int(following["frame"]), last + 1)
        for frame in range(int(key["frame"]), stop):
            state = key | {"frame": frame, "attributes": [*key["attributes"], *track["attributes"]]}
            if following is not None and frame != key["frame"]:
                state |= _between(key, following, frame)
            if frame not in deleted:
                yield frame, state


def _between(first: Json, second: Json, frame: int) -> Json:
    kind, start, end = first["type"], first["points"], second["points"]
    if kind in _STIFF or kind != second["type"] or (kind == "points" and not len(start) == len(end) == 2):
        return {}
    if kind in _CURVES:
        return {"points": _curve(first, second, frame)}
    share = (frame - first["frame"]) / (second["frame"] - first["frame"])
    turn = (second["rotation"] - first["rotation"] + 180) % 360 - 180
    # Measured: of two equally short ways the server takes neither and turns by one degree.
    turn = 1.0 if turn == -180 else turn
    return {
        "points": [a + (b - a) * share for a, b in zip(start, end, strict=True)],
        "rotation": (first["rotation"] + turn * share) % 360,
    }


def _curve(first: Json, second: Json, frame: int) -> list[float]:
    """Return a line between two that may have other numbers of points; the rule is shared with readers of tracks."""
    kind = Polygon if first["type"] == "polygon" else Polyline
    keyframes = tuple(
        Keyframe(frame=key["frame"], shape=kind(label="", points=_pairs(key["points"])))
        for key in (first, second)
    )
    found = shape_on(Track(label="", keyframes=keyframes), frame)
    if not isinstance(found, Polygon | Polyline):
        return list(first["points"])
    return [number for point in found.points for number in point]


def _pairs(points: Sequence[float]) -> tuple[tuple[float, float], ...]:
    return tuple(zip(points[::2], points[1::2], strict=True))

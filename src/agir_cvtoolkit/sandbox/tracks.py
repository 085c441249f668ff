"""Tracks as ordinary shapes, frame by frame: what "CVAT for images 1.1" exports of them.

Between key frames points move in a straight line, the angle takes the short way, all else is the earlier key
frame's. A key frame that is outside ends the shape before it; after the last one it goes on unchanged.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate, pairwise
from math import dist

from .store import Json

_CURVES = frozenset({"polygon", "polyline"})
_STIFF = frozenset({"mask", "skeleton"})


def shapes_of(track: Json, last: int) -> Iterator[Json]:
    """Yield a track's shapes from its first key frame to frame `last`, as the annotations of a task have them."""
    common = {"source": track["source"], "group": track["group"], "label_id": track["label_id"]}
    parts = [dict(_states(element, last)) for element in track["elements"]]
    for frame, state in _states(track, last):
        shape = state | common | {"elements": []}
        if track["elements"]:
            shape["elements"] = [
                part[frame]
                | {"source": element["source"], "group": element["group"], "label_id": element["label_id"]}
                for part, element in zip(parts, track["elements"], strict=True)
                if frame in part
            ]
            if all(element["outside"] for element in shape["elements"]):
                continue
        if not shape["outside"]:
            yield shape


def _states(track: Json, last: int) -> Iterator[tuple[int, Json]]:
    keys = sorted(track["shapes"], key=lambda shape: int(shape["frame"]))
    for key, following in zip(keys, [*keys[1:], None], strict=True):
        stop = last + 1 if following is None else min(int(following["frame"]), last + 1)
        for frame in range(int(key["frame"]), stop):
            state = dict(key) | {"frame": frame, "attributes": [*key["attributes"], *track["attributes"]]}
            if following is not None and not key["outside"]:
                share = (frame - key["frame"]) / (following["frame"] - key["frame"])
                state |= _between(key, following, share)
            yield frame, state


def _between(first: Json, second: Json, share: float) -> Json:
    if share == 0 or first["type"] in _STIFF or first["type"] != second["type"]:
        return {}
    start, end = first["points"], second["points"]
    if len(start) != len(end):
        if first["type"] not in _CURVES:
            return {}
        start, end = _matched(start, end)
    turn = (second["rotation"] - first["rotation"] + 180) % 360 - 180
    return {
        "points": [a + (b - a) * share for a, b in zip(start, end, strict=True)],
        "rotation": (first["rotation"] + turn * share) % 360,
    }


def _matched(first: Sequence[float], second: Sequence[float]) -> tuple[list[float], list[float]]:
    """Give the curve with fewer points as many as the other has, at the same shares of its length."""
    if len(first) < len(second):
        return _resampled(first, _shares(second)), list(second)
    return list(first), _resampled(second, _shares(first))


def _pairs(points: Sequence[float]) -> list[tuple[float, float]]:
    return list(zip(points[::2], points[1::2], strict=True))


def _shares(points: Sequence[float]) -> list[float]:
    pairs = _pairs(points)
    lengths = [0.0, *accumulate(dist(a, b) for a, b in pairwise(pairs))]
    return [length / (lengths[-1] or 1.0) for length in lengths]


def _resampled(points: Sequence[float], shares: Sequence[float]) -> list[float]:
    pairs, own = _pairs(points), _shares(points)
    found: list[float] = []
    for share in shares:
        place = next((i for i in range(1, len(own)) if own[i] >= share), len(own) - 1)
        width = own[place] - own[place - 1]
        part = (share - own[place - 1]) / width if width else 0.0
        before, after = pairs[place - 1], pairs[place]
        found += [a + (b - a) * part for a, b in zip(before, after, strict=True)]
    return found

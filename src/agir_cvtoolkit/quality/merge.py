"""One annotation out of several people's of the same picture."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from agir_cvtoolkit import masks
from agir_cvtoolkit.corrections import area_of, match
from agir_cvtoolkit.shapes import Mask, Points, Rectangle, Shape, Skeleton

from .agreement import LOOSE, animal_similarity, comparable, is_area

Tie = Literal["keep", "drop"]
SAME_FROM = 0.3
"""IoU or OKS from which two people's shapes are one object."""


@dataclass(frozen=True, eq=False)
class Merged:
    """What came out.

    Attributes:
        shapes: of the picture.
        undecided: what half of the people say and half do not, and what the tie rule made of it.
    """

    shapes: tuple[Shape, ...]
    undecided: tuple[str, ...] = ()


def by_majority(readings: Sequence[Sequence[Shape]], size: tuple[int, int], tie: Tie = "drop") -> Merged:
    """Merge what several people drew on one picture; the order of the people does not matter.

    Shapes of one label are one object where their IoU or OKS is at least `SAME_FROM`, the most similar pairs first, at
    most one of each person. An object stays where more than half of the people drew it. Of its areas a pixel stays
    where more than half of those who drew it have it; of boxes each side is the median; of points each joint stays
    where more than half have it, at the median place, occluded where more than half say so. Where just half do, the
    tie rule decides. What all drew alike stays as it is; lines stay only where more than half drew the same one.

    Args:
        readings: the shapes of each person.
        size: width and height of the picture in pixels.
        tie: ``keep`` or ``drop`` what half of the people say.
    """
    people = [comparable(shapes) for shapes in readings]
    if len({tuple(sorted(map(_key, shapes))) for shapes in readings}) == 1:
        return Merged(tuple(readings[0]))
    kept: list[Shape] = []
    undecided: list[str] = []
    for members in _objects(people, size):
        label = members[0].label
        if 2 * len(members) < len(readings):
            continue
        if 2 * len(members) == len(readings):
            undecided.append(f"'{label}' that half of the people drew was {_done(tie)}")
            if tie == "drop":
                continue
        shape, open_ = _one_of(members, size, tie)
        undecided += open_
        if shape is not None:
            kept.append(shape)
    kept += _lines(readings)
    ordered = sorted(kept, key=lambda shape: (shape.z_order, shape.label, shape.geometry_hash()))
    return Merged(tuple(_apart(ordered)), tuple(sorted(undecided)))


def by_best(readings: Mapping[str, Sequence[Shape]], scores: Mapping[str, float]) -> Merged | None:
    """Take the picture of the annotator with the best gold score; None where nobody has one, or two have the same.

    Args:
        readings: shapes by annotator.
        scores: gold score by annotator.
    """
    ranked = sorted(((scores[name], name) for name in readings if name in scores), reverse=True)
    if not ranked or (len(ranked) > 1 and ranked[0][0] == ranked[1][0]):
        return None
    return Merged(tuple(readings[ranked[0][1]]))


def _objects(people: Sequence[Sequence[Shape]], size: tuple[int, int]) -> list[list[Shape]]:
    """Return the shapes that are one object, of each person one at most."""
    nodes = [(p, i) for p, shapes in enumerate(people) for i in range(len(shapes))]
    edges = []
    for p, q in combinations(range(len(people)), 2):
        a, b = sorted((p, q), key=lambda n: sorted(map(_key, people[n])))
        for one in match(people[a], people[b], size):
            if one.before is None or one.after is None:
                continue
            first, second = people[a][one.before], people[b][one.after]
            similar = one.iou
            if isinstance(first, Skeleton) and isinstance(second, Skeleton):
                similar = animal_similarity(first, second, size, both_ways=True)
            if first.label == second.label and (similar or 0.0) >= SAME_FROM:
                ranked = (-(similar or 0.0), *sorted((_key(first), _key(second))))
                edges.append((ranked, (a, one.before), (b, one.after)))
    cluster = {node: {node} for node in nodes}
    for _, first_node, second_node in sorted(edges, key=lambda edge: edge[0]):
        mine, theirs = cluster[first_node], cluster[second_node]
        if mine is theirs or {p for p, _ in mine} & {p for p, _ in theirs}:
            continue
        mine |= theirs
        for node in theirs:
            cluster[node] = mine
    found = {id(members): members for members in cluster.values()}
    return sorted(
        (sorted((people[p][i] for p, i in members), key=_key) for members in found.values()),
        key=lambda shapes: [_key(shape) for shape in shapes],
    )


def _one_of(members: Sequence[Shape], size: tuple[int, int], tie: Tie) -> tuple[Shape | None, list[str]]:
    same = Counter(_key(shape) for shape in members)
    key, votes = max(same.items(), key=lambda pair: (pair[1], pair[0]))
    if 2 * votes > len(members):
        return next(shape for shape in members if _key(shape) == key), []
    skeletons = [shape for shape in members if isinstance(shape, Skeleton)]
    if len(skeletons) == len(members):
        return _animal(skeletons, tie)
    boxes = [shape for shape in members if isinstance(shape, Rectangle) and not shape.rotation]
    if len(boxes) == len(members):
        sides = np.median([np.sort(np.asarray(box.points), axis=0) for box in boxes], axis=0)
        corners = tuple((float(x), float(y)) for x, y in sides)
        return replace(boxes[0], points=corners, source="manual", confidence=None), []
    return _area(members, size, tie)


def _area(members: Sequence[Shape], size: tuple[int, int], tie: Tie) -> tuple[Shape | None, list[str]]:
    areas = [area_of(shape, size) for shape in members]  # type: ignore[arg-type]
    boxes = [area.box for area in areas if area.pixels]
    if not boxes:
        return None, []
    left, top = min(b[0] for b in boxes), min(b[1] for b in boxes)
    box = (left, top, max(b[2] for b in boxes), max(b[3] for b in boxes))
    votes = np.zeros((box[3] - top, box[2] - left), dtype=np.int32)
    for area in areas:
        if area.pixels:
            votes += area.drawn(box)
    sure: NDArray[np.bool_] = 2 * votes > len(members)
    tied: NDArray[np.bool_] = 2 * votes == len(members)
    kept = sure | tied if tie == "keep" else sure
    runs = masks.encode(kept)
    first = members[0]
    said = int(np.count_nonzero(tied))
    undecided = [f"{said} pixels of '{first.label}' were {_done(tie)}"] if said else []
    if runs is None:
        return None, undecided
    x1, y1, x2, y2 = runs.box
    place = (x1 + left, y1 + top, x2 + left, y2 + top)
    z_order = int(np.median([shape.z_order for shape in members]))
    mask = Mask(label=first.label, runs=runs.lengths, box=place, source="manual", z_order=z_order)
    return mask, undecided


def _animal(members: Sequence[Skeleton], tie: Tie) -> tuple[Shape | None, list[str]]:
    names = list(dict.fromkeys(e.label for shape in members for e in shape.elements))
    if len({tuple(e.label for e in shape.elements) for shape in members}) > 1:
        names.sort()
    elements, undecided = [], []
    for name in names:
        known = [e for shape in members for e in shape.elements if e.label == name]
        there = [e for e in known if e.points and not e.outside]
        is_there = 2 * len(there) > len(members)
        if 2 * len(there) == len(members):
            undecided.append(f"joint '{name}' of '{members[0].label}' was {_done(tie)}")
            is_there = tie == "keep"
        occluded = is_there and 2 * sum(e.occluded for e in there) > len(there)
        place = np.median([e.points[0] for e in (there or known)], axis=0)
        point = Points(
            label=name,
            points=((float(place[0]), float(place[1])),),
            source="manual",
            outside=not is_there,
            occluded=occluded,
            attributes=_voted_attributes(there or known),
        )
        elements.append(point)
    if all(element.outside for element in elements):
        return None, undecided
    first = members[0]
    merged = Skeleton(
        label=first.label, elements=tuple(elements), source="manual", attributes=_voted_attributes(members)
    )
    return merged, undecided


def _voted_attributes(shapes: Sequence[Shape]) -> dict[str, str]:
    """Return the value of each attribute that most people chose, the first by name of several."""
    votes: dict[str, Counter[str]] = {}
    for shape in shapes:
        for name, value in shape.attributes.items():
            votes.setdefault(name, Counter())[value] += 1
    return {
        name: min(found, key=lambda value: (-found[value], value)) for name, found in sorted(votes.items())
    }


def _lines(readings: Sequence[Sequence[Shape]]) -> list[Shape]:
    """Return the lines that more than half of the people drew alike."""
    votes: Counter[str] = Counter()
    known: dict[str, Shape] = {}
    for shapes in readings:
        own = {_key(s): s for s in shapes if not is_area(s) and not isinstance(s, Points | Skeleton)}
        votes.update(own.keys())
        known |= own
    return [known[key] for key, count in votes.items() if 2 * count > len(readings)]


def _apart(shapes: Sequence[Shape]) -> list[Shape]:
    """Make single points of the animals again that were made of them, a group for each."""
    found: list[Shape] = []
    group = 0
    for shape in shapes:
        if isinstance(shape, Skeleton) and shape.label == LOOSE:
            group += 1
            found += [replace(e, group=group) for e in shape.elements if not e.outside]
        elif isinstance(shape, Skeleton) and [e.label for e in shape.elements] == [shape.label]:
            found += shape.elements
        else:
            found.append(shape)
    return found


def _key(shape: Shape) -> str:
    return f"{shape.geometry_hash()}|{shape.occluded:d}|{sorted(shape.attributes.items())}"


def _done(tie: Tie) -> str:
    return "kept" if tie == "keep" else "dropped"

"""Which of the points, skeletons and boxes of one picture are one animal."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from agir_cvtoolkit.joints import JointSchema
from agir_cvtoolkit.poses import ABSENT, Keypoint, Pose
from agir_cvtoolkit.records import Box

APART = 1.5
"""Animals are apart where the way from one to the other is so many times the longest way within one."""
SAME_PX = 0.5
"""Two points so near are one that was drawn twice."""


@dataclass(frozen=True)
class Mark:
    """One joint as somebody drew it; `spelled` is the label's own name."""

    joint: str
    spelled: str
    point: Keypoint
    group: int = 0


@dataclass(frozen=True)
class SeenBox:
    """A box around an animal."""

    box: Box
    group: int
    attributes: Mapping[str, str]


@dataclass(frozen=True)
class SeenSkeleton:
    """A skeleton with its joints."""

    marks: tuple[Mark, ...]
    group: int
    attributes: Mapping[str, str]


@dataclass
class _Animal:
    group: int = 0
    marks: list[Mark] = field(default_factory=list)
    box: SeenBox | None = None
    attributes: dict[str, str] = field(default_factory=dict)

    def placed(self) -> list[Mark]:
        return [mark for mark in self.marks if mark.point.is_there]

    def has(self, joint: str) -> bool:
        return any(mark.joint == joint and mark.point.is_there for mark in self.marks)


def animals_of(
    marks: Sequence[Mark],
    boxes: Sequence[SeenBox],
    skeletons: Sequence[SeenSkeleton],
    schema: JointSchema,
    problems: list[str],
) -> list[Pose]:
    """Put together what belongs together; what does not is added to `problems`."""
    animals = [_Animal(s.group, list(s.marks), None, dict(s.attributes)) for s in skeletons]
    loose: list[Mark] = []
    for mark in marks:
        if mark.group:
            _of_group(animals, mark.group).marks.append(mark)
        else:
            loose.append(mark)
    free = _give_boxes_by_group(animals, boxes, problems)
    _give_boxes_by_place(animals, free)
    # A box without joints is an animal: loose points may be its.
    animals += [_Animal(0, [], box, {}) for box in free]
    _give_points(animals, _preferred(loose, schema, problems), schema, problems)
    poses = [(animal, _pose(animal, schema, problems)) for animal in animals]
    whole = [(animal, pose) for animal, pose in poses if pose.there or pose.box is not None]
    return [pose for _, pose in sorted(whole, key=lambda pair: _order(*pair))]


def _of_group(animals: list[_Animal], group: int) -> _Animal:
    found = next((animal for animal in animals if animal.group == group), None)
    if found is None:
        found = _Animal(group)
        animals.append(found)
    return found


def _give_boxes_by_group(
    animals: list[_Animal], boxes: Sequence[SeenBox], problems: list[str]
) -> list[SeenBox]:
    free = []
    for box in boxes:
        owner = next((a for a in animals if box.group and a.group == box.group), None)
        if owner is None:
            free.append(box)
        elif owner.box is None:
            owner.box = box
        else:
            problems.append(f"group {box.group} has a second box")
    return free


def _give_boxes_by_place(animals: Sequence[_Animal], free: list[SeenBox]) -> None:
    """Give each animal without a box the one that holds most of its joints, the surest first."""
    pairs = []
    for i, animal in enumerate(animals):
        placed = animal.placed()
        if animal.box is not None or not placed:
            continue
        for j, box in enumerate(free):
            inside = sum(_distance(mark.point, box.box) == 0.0 for mark in placed)
            if 2 * inside > len(placed):
                pairs.append((-inside / len(placed), box.box.width * box.box.height, i, j))
    taken: set[int] = set()
    for _, _, i, j in sorted(pairs):
        if animals[i].box is None and j not in taken:
            animals[i].box = free[j]
            taken.add(j)
    free[:] = [box for j, box in enumerate(free) if j not in taken]


def _preferred(marks: Sequence[Mark], schema: JointSchema, problems: list[str]) -> list[Mark]:
    """Leave out what bears another name of a joint that is there by its own, or by an alias listed before."""
    kept = []
    best = _best_names(marks, schema)
    for mark in marks:
        if mark.spelled == best[mark.joint]:
            kept.append(mark)
        else:
            problems.append(
                f"'{mark.spelled}' and '{best[mark.joint]}' are both {mark.joint}: the first is left out"
            )
    return kept


def _best_names(marks: Iterable[Mark], schema: JointSchema) -> dict[str, str]:
    ranks = {name: rank for rank, name in enumerate(schema.aliases)}
    best: dict[str, str] = {}
    for mark in marks:
        known = best.get(mark.joint)
        if known is None or _rank(mark.spelled, mark.joint, ranks) < _rank(known, mark.joint, ranks):
            best[mark.joint] = mark.spelled
    return best


def _rank(spelled: str, joint: str, ranks: Mapping[str, int]) -> tuple[int, str]:
    return (-1 if spelled == joint else ranks.get(spelled, len(ranks)), spelled)


def _give_points(animals: list[_Animal], loose: list[Mark], schema: JointSchema, problems: list[str]) -> None:
    """Give points without a group to an animal: by its box, by what it lacks, or by distance alone."""
    boxed = [animal for animal in animals if animal.box is not None]
    placed = [mark for mark in loose if mark.point.is_there]
    absent = [mark for mark in loose if not mark.point.is_there]
    if boxed:
        waiting = []
        for mark in placed:
            holding = [a for a in boxed if a.box is not None and _distance(mark.point, a.box.box) == 0.0]
            if len(holding) == 1:
                holding[0].marks.append(mark)
            else:
                waiting.append(mark)
        for mark in waiting:
            _to_nearest(mark, boxed, problems)
    elif not animals:
        for cluster in _apart(placed, schema, problems):
            animals.append(_Animal(0, cluster))
    elif placed:
        _beside(animals, placed, problems)
    if not animals and absent:
        animals.append(_Animal())
    for mark in absent:
        # An absent joint has no place; it only says that an animal lacks it, as all joints that are not drawn.
        if len(animals) == 1:
            animals[0].marks.append(mark)


def _to_nearest(mark: Mark, boxed: Sequence[_Animal], problems: list[str]) -> None:
    lacking = [animal for animal in boxed if not animal.has(mark.joint)]
    ways = sorted(
        (_distance(mark.point, animal.box.box), i)
        for i, animal in enumerate(lacking)
        if animal.box is not None
    )
    if not ways:
        problems.append(f"{_named(mark)} is one too many")
    elif len(ways) > 1 and ways[0][0] == ways[1][0]:
        problems.append(f"{_named(mark)} could belong to several animals")
    else:
        lacking[ways[0][1]].marks.append(mark)


def _beside(animals: list[_Animal], placed: Sequence[Mark], problems: list[str]) -> None:
    """Give loose points to animals without boxes."""
    counts = Counter(mark.joint for mark in placed)
    unique = max(counts.values()) == 1
    if len(animals) == 1 and unique:
        only = animals[0]
        if not any(only.has(joint) for joint in counts):
            only.marks += placed
            return
        parts = _clusters([*only.placed(), *placed], 2)
        if len(placed) > 1 and parts is not None and _same(parts, only.placed(), placed):
            animals.append(_Animal(0, list(placed)))
            return
    for mark in placed:
        lacking = [animal for animal in animals if not animal.has(mark.joint)]
        if len(lacking) == 1 and counts[mark.joint] == 1:
            lacking[0].marks.append(mark)
        else:
            word = "could belong to several animals" if lacking else "is one too many"
            problems.append(f"{_named(mark)} {word}")


def _apart(placed: Sequence[Mark], schema: JointSchema, problems: list[str]) -> list[list[Mark]]:
    """Split points of several animals that nothing but their distance tells apart."""
    if not placed:
        return []
    single = _merged(placed)
    count = max(Counter(mark.joint for mark in single).values())
    if count == 1:
        return [single]
    parts = _clusters(single, count)
    whole = parts is not None and all(
        len(part) > 1 and max(Counter(mark.joint for mark in part).values()) == 1 for part in parts
    )
    if parts is not None and whole:
        return parts
    doubled = {joint for joint, n in Counter(mark.joint for mark in single).items() if n > 1}
    for joint in schema.joints:
        if joint in doubled:
            problems.append(
                f"{joint} is there {sum(m.joint == joint for m in single)} times, and nothing says whose"
            )
    rest = [mark for mark in single if mark.joint not in doubled]
    return [rest] if rest else []


def _merged(marks: Sequence[Mark]) -> list[Mark]:
    """Return points without those that repeat another one of their joint."""
    kept: dict[str, list[Mark]] = {}
    for mark in marks:
        same = kept.setdefault(mark.joint, [])
        if all(_way(other, mark) > SAME_PX for other in same):
            same.append(mark)
    return [mark for same in kept.values() for mark in same]


def _clusters(marks: Sequence[Mark], count: int) -> list[list[Mark]] | None:
    """Split points where the ways between them are longest; None where they are not clearly longer than others.

    The parts are those of single linkage: the shortest tree through all points without its longest edges.
    """
    edges = _shortest_tree(marks)
    edges.sort(reverse=True)
    cut, kept = edges[: count - 1], edges[count - 1 :]
    if len(cut) < count - 1 or (kept and cut[-1][0] < APART * kept[0][0]):
        return None
    part = list(range(len(marks)))
    for _, i, j in kept:
        old, new = part[j], part[i]
        part = [new if own == old else own for own in part]
    return [
        [mark for mark, own in zip(marks, part, strict=True) if own == one] for one in dict.fromkeys(part)
    ]


def _shortest_tree(marks: Sequence[Mark]) -> list[tuple[float, int, int]]:
    """Return the edges of the shortest tree through all points (Prim 1957)."""
    if not marks:
        return []
    nearest = {j: (_way(marks[0], marks[j]), 0) for j in range(1, len(marks))}
    edges = []
    while nearest:
        j = min(nearest, key=lambda one: nearest[one])
        way, i = nearest.pop(j)
        edges.append((way, i, j))
        for k, known in nearest.items():
            nearest[k] = min(known, (_way(marks[j], marks[k]), j))
    return edges


def _same(parts: Sequence[Sequence[Mark]], first: Sequence[Mark], second: Sequence[Mark]) -> bool:
    wanted = {frozenset(map(id, first)), frozenset(map(id, second))}
    return {frozenset(map(id, part)) for part in parts} == wanted


def _pose(animal: _Animal, schema: JointSchema, problems: list[str]) -> Pose:
    keypoints: dict[str, Keypoint] = {}
    best = _best_names((mark for mark in animal.marks if mark.point.is_there), schema)
    by_joint: dict[str, list[Mark]] = {}
    for mark in animal.marks:
        by_joint.setdefault(mark.joint, []).append(mark)
    for joint in schema.joints:
        listed = by_joint.get(joint)
        if not listed:
            continue
        placed = [mark for mark in listed if mark.point.is_there]
        if not placed:
            keypoints[joint] = Keypoint(ABSENT.x, ABSENT.y, "absent", listed[0].point.confidence)
            continue
        for mark in placed:
            if mark.spelled != best[joint]:
                problems.append(
                    f"'{mark.spelled}' and '{best[joint]}' are both {joint}: the first is left out"
                )
        own = _merged([mark for mark in placed if mark.spelled == best[joint]])
        if len(own) == 1:
            keypoints[joint] = own[0].point
        else:
            places = " and ".join(f"({mark.point.x:g}, {mark.point.y:g})" for mark in own)
            problems.append(f"{joint} is there {len(own)} times in one animal, at {places}: left out")
    box = animal.box
    attributes = {**animal.attributes, **(box.attributes if box is not None else {})}
    return Pose(keypoints, box.box if box is not None else None, attributes)


def _order(animal: _Animal, pose: Pose) -> tuple[float, ...]:
    places = [(point.x, point.y) for point in pose.there.values()]
    if pose.box is not None:
        places.append((pose.box.x, pose.box.y))
    left = min((x for x, _ in places), default=math.inf)
    top = min((y for _, y in places), default=math.inf)
    return (animal.group or math.inf, left, top)


def _distance(point: Keypoint, box: Box) -> float:
    """Return how far a point lies outside a box, 0 inside."""
    away_x = max(box.x - point.x, 0.0, point.x - box.x - box.width)
    away_y = max(box.y - point.y, 0.0, point.y - box.y - box.height)
    return math.hypot(away_x, away_y)


def _way(first: Mark, second: Mark) -> float:
    return math.hypot(first.point.x - second.point.x, first.point.y - second.point.y)


def _named(mark: Mark) -> str:
    return f"'{mark.spelled}' at ({mark.point.x:g}, {mark.point.y:g})"

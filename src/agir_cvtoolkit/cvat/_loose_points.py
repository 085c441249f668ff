"""Points that no group says whose they are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from agir_cvtoolkit.joints import JointSchema

from ._clusters import clusters_of
from ._drawn import Animal, Mark, best_names, distance, merged, named


def _preferred(marks: Sequence[Mark], schema: JointSchema, problems: list[str]) -> list[Mark]:
    """Leave out what bears another name of a joint that is there by its own, or by an alias listed before."""
    kept = []
    best = best_names(marks, schema)
    for mark in marks:
        if mark.spelled == best[mark.joint]:
            kept.append(mark)
        else:
            problems.append(
                f"'{mark.spelled}' and '{best[mark.joint]}' are both {mark.joint}: the first is left out"
            )
    return kept


def give_points(
    animals: list[Animal], loose: Sequence[Mark], schema: JointSchema, problems: list[str]
) -> None:
    """Give points without a group to an animal: by its box, by what it lacks, or by distance alone.

    Args:
        animals: that are known; those that only their points tell of are added.
        loose: the points, in an order that does not depend on how they were listed.
        schema: the joints.
        problems: what belongs to nobody is added.
    """
    known = _preferred(loose, schema, problems)
    placed = [mark for mark in known if mark.point.is_there]
    absent = [mark for mark in known if not mark.point.is_there]
    boxed = [animal for animal in animals if animal.box is not None]
    if boxed:
        _into_boxes(animals, boxed, placed, problems)
    elif not animals:
        animals += [Animal(0, cluster) for cluster in _apart(placed, schema, problems)]
    elif placed:
        _beside(animals, placed, problems)
    # An absent joint has no place; it only says that an animal lacks it, as all joints do that are not drawn.
    if len(animals) == 1:
        animals[0].marks += absent


def _into_boxes(
    animals: list[Animal], boxed: Sequence[Animal], placed: Sequence[Mark], problems: list[str]
) -> None:
    inside: dict[int, list[Mark]] = {}
    waiting = []
    for mark in placed:
        holding = [
            i for i, a in enumerate(boxed) if a.box is not None and distance(mark.point, a.box.box) == 0.0
        ]
        if len(holding) == 1:
            inside.setdefault(holding[0], []).append(mark)
        else:
            waiting.append(mark)
    for i, marks in sorted(inside.items()):
        if _is_another(boxed[i], marks):
            animals.append(Animal(0, marks))
        else:
            boxed[i].marks += marks
    for joint in sorted({mark.joint for mark in waiting}):
        _to_nearest([mark for mark in waiting if mark.joint == joint], boxed, problems)


def _to_nearest(marks: list[Mark], boxed: Sequence[Animal], problems: list[str]) -> None:
    """Give points of one joint to the animals that lack it, the nearest first; who is equally near gets none."""
    joint, left = marks[0].joint, list(marks)
    lacking = [animal for animal in boxed if not animal.has(joint)]
    while left and lacking:
        ways = {
            (k, i): distance(mark.point, animal.box.box)
            for k, mark in enumerate(left)
            for i, animal in enumerate(lacking)
            if animal.box is not None
        }
        least = min(ways.values())
        nearest = [pair for pair, found in ways.items() if found == least]
        marks_of, animals_of = Counter(k for k, _ in nearest), Counter(i for _, i in nearest)
        clear = [(k, i) for k, i in nearest if marks_of[k] == animals_of[i] == 1]
        for k, i in clear:
            lacking[i].marks.append(left[k])
        unclear = marks_of.keys() - {k for k, _ in clear}
        problems += [f"{named(left[k])} could belong to several animals" for k in sorted(unclear)]
        left = [mark for k, mark in enumerate(left) if k not in marks_of]
        lacking = [animal for animal in lacking if not animal.has(joint)]
    problems += [f"{named(mark)} is one too many" for mark in left]


def _is_another(animal: Animal, marks: Sequence[Mark]) -> bool:
    """Whether points that are as many joints are no part of an animal but one beside it."""
    if len(marks) < 2 or len({mark.joint for mark in marks}) < len(marks):
        return False
    if not any(animal.has(mark.joint) for mark in marks):
        return False
    parts = clusters_of([*animal.placed(), *marks], 2)
    return parts is not None and _same(parts, animal.placed(), marks)


def _beside(animals: list[Animal], placed: Sequence[Mark], problems: list[str]) -> None:
    """Give points to animals without boxes."""
    counts = Counter(mark.joint for mark in placed)
    if len(animals) == 1 and _is_another(animals[0], placed):
        animals.append(Animal(0, list(placed)))
        return
    for mark in placed:
        lacking = [animal for animal in animals if not animal.has(mark.joint)]
        if len(lacking) == 1 and counts[mark.joint] == 1:
            lacking[0].marks.append(mark)
        else:
            word = "could belong to several animals" if lacking else "is one too many"
            problems.append(f"{named(mark)} {word}")


def _apart(placed: Sequence[Mark], schema: JointSchema, problems: list[str]) -> list[list[Mark]]:
    """Split points of several animals that nothing but their distance tells apart."""
    if not placed:
        return []
    single = merged(placed)
    count = max(Counter(mark.joint for mark in single).values())
    if count == 1:
        return [single]
    parts = clusters_of(single, count)
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


def _same(parts: Sequence[Sequence[Mark]], first: Sequence[Mark], second: Sequence[Mark]) -> bool:
    wanted = {frozenset(map(id, first)), frozenset(map(id, second))}
    return {frozenset(map(id, part)) for part in parts} == wanted

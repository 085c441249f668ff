"""Which captures a pose model is tested on: drawn by hash, once and for ever."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import TYPE_CHECKING

from agir_cvtoolkit.similarity.near import near_groups

if TYPE_CHECKING:
    from agir_cvtoolkit.config._retrain import TestSet

TRAIN, TEST, APART = "train", "test", "apart"
SPLIT = "pose"
"""Name of the split in the ledger: one for all schemas, so that no picture is ever on two sides."""


@dataclass(frozen=True)
class Member:
    """A capture that can be learned from or tested on.

    Attributes:
        name: stem of its files.
        sha256: of its picture.
        device: that took it; empty where it is not known.
        taken: when.
        phash: 64 bits, see `agir_cvtoolkit.similarity`; None where nobody has looked.
    """

    name: str
    sha256: str
    device: str = ""
    taken: datetime | None = None
    phash: int | None = None


def draw_sides(
    members: Sequence[Member], known: Mapping[str, str], settings: TestSet
) -> tuple[dict[str, str], str]:
    """Give captures that have no side yet one.

    Captures of one picture, near-duplicates, whose perceptual hashes differ in at most ``near_duplicates`` bits, and
    those that one device took within ``same_scene_s`` seconds of the next, are one group. A group with a member in the
    test set goes there, one with a member that was trained on is trained on, one with both is put apart. Of the other
    groups those with the smallest SHA-256 of their first name go into the test set until it has ``share`` of all
    members, at least ``least`` where that is not more than a third of them, and at most ``most``.

    Args:
        members: all of them, also those that have a side.
        known: side of each member that has one, here or not.
        settings: sizes of the test set.

    Returns:
        The sides of the new members, and what the reader of a score must know, or an empty text.
    """
    new = [member for member in members if member.name not in known]
    if not new:
        return {}, ""
    groups, warning = _balanced(members, settings)
    sides = dict(known)
    free = []
    for group in groups:
        there = {sides[name] for name in group if name in sides}
        if not there:
            free.append(group)
            continue
        side = there.pop() if len(there) == 1 else APART
        sides |= {name: side for name in group if name not in sides}
    counted = sum(side in {TRAIN, TEST} for side in sides.values()) + sum(map(len, free))
    tested = sum(side == TEST for side in sides.values())
    wanted = _wanted(counted, settings)
    for group in sorted(free, key=_rank):
        side = TEST if tested + len(group) <= wanted else TRAIN
        tested += len(group) if side == TEST else 0
        sides |= dict.fromkeys(group, side)
    return {member.name: sides[member.name] for member in new}, warning


def _wanted(count: int, settings: TestSet) -> int:
    return min(settings.most, max(round(settings.share * count), min(settings.least, count // 3)))


def _rank(group: tuple[str, ...]) -> str:
    return hashlib.sha256(f"test set|{group[0]}".encode("utf-8", "surrogatepass")).hexdigest()


def _balanced(members: Sequence[Member], settings: TestSet) -> tuple[list[tuple[str, ...]], str]:
    """Return the groups, and what the reader of a score must know.

    Where one of them is most of all members, or those that are small enough make no test set (every camera that stands
    still sees one picture for ever), what makes them so large does not count.
    """
    wanted = _wanted(len(members), settings)
    scene, near = settings.same_scene_s, settings.near_duplicates
    groups: list[tuple[str, ...]] = []
    for same_scene_s, radius in ((scene, near), (scene, None), (0.0, near), (0.0, None)):
        groups = _groups(members, same_scene_s, radius)
        sizes = [len(group) for group in groups]
        if max(sizes) <= max(2, len(members) // 2) and sum(n for n in sizes if n <= wanted) >= wanted:
            break
    reasons = []
    if same_scene_s != scene:
        reasons.append(f"were taken within {scene:g} s of another by the same device")
    if radius != near:
        reasons.append("look much like another")
    if not reasons:
        return groups, ""
    return groups, (
        f"most captures {' and '.join(reasons)}, so they were split one by one and a score may be too good"
    )


def _groups(
    members: Sequence[Member], same_scene_s: float, near_duplicates: int | None
) -> list[tuple[str, ...]]:
    """Return sorted names by group."""
    parent = {member.name: member.name for member in members}

    def root(name: str) -> str:
        while parent[name] != name:
            parent[name] = parent[parent[name]]
            name = parent[name]
        return name

    for first, second in (*_pairs(members, same_scene_s), *_alike(members, near_duplicates)):
        parent[root(first)] = root(second)
    found: dict[str, list[str]] = defaultdict(list)
    for name in sorted(parent):
        found[root(name)].append(name)
    return [tuple(names) for names in found.values()]


def _pairs(members: Sequence[Member], same_scene_s: float) -> Iterable[tuple[str, str]]:
    by_picture: dict[str, str] = {}
    by_device: dict[str, list[tuple[datetime, str]]] = defaultdict(list)
    for member in members:
        if member.sha256 in by_picture:
            yield by_picture[member.sha256], member.name
        by_picture[member.sha256] = member.name
        if member.device and member.taken is not None and same_scene_s:
            by_device[member.device].append((member.taken, member.name))
    for taken in by_device.values():
        taken.sort()
        for (earlier, first), (later, second) in pairwise(taken):
            if (later - earlier).total_seconds() <= same_scene_s:
                yield first, second


def _alike(members: Sequence[Member], radius: int | None) -> Iterable[tuple[str, str]]:
    seen = [(member.name, member.phash) for member in members if member.phash is not None]
    if radius is None or not seen:
        return
    for index, first in enumerate(near_groups([phash for _, phash in seen], radius)):
        yield seen[first][0], seen[index][0]

"""Splits without leaks: what shows the same thing is on one side, and what was once tested on stays there."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from agir_cvtoolkit.config._training import Split
from agir_cvtoolkit.errors import DataError

from .groups import Sample, SampleGroup, groups_of

NAMES = ("train", "val", "test")
TRAIN, VAL, TEST = NAMES
_FREE = ""
_SESSION_SHARE = 0.1


@dataclass(frozen=True)
class Memory:
    """What earlier splits have said; keys are the SHA-256 of pictures.

    Attributes:
        tested: perceptual hash of each picture of the frozen test set, None where it is not known.
        sides: `train` or `val` for pictures of earlier splits with the same seed and shares.
    """

    tested: Mapping[str, int | None] = field(default_factory=dict)
    sides: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Splits:
    """Which record is on which side.

    Attributes:
        sides: by record, without those put apart.
        apart: records that are on no side.
        same: all of `train` is `val` as well: there was nothing to divide.
        warning: what the reader of a score must know, or empty.
    """

    sides: Mapping[str, str]
    apart: tuple[str, ...] = ()
    same: bool = False
    warning: str = ""

    def records(self, side: str) -> tuple[str, ...]:
        """Return the sorted records of a side."""
        wanted = {TRAIN, VAL} if self.same and side != TEST else {side}
        return tuple(sorted(record for record, found in self.sides.items() if found in wanted))


Deal = Callable[[Memory], Splits]
Remember = Callable[[Sequence[Sample], Deal], Splits]
"""Gives `Deal` what is remembered, keeps what it says, and returns it."""


def forgetful(_samples: Sequence[Sample], deal: Deal) -> Splits:
    """Remember nothing: every split is the first one."""
    return deal(Memory())


APART = (
    "belongs together with pictures of the frozen test set, but was learned from or is listed otherwise: it is on"
    " neither side"
)
_UNTESTED = "there are too few different pictures for a test set (three groups at least)"
_SAME = "train and val are the same pictures, so the score on val says nothing about new ones"


def split(
    samples: Sequence[Sample],
    settings: Split,
    seed: int,
    memory: Memory | None = None,
    listed: Mapping[str, str] | None = None,
) -> Splits:
    """Deal records to train, val and test.

    Groups (see `groups.groups_of`) are dealt whole. One with a picture of the frozen test set, or a near-duplicate
    of one, is never trained on: its new records join the test set, those that were trained on before are put apart.
    A group that is known keeps its side; one that is known on both `train` and `val` is trained on. The others
    fill up test and val to their share of the pictures, in an order in which strata take turns. The order of the
    input plays no part. Two groups are enough for train and val, three for a test as well where its share is not 0.

    Args:
        samples: all of them.
        settings: the group ``preprocess.split``.
        seed: another one deals otherwise.
        memory: of earlier splits.
        listed: side of records or pictures that somebody has laid down; goes before what is remembered of train
            and val.

    Raises:
        DataError: nothing is left to train on.
    """
    memory, listed = memory or Memory(), listed or {}
    groups, warning = _groups(samples, settings, memory, listed)
    sides: dict[str, str] = {}
    apart: list[str] = []
    tested = 0
    open_groups: list[tuple[SampleGroup, str]] = []
    for group in groups:
        known = {s.record_id: _known(s, memory, listed) for s in group.samples}
        if group.frozen or TEST in known.values():
            tested += group.pictures
            learned = bool({TRAIN, VAL} & set(known.values()))
            for record, side in known.items():
                if side == TEST or (side == _FREE and not learned):
                    sides[record] = TEST
                else:
                    apart.append(record)
        else:
            found = set(known.values()) - {_FREE}
            open_groups.append((group, TRAIN if len(found) > 1 else next(iter(found), _FREE)))
    if not open_groups:
        raise DataError(
            f"nothing is left to train on: every picture is in the frozen test set '{settings.test_set}', or belongs"
            " together with one that is",
            "Bring other pictures, or begin another test set: preprocess.split.test_set=NAME",
        )
    if settings.enabled and settings.train < 1:
        dealt = _dealt(open_groups, tested, settings, seed, frozenset(listed))
    else:
        dealt = [TRAIN] * len(open_groups)
    for (group, _), side in zip(open_groups, dealt, strict=True):
        sides |= dict.fromkeys((s.record_id for s in group.samples), side)
    same = VAL not in dealt or TRAIN not in dealt
    untested = settings.enabled and settings.test > 0 and TEST not in sides.values()
    said = [text for text in (_SAME if same else "", _UNTESTED if untested else "", warning) if text]
    return Splits(sides, tuple(sorted(apart)), same, "; ".join(said))


def _groups(
    samples: Sequence[Sample], settings: Split, memory: Memory, listed: Mapping[str, str]
) -> tuple[list[SampleGroup], str]:
    held: dict[str, set[str]] = defaultdict(set)
    sides: dict[str, set[str]] = defaultdict(set)
    for sample in samples:
        held[sample.session].add(sample.picture)
        sides[sample.session].add(_known(sample, memory, listed))
    several = len(held) > 1
    held.pop("", None)
    pictures = len({sample.picture for sample in samples})
    largest = max(map(len, held.values()), default=0)
    by_session = largest <= _SESSION_SHARE * pictures
    # What an earlier split has divided stays divided: nobody changes sides.
    divided = {session for session in held if len(sides[session] - {_FREE}) > 1}
    warning = ""
    if not by_session and several:
        warning = (
            f"pictures of one session are on several sides: one of {len(held)} sessions holds {largest} of"
            f" {pictures} pictures (preprocess.split.together keeps sessions together whatever their size)"
        )
    elif by_session and divided:
        warning = f"pictures of one session are on several sides: an earlier split has divided {len(divided)}"
    whole = [replace(s, session="") if s.session in divided else s for s in samples]
    found = groups_of(whole, memory.tested, settings.near_duplicates, by_session=by_session)
    return found, warning


def _known(sample: Sample, memory: Memory, listed: Mapping[str, str]) -> str:
    if sample.sha256 in memory.tested:
        return TEST
    said = listed.get(sample.record_id) or listed.get(sample.picture)
    return said or memory.sides.get(sample.sha256, _FREE)


def _dealt(
    groups: Sequence[tuple[SampleGroup, str]],
    tested: int,
    settings: Split,
    seed: int,
    listed: frozenset[str],
) -> list[str]:
    sides = [side for _, side in groups]
    sizes = [group.pictures for group, _ in groups]
    least = {VAL: True, TEST: settings.test > 0 and not tested}
    order = _interleaved({n: group for n, (group, side) in enumerate(groups) if side == _FREE}, seed)
    total = sum(sizes) + tested
    # Small sides first: they take from the front, where every stratum is still in turn.
    for side, share, later in ((TEST, settings.test, (VAL, TRAIN)), (VAL, settings.val, (TRAIN,))):
        there = sum(size for size, found in zip(sizes, sides, strict=True) if found == side)
        room = round(share * total) - there - (tested if side == TEST else 0)
        free = [number for number in order if sides[number] == _FREE]
        spare = len(free) - sum(other not in sides for other in later)
        for number in free:
            if spare > 0 and sizes[number] <= room:
                sides[number] = side
                room -= sizes[number]
                spare -= 1
        if least[side] and side not in sides and spare > 0:
            sides[min(free, key=lambda n: sizes[n])] = side
    sides = [side or TRAIN for side in sides]
    _move_one(groups, sides, VAL, TRAIN, seed, listed)
    _move_one(groups, sides, TRAIN, VAL, seed, listed)
    return sides


def _move_one(
    groups: Sequence[tuple[SampleGroup, str]],
    sides: list[str],
    source: str,
    target: str,
    seed: int,
    listed: frozenset[str],
) -> None:
    """Where a side would stay empty, give it the smallest group of another one that has several."""
    there = [number for number, side in enumerate(sides) if side == source]
    if target in sides or len(there) < 2:
        return
    movable = [n for n in there if not any({s.record_id, s.picture} & listed for s in groups[n][0].samples)]
    if movable:
        sides[min(movable, key=lambda n: (groups[n][0].pictures, _draw(seed, groups[n][0].key)))] = target


def _interleaved(groups: Mapping[int, SampleGroup], seed: int) -> list[int]:
    """Return numbers of groups so that any first part of them has every stratum in proportion."""
    members: dict[str, list[int]] = defaultdict(list)
    for number, group in groups.items():
        members[_stratum(group)].append(number)
    draws = {number: _draw(seed, group.key) for number, group in groups.items()}
    placed = []
    for stratum, found in members.items():
        offset = int(_draw(seed, f"stratum {stratum}")[:8], 16) / 2**32
        for rank, number in enumerate(sorted(found, key=lambda n: draws[n])):
            placed.append(((rank + offset) / len(found), draws[number], number))
    return [number for _, _, number in sorted(placed)]


def _stratum(group: SampleGroup) -> str:
    counted = Counter(sample.stratum for sample in group.samples)
    return min(counted, key=lambda name: (-counted[name], name))


def _draw(seed: int, text: str) -> str:
    return hashlib.sha256(f"{seed}|{text}".encode("utf-8", "surrogatepass")).hexdigest()

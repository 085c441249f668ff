"""Drawing records: the same seed draws the same records of any copy of a table, in any database.

A draw orders records by a hash of (seed, id) and takes the first of each group, so it depends on the seed and
on the records, not on the order of the rows nor on the generator of random numbers of a database. Rows pass
one by one; what is kept is what is drawn.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence

Group = tuple[object, ...]

_LAST = 2**63
_BYTES = 8

Bounds = tuple[bytes, bytes]
"""Of hashes: the least and the largest, as bytes."""

_ALL: Bounds = (b"", b"\xff" * _BYTES)
_NEGATIVE = b"\x80"


def draw_key(seed: int, record_id: object) -> int:
    """Return the place of a record in the draw of a seed: 64 bits of BLAKE2b over seed and id."""
    hashed = _start_of(seed)
    hashed.update(str(record_id).encode("utf-8", "surrogatepass"))
    return int.from_bytes(hashed.digest(), "big", signed=True)


class Draw:
    """Takes members of groups, in any order, and keeps the first of each.

    Args:
        seed: decides which come first.
        quota: how many of a group are drawn; asked once.
    """

    def __init__(self, seed: int, quota: Callable[[Group], int]) -> None:
        self._seed, self._quota = seed, quota
        self._kept: dict[Group, _Kept] = {}
        self._bounds: dict[Group, Bounds] = {}
        self.may_come = _comparing(seed, self._bounds)

    may_come: Callable[..., bool]
    """Whether a member, told by its id and the values of its group, may still be among the first."""

    def add(self, address: object, record_id: object, *group: object) -> None:
        """Take a member, and where it is found; the same one again changes nothing."""
        members = self._kept.get(group)
        if members is None:
            members = self._kept[group] = _Kept(self._quota(group))
        last = members.add((draw_key(self._seed, record_id), str(record_id), address))
        if last < 0:
            self._bounds[group] = (_NEGATIVE, last.to_bytes(_BYTES, "big", signed=True))

    def drawn(self) -> list[object]:
        """Return where the drawn members are found."""
        return [address for members in self._kept.values() for address in members.drawn()]


def balanced(counts: Mapping[Group, int], n: int, seed: int) -> dict[Group, int]:
    """Return quotas that add up to `n`: the same for each group, where small ones give all that they have.

    What cannot be shared evenly goes to the groups that come first in the draw of the seed.
    """
    quotas = dict.fromkeys(counts, 0)
    left = min(n, sum(counts.values()))
    while left:
        open_groups = [group for group in counts if quotas[group] < counts[group]]
        share = left // len(open_groups)
        if not share:
            for group in _in_order(open_groups, seed)[:left]:
                quotas[group] += 1
            break
        for group in open_groups:
            more = min(share, counts[group] - quotas[group])
            quotas[group] += more
            left -= more
    return quotas


def proportional(counts: Mapping[Group, int], n: int, seed: int) -> dict[Group, int]:
    """Return quotas that add up to `n`, to each group its share of all: largest remainders are rounded up.

    The method is Hamilton's; equal remainders are rounded up in the order of the draw of the seed.
    """
    total = sum(counts.values())
    wanted = min(n, total)
    quotas = {group: wanted * count // total for group, count in counts.items()}
    ordered = sorted(_in_order(counts, seed), key=lambda group: -(wanted * counts[group] % total))
    for group in ordered[: wanted - sum(quotas.values())]:
        quotas[group] += 1
    return quotas


def counted(groups: Iterable[Group]) -> Mapping[Group, int]:
    """Return the size of each group."""
    return Counter(groups)


class _Kept:
    """The first members of one group so far: at most twice as many as will be drawn, and some."""

    def __init__(self, quota: int) -> None:
        self._quota = quota
        self._members: list[tuple[int, str, object]] = []
        self._last = _LAST if quota else -_LAST

    def add(self, member: tuple[int, str, object]) -> int:
        """Take a member, and return the last place that still comes in."""
        self._members.append(member)
        if len(self._members) >= 2 * self._quota + 20:
            self._cut()
        return self._last

    def drawn(self) -> list[object]:
        self._cut()
        return [address for _, _, address in self._members]

    def _cut(self) -> None:
        first = sorted(dict.fromkeys(self._members), key=lambda member: member[:2])
        self._members = first[: self._quota]
        if len(self._members) == self._quota > 0:
            self._last = self._members[-1][0]


def _comparing(seed: int, bounds: Mapping[Group, Bounds]) -> Callable[..., bool]:
    # A million rows pass here: names are bound, and hashes compare as bytes. Negative ones, which come first, are
    # the larger half of these; where more than that half is drawn, all may come.
    started, bounds_of = _start_of(seed).copy, bounds.get

    def may_come(record_id: object, *group: object) -> bool:
        hashed = started()
        try:
            hashed.update(record_id.encode())  # type: ignore[attr-defined]
        except (AttributeError, UnicodeEncodeError):
            hashed.update(str(record_id).encode("utf-8", "surrogatepass"))
        first, last = bounds_of(group, _ALL)
        return first <= hashed.digest() <= last

    return may_come


def _in_order(groups: Iterable[Group], seed: int) -> Sequence[Group]:
    return sorted(groups, key=lambda group: (draw_key(seed, group), repr(group)))


def _start_of(seed: int) -> hashlib.blake2b:
    return hashlib.blake2b(f"{seed}\x00".encode(), digest_size=_BYTES)

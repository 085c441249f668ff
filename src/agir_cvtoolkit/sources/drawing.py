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
Member = tuple[object, ...]
"""Where a row is found, its id, and the values that make its group."""

_LAST = 2**63


def draw_key(seed: int, record_id: object) -> int:
    """Return the place of a record in the draw of a seed: 64 bits of BLAKE2b over seed and id."""
    text = _start_of(seed) + str(record_id).encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big", signed=True)


def draw(rows: Iterable[Member], seed: int, quota: Callable[[Group], int]) -> list[object]:
    """Draw from each group as many records as its quota says, or all that it has.

    Args:
        rows: in any order.
        seed: decides which.
        quota: of a group; asked once.

    Returns:
        Where the drawn rows are found.
    """
    # A million rows pass here: names are bound, and a row that comes too late costs one look.
    start, blake2b, number = _start_of(seed), hashlib.blake2b, int.from_bytes
    kept: dict[Group, _Kept] = {}
    last: dict[Group, int] = {}
    for row in rows:
        text = start + str(row[1]).encode("utf-8", "surrogatepass")
        place = number(blake2b(text, digest_size=8).digest(), "big", signed=True)
        group = row[2:]
        if place > last.get(group, _LAST):
            continue
        members = kept.get(group)
        if members is None:
            members = kept[group] = _Kept(quota(group))
        last[group] = members.add((place, str(row[1]), row[0]))
    return [address for members in kept.values() for address in members.drawn()]


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
        self._members.sort(key=lambda member: member[:2])
        del self._members[self._quota :]
        if len(self._members) == self._quota > 0:
            self._last = self._members[-1][0]


def _in_order(groups: Iterable[Group], seed: int) -> Sequence[Group]:
    return sorted(groups, key=lambda group: (draw_key(seed, group), repr(group)))


def _start_of(seed: int) -> bytes:
    return f"{seed}\x00".encode()

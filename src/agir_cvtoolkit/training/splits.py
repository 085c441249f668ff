"""Splits by picture: nothing of one picture is ever on two sides."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

NAMES = ("train", "val", "test")


@dataclass(frozen=True)
class Splits:
    """Which picture is on which side.

    Attributes:
        groups: sorted picture ids by split; with a single picture `train` and `val` hold the same one.
        warning: what the reader of a score must know, or empty.
    """

    groups: Mapping[str, tuple[str, ...]]
    warning: str = ""


def split_groups(
    strata: Mapping[str, Iterable[str | None]], shares: tuple[float, float, float], seed: int
) -> Splits:
    """Deal pictures to train, val and test.

    The order of the input plays no part. Every side gets a mixture of the strata as far as the numbers allow;
    from two pictures on train and val have at least one, from three on test as well where its share is not 0.

    Args:
        strata: for each picture id the species of its records; the most frequent one counts.
        shares: of train, val and test, summing to 1.
        seed: another seed deals otherwise.
    """
    groups = sorted(strata)
    if len(groups) < 2 or shares[1] == shares[2] == 0.0:
        everything = tuple(groups)
        return Splits({"train": everything, "val": everything, "test": ()}, _SAME)
    counts = _counts(len(groups), shares)
    order = _interleaved({group: _stratum(strata[group]) for group in groups}, seed)
    dealt: dict[str, tuple[str, ...]] = {}
    start = 0
    # Small sides first: they take from the front, where every stratum is still in turn.
    for name in reversed(NAMES):
        count = counts[name]
        dealt[name] = tuple(sorted(order[start : start + count]))
        start += count
    return Splits({name: dealt[name] for name in NAMES})


_SAME = "train and val are the same pictures, so the score on val says nothing about new ones"


def _counts(total: int, shares: tuple[float, float, float]) -> dict[str, int]:
    least = {"train": 1, "val": 1, "test": int(shares[2] > 0 and total >= 3)}
    exact = {name: share * total for name, share in zip(NAMES, shares, strict=True)}
    counts = {name: max(least[name], int(exact[name] + 1e-9)) for name in NAMES}
    while sum(counts.values()) < total:
        name = max(NAMES, key=lambda n: exact[n] - counts[n])
        counts[name] += 1
    while sum(counts.values()) > total:
        name = max((n for n in NAMES if counts[n] > least[n]), key=lambda n: counts[n] - exact[n])
        counts[name] -= 1
    return counts


def _interleaved(stratum_of: Mapping[str, str], seed: int) -> list[str]:
    members: dict[str, list[str]] = defaultdict(list)
    for group, stratum in stratum_of.items():
        members[stratum].append(group)
    placed = []
    for stratum, found in members.items():
        dealt = sorted(found, key=lambda group: _draw(seed, group))
        offset = int(_draw(seed, f"stratum {stratum}")[:8], 16) / 2**32
        placed += [
            ((rank + offset) / len(dealt), _draw(seed, group), group) for rank, group in enumerate(dealt)
        ]
    return [group for _, _, group in sorted(placed)]


def _stratum(names: Iterable[str | None]) -> str:
    counted = Counter(name or "" for name in names)
    return min(counted, key=lambda name: (-counted[name], name), default="")


def _draw(seed: int, text: str) -> str:
    return hashlib.sha256(f"{seed}|{text}".encode("utf-8", "surrogatepass")).hexdigest()

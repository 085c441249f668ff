"""Which label of the server is which label of a project file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from .labels import normal_name


@dataclass(frozen=True)
class Matched:
    """Names of the file and of the server that belong together.

    Attributes:
        pairs: the server's name by the file's.
        added: the file's names that the server does not have.
        left: the server's names that the file does not have.
        both: names of the file whose former name is still there beside them, and is nobody's.
    """

    pairs: Mapping[str, str] = field(hash=False)
    added: tuple[str, ...] = ()
    left: tuple[str, ...] = ()
    both: tuple[tuple[str, str], ...] = ()


def match_names(wanted: Sequence[tuple[str, str | None]], there: Sequence[str]) -> Matched:
    """Match names.

    A former name counts as long as the new one is not there, or is on its way to a third name itself: so a file with
    former names may be applied again and again. Names that differ in case, space and ``_`` alone belong together.

    Args:
        wanted: each name with the one that it had, or None.
        there: the server's names.
    """
    held = set(there)
    renames: dict[str, str] = {}
    more = True
    while more:
        more = False
        for name, was in wanted:
            given_up = set(renames.values())
            if was is None or was not in held or was in given_up or name in renames:
                continue
            if name not in held or name in given_up:
                renames[name] = was
                more = True
    pairs = dict(renames)
    taken = set(renames.values())
    for name, _ in wanted:
        if name not in pairs and name in held and name not in taken:
            pairs[name] = name
            taken.add(name)
    for name, _ in wanted:
        near = [other for other in there if other not in taken and normal_name(other) == normal_name(name)]
        if name not in pairs and len(near) == 1:
            pairs[name] = near[0]
            taken.add(near[0])
    left = tuple(name for name in there if name not in taken)
    return Matched(
        pairs,
        tuple(name for name, _ in wanted if name not in pairs),
        left,
        tuple((name, was) for name, was in wanted if was is not None and was in left),
    )


def in_safe_order(pairs: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Order renames, given as (new, old), so that no name is given while another still has it.

    `match_names` makes no circles, so there is such an order.
    """
    waiting, ordered = list(pairs), []
    while waiting:
        held = {old for _, old in waiting}
        free = [pair for pair in waiting if pair[0] not in held or pair[0] == pair[1]]
        ordered += free or waiting
        waiting = [pair for pair in waiting if pair not in free] if free else []
    return ordered

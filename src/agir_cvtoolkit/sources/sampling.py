"""``--sample``: which records are drawn.

A draw orders records by a hash of (seed, id), so it depends on the seed and on the records, not on the order
of the rows: the same seed draws the same records from a copy of the table that was written in another order.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from agir_cvtoolkit.errors import QueryError, did_you_mean

DEFAULT_SEED = 42
DEFAULT_N = 100
DEFAULT_PER_GROUP = 10

_SEED_LIMIT = 2**63
_ARGUMENTS = {
    "random": ("n",),
    "seeded": ("n", "seed"),
    "stratified": ("by", "per_group", "seed"),
}
_KNOWN = "Known: random:n=200, seeded:n=200,seed=42, stratified:by=state|season,per_group=50[,seed=42]."


@dataclass(frozen=True)
class Sample:
    """A draw.

    Attributes:
        strategy: ``random``, ``seeded`` or ``stratified``.
        n: how many records, of each group when stratified.
        seed: decides the draw; where none was given a fresh one was drawn, so that the draw can be repeated.
        by: columns whose combinations are the groups.
        seed_given: the seed is the user's.
    """

    strategy: str
    n: int
    seed: int
    by: tuple[str, ...] = ()
    seed_given: bool = True

    def described(self) -> dict[str, object]:
        """Return the draw as JSON-like values."""
        size = {"by": list(self.by), "per_group": self.n} if self.by else {"n": self.n}
        return {"strategy": self.strategy, **size, "seed": self.seed, "seed_given": self.seed_given}


def draw_key(seed: int, record_id: object) -> int:
    """Return the place of a record in the draw of a seed: 64 bits of BLAKE2b over seed and id."""
    text = f"{seed}\x00{record_id}".encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big", signed=True)


def parse_sample(
    text: str | None, limit: int | None = None, fresh_seed: Callable[[], int] = lambda: secrets.randbits(53)
) -> Sample | None:
    """Parse ``--sample``.

    Args:
        text: as written by the user.
        limit: what ``random`` and ``seeded`` draw without ``n``; 100 without a limit.
        fresh_seed: draws a seed where none is given.

    Raises:
        QueryError: an unknown strategy or argument, or an impossible value.
    """
    if text is None:
        return None
    strategy, _, rest = text.partition(":")
    strategy = strategy.strip().lower()
    if strategy not in _ARGUMENTS:
        near = did_you_mean(strategy, _ARGUMENTS)
        raise QueryError(f"sample '{text}': there is no strategy '{strategy}'", f"{near} {_KNOWN}".strip())
    arguments = _arguments(text, strategy, rest)
    given = "seed" in arguments
    seed = _whole(
        text, arguments, "seed", DEFAULT_SEED if strategy == "seeded" else None, minimum=-_SEED_LIMIT
    )
    drawn = seed if seed is not None else fresh_seed()
    if strategy == "stratified":
        per_group = _whole(text, arguments, "per_group", DEFAULT_PER_GROUP, minimum=1) or DEFAULT_PER_GROUP
        return Sample(strategy, per_group, drawn, _groups(text, arguments.get("by", "")), given)
    n = _whole(text, arguments, "n", limit if limit is not None else DEFAULT_N, minimum=0)
    return Sample(strategy, n if n is not None else DEFAULT_N, drawn, (), given or strategy == "seeded")


def _arguments(text: str, strategy: str, rest: str) -> Mapping[str, str]:
    arguments: dict[str, str] = {}
    known = _ARGUMENTS[strategy]
    for part in rest.split(",") if rest.strip() else []:
        name, separator, value = part.partition("=")
        name = name.strip().lower()
        if name not in known:
            near = did_you_mean(name, known)
            raise QueryError(
                f"sample '{text}': {strategy} has no argument '{name}'",
                f"{near} It takes {', '.join(known)}. {_KNOWN}".strip(),
            )
        if not separator or not value.strip() or name in arguments:
            raise QueryError(f"sample '{text}': '{name}' needs one value", _KNOWN)
        arguments[name] = value.strip()
    return arguments


def _whole(
    text: str, arguments: Mapping[str, str], name: str, default: int | None, *, minimum: int
) -> int | None:
    if name not in arguments:
        return default
    try:
        value = int(arguments[name]) if len(arguments[name]) < 25 else None
    except ValueError:
        value = None
    if value is None or not minimum <= value < _SEED_LIMIT:
        least = f" of at least {minimum}" if minimum > -_SEED_LIMIT else ""
        raise QueryError(f"sample '{text}': {name}={arguments[name]} is not a whole number{least}", _KNOWN)
    return value


def _groups(text: str, by: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in by.split("|"))
    if not by or not all(names):
        raise QueryError(f"sample '{text}': stratified needs by=column or by=column|column", _KNOWN)
    if "+" in by:
        raise QueryError(
            f"sample '{text}': columns of by are separated by a vertical bar, not by +",
            f"Write by={'|'.join(part.strip() for part in by.split('+'))}",
        )
    if len(set(names)) < len(names):
        raise QueryError(f"sample '{text}': a column stands twice in by", _KNOWN)
    return names

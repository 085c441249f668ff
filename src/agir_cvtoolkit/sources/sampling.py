"""``--sample``: which records are drawn, as written and as understood; `drawing` draws them."""

from __future__ import annotations

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
    "balanced": ("by", "n", "seed"),
    "proportional": ("by", "n", "seed"),
    "spread": ("by", "n", "seed"),
}
_KNOWN = (
    "Known: random:n=200, seeded:n=200,seed=42, stratified:by=state|season,per_group=50[,seed=42], "
    "balanced:by=state,n=200[,seed=42], proportional:by=state,n=200[,seed=42], "
    "spread:by=datetime,n=200[,seed=42]."
)


@dataclass(frozen=True)
class Sample:
    """A draw.

    Attributes:
        strategy: ``random`` and ``seeded`` draw from all; ``stratified`` as many of each group; ``balanced``
            the same share of each group, where small groups give what they have; ``proportional`` of each
            group its share of all; ``spread`` the same share of each stretch of time or field of a map.
        n: how many records, of each group when stratified.
        seed: decides the draw; where none was given a fresh one was drawn, so that the draw can be repeated.
        by: columns whose combinations are the groups; of ``spread`` the coordinates.
        seed_given: the seed is the user's.
    """

    strategy: str
    n: int
    seed: int
    by: tuple[str, ...] = ()
    seed_given: bool = True

    def described(self) -> dict[str, object]:
        """Return the draw as JSON-like values."""
        size = {"per_group" if self.strategy == "stratified" else "n": self.n}
        groups = {"by": list(self.by)} if self.by else {}
        return {
            "strategy": self.strategy,
            **groups,
            **size,
            "seed": self.seed,
            "seed_given": self.seed_given,
        }

    def written(self) -> str:
        """Return the draw as a user writes it to have the same one again."""
        if not self.by:
            return f"seeded:n={self.n},seed={self.seed}"
        size = "per_group" if self.strategy == "stratified" else "n"
        return f"{self.strategy}:by={'|'.join(self.by)},{size}={self.n},seed={self.seed}"


def parse_sample(
    text: str | None, limit: int | None = None, fresh_seed: Callable[[], int] = lambda: secrets.randbits(53)
) -> Sample | None:
    """Parse ``--sample``.

    Args:
        text: as written by the user.
        limit: what is drawn without ``n``; 100 without a limit.
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
    given = _whole(text, arguments, "seed", -_SEED_LIMIT)
    if given is None and strategy == "seeded":
        given = DEFAULT_SEED
    seed = fresh_seed() if given is None else given
    if strategy == "stratified":
        n = _whole(text, arguments, "per_group", 1) or DEFAULT_PER_GROUP
    else:
        wanted = _whole(text, arguments, "n", 0)
        n = wanted if wanted is not None else DEFAULT_N if limit is None else limit
    by = _groups(text, strategy, arguments.get("by", "")) if "by" in _ARGUMENTS[strategy] else ()
    return Sample(strategy, n, seed, by, given is not None)


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


def _whole(text: str, arguments: Mapping[str, str], name: str, minimum: int) -> int | None:
    if name not in arguments:
        return None
    try:
        value = int(arguments[name]) if len(arguments[name]) < 25 else None
    except ValueError:
        value = None
    if value is None or not minimum <= value < _SEED_LIMIT:
        least = f" of at least {minimum}" if minimum > -_SEED_LIMIT else ""
        raise QueryError(f"sample '{text}': {name}={arguments[name]} is not a whole number{least}", _KNOWN)
    return value


def _groups(text: str, strategy: str, by: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in by.split("|"))
    if not by or not all(names):
        raise QueryError(f"sample '{text}': {strategy} needs by=column or by=column|column", _KNOWN)
    if "+" in by:
        raise QueryError(
            f"sample '{text}': columns of by are separated by a vertical bar, not by +",
            f"Write by={'|'.join(part.strip() for part in by.split('+'))}",
        )
    if len(set(names)) < len(names):
        raise QueryError(f"sample '{text}': a column stands twice in by", _KNOWN)
    return names

"""What became of quotas, where they did not get what they ask for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from agir_cvtoolkit.choosing import Pool
from agir_cvtoolkit.errors import did_you_mean
from agir_cvtoolkit.selection import ChoiceRules, Decisions, Quota

_MOST_NAMES = 12


def quota_notes(rules: ChoiceRules, pool: Pool, found: Decisions) -> Iterator[str]:
    """Say of each quota that no unit counts for it, or that fewer were chosen than it asks for at least."""
    for quota in rules.quotas:
        known = sorted(set(pool.strata or ())) if quota.of == "stratum" else sorted(pool.classes)
        if quota.name not in known:
            near = did_you_mean(quota.name, known)
            yield f"the quota of {quota.of} '{quota.name}' counts for nothing: {_there(quota, known)} {near}".strip()
            continue
        chosen = sum(_counts(quota, rules, pool, int(index)) for index in found.chosen)
        if chosen < quota.least:
            yield f"of {quota.of} '{quota.name}' {chosen} could be chosen, at least {quota.least} were asked for"


def _counts(quota: Quota, rules: ChoiceRules, pool: Pool, index: int) -> bool:
    if quota.of == "stratum":
        return pool.strata is not None and pool.strata[index] == quota.name
    return bool(pool.classes[quota.name][index] >= rules.class_share)


def _there(quota: Quota, known: Sequence[str]) -> str:
    if not known:
        return "the predictions name no classes."
    more = ", ..." if len(known) > _MOST_NAMES else ""
    whose = "the predictions have" if quota.of == "class" else "the pictures have"
    return f"{whose} {', '.join(known[:_MOST_NAMES])}{more}."

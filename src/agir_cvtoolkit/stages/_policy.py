"""When the labels that have come back are learned from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ._policy_age import Age
from ._policy_classes import ClassDeficit
from ._policy_corrections import Corrections
from ._policy_drift import Drift
from ._policy_effort import Effort
from ._policy_evidence import Condition, Evidence, PolicyRule

if TYPE_CHECKING:
    from agir_cvtoolkit.config import Policy


@dataclass(frozen=True)
class Decision:
    """What a policy says.

    Attributes:
        asked: whether it has any condition; without one a model is trained when a batch is finished.
        fires: whether it says that it is time to train.
        conditions: each, in the order of the settings.
        combine: ``any`` or ``all`` of them.
    """

    asked: bool
    fires: bool
    conditions: tuple[Condition, ...]
    combine: str

    @property
    def words(self) -> str:
        """The decision for people."""
        if not self.asked:
            return "a model is trained when the batch is finished"
        if self.fires:
            return ", ".join(one.name for one in self.conditions if one.fires)
        link = " or " if self.combine == "any" else " and "
        return link.join(one.missing for one in self.conditions if not one.fires)


def decide(policy: Policy, evidence: Evidence) -> Decision:
    """Look at each condition that is asked for."""
    found = tuple(rule.look(evidence) for rule in rules_of(policy))
    holds = any if policy.combine == "any" else all
    fires = bool(found) and holds(one.fires for one in found) and bool(evidence.effort)
    return Decision(bool(found), fires, found, policy.combine)


def rules_of(policy: Policy) -> tuple[PolicyRule, ...]:
    """Return the conditions that are asked for."""
    rules: list[PolicyRule] = []
    if policy.corrections is not None:
        rules.append(Corrections(policy.corrections))
    if policy.effort is not None:
        rules.append(Effort(policy.effort))
    if policy.drift:
        rules.append(Drift())
    if policy.class_pictures is not None:
        rules.append(ClassDeficit(policy.class_pictures))
    if policy.age_days is not None:
        rules.append(Age(policy.age_days))
    return tuple(rules)

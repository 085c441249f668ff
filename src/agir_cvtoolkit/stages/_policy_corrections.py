"""Enough pictures came back."""

from __future__ import annotations

from dataclasses import dataclass

from ._policy_evidence import Condition, Evidence


@dataclass(frozen=True)
class Corrections:
    """So many pictures came back since the last training."""

    least: int

    def look(self, evidence: Evidence) -> Condition:
        """Return whether they are enough."""
        there = len(evidence.effort)
        more = self.least - there
        missing = f"{more} more correction{'' if more == 1 else 's'}" if more > 0 else ""
        return Condition("corrections", there, self.least, more <= 0, missing)

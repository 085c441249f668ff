"""A class of which the model knew too little can be learned by now."""

from __future__ import annotations

from dataclasses import dataclass

from ._policy_evidence import Condition, Evidence


@dataclass(frozen=True)
class ClassDeficit:
    """A class of which the last training knew fewer pictures than asked for has so many now."""

    least: int

    def look(self, evidence: Evidence) -> Condition:
        """Return whether there is one."""
        lacking = {n: c for n, c in evidence.pictures.items() if evidence.learned.get(n, 0) < self.least}
        if not lacking:
            said = "a class that the model knows too few pictures of"
            return Condition("class_pictures", None, self.least, False, said)
        name = min(lacking, key=lambda n: (-lacking[n], n))
        more = self.least - lacking[name]
        missing = f"{more} more picture{'' if more == 1 else 's'} of {name}" if more > 0 else ""
        return Condition("class_pictures", lacking[name], self.least, more <= 0, missing)

"""How a disturbed call ended: its exit code and what it said."""

from __future__ import annotations

import re

from tests.integration.workspace import Outcome

from .troubles import Trouble


def judged(outcome: Outcome, trouble: Trouble) -> list[str]:
    """Tell what is wrong with how a disturbed call ended, whatever it left behind."""
    problems = []
    if outcome.code not in trouble.codes:
        problems.append(f"exit code {outcome.code}")
    if trouble.passes and outcome.code != 0:
        problems.append(f"does not get over it: {outcome.stderr[-300:]}")
    problems += [
        f"says '{word}'" for word in ("Traceback", "This is a bug", "Logging error") if word in outcome.text
    ]
    errors = [line for line in outcome.stderr.splitlines() if line.startswith("Error: ")]
    if outcome.code == 0 and errors:
        problems.append(f"done, but says: {errors}")
    if outcome.code in {3, 4}:
        if len(errors) != 1:
            problems.append(f"{len(errors)} lines of error")
        elif len(errors[0]) < 40 or not re.search(r"[.?:] [A-Z]", errors[0]):
            problems.append(f"no next step: {errors[0]}")
    if outcome.code == 1 and not errors and "failed: " not in outcome.stderr:
        problems.append("done in part, but does not say what is missing")
    if any("was cut" in line and "No space left" in line for line in errors):
        problems.append(f"takes the full disk for a connection: {errors}")
    if outcome.code == 130 and "Interrupted" not in outcome.stderr:
        problems.append("does not say that it was interrupted")
    return problems

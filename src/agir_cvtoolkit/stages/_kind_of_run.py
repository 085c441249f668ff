"""A run holds the predictions of one stage: masks, poses or boxes."""

from __future__ import annotations

from agir_cvtoolkit.errors import UsageError
from agir_cvtoolkit.runs import Run

_HOLDS = {"infer-seg": "masks", "infer-pose": "poses", "import": "boxes"}


def check_kind(run: Run, stage: str) -> None:
    """Make sure that a run does not hold the predictions of another stage, whose manifest this one would continue.

    Raises:
        UsageError: it does.
    """
    for other, what in _HOLDS.items():
        if other != stage and run.has_begun(other):
            raise UsageError(
                f"run {run.run_id} holds {what} of {other}",
                f"Start another run for {_HOLDS[stage]}: query again, or name a run with --run.",
            )

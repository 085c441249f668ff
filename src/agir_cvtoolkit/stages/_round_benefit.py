"""Whether choosing has paid so far, measured after a round from the labels of all of them."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from agir_cvtoolkit.errors import AgirError, InterruptedByUser

if TYPE_CHECKING:
    from agir_cvtoolkit.ledger import RoundRow

    from ._round_work import Figures, LoopPlace

_log = logging.getLogger("agir_cvtoolkit.stages.loop")


def benefit_of(place: LoopPlace, row: RoundRow, rounds: Sequence[RoundRow]) -> Figures:
    """Return the figure ``benefit`` of a round; None where it could not be measured, which stops no loop."""
    from .benefit import measure_benefit

    others = [one.run_id for one in rounds if one.number < row.number]
    runs = f"preprocess.source.runs=[{','.join(map(repr, others))}]"
    try:
        settings = place.calling(row.run_id, runs).settings()
        kind = settings.loop.kind
        run = place.run(row.training_run if kind == "pose" else row.run_id)
        found = measure_benefit(run, settings, kind=kind, progress=place.call.progress)
    except InterruptedByUser:
        raise
    except AgirError as error:
        _log.warning("what choosing brings was not measured after round %d: %s", row.number, error)
        return {"benefit": None}
    return {"benefit": asdict(found)}

"""Rounds whose pictures come from a pool: a query's, or a folder's."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from agir_cvtoolkit.errors import NoRunError
from agir_cvtoolkit.ledger import RoundRow
from agir_cvtoolkit.runs import Run, discard, fingerprint, start_run

from ._pictures_folder import keep_folder, kept_folder
from ._pool_learning import Learning
from ._pulled import read_frame_maps
from ._round_tested import drawn_for_testing
from ._round_work import CameBack, Chosen, Figures, LoopPlace, cold_start
from .download_cvat import DownloadStep
from .upload_cvat import upload_cvat

_QUERY = "query"


class PoolRounds:
    """Rounds of a pool.

    Args:
        place: where the loop works.
        learning: of the loop's kind of model.
    """

    def __init__(self, place: LoopPlace, learning: Learning) -> None:
        self._place, self._learning = place, learning
        self._looks: dict[str, DownloadStep] = {}
        self._drained: set[int] = set()

    def choose(self, row: RoundRow, rounds: Sequence[RoundRow], count: int) -> Chosen:
        """Predict the pool by the model that was in service when the round began, and choose."""
        from .select import STAGE, select

        run = self._laid_out(row)
        if not run.is_done(STAGE):  # a batch that was chosen is never chosen anew
            self._learning.predict(run, str(row.figures["predictor"]))
            known = any(one.is_ended for one in rounds)
            select(
                count,
                call=self._place.calling(run.run_id, *(() if known else cold_start(self._place.settings))),
            )
        rows = self._place.ledger.selections(run.run_id)
        newest = [one for one in rows if one.batch == rows[-1].batch]
        control = sorted(one.unit_id for one in newest if one.control)
        return Chosen(len(newest), {"control": control, "strategy": newest[0].strategy if newest else ""})

    def push(self, row: RoundRow) -> Figures:
        """Make the batch's tasks."""
        pushed = upload_cvat(self._place.calling(row.run_id, *self._learning.pushing))
        return {"tasks": [task.task_id for task in pushed.tasks]}

    def look(self, row: RoundRow, rounds: Sequence[RoundRow]) -> CameBack:
        """Bring back what people have finished, of earlier rounds too."""
        waiting, finished, drained = 0, False, []
        for one in rounds:
            if one.number in self._drained or one.stands in {"opened", "selected"}:
                continue
            step = self._looks.get(one.run_id) or DownloadStep(
                self._place.calling(
                    one.run_id, "cvat_download.project_id=null", "cvat_download.task_ids=null"
                )
            )
            self._looks[one.run_id] = step
            result = step()
            if not result.waiting and result.jobs:
                drained.append(one.number)
            if one.number == row.number:
                waiting, finished = result.waiting, not result.waiting and result.jobs > 0
        self._drained |= set(drained)
        return CameBack(waiting, finished, tuple(drained))

    def ask(self, row: RoundRow, rounds: Sequence[RoundRow]) -> Figures:
        """Lay down which labels the training learns from, and which join the test set."""
        ledger, runs = self._place.ledger, [one.run_id for one in rounds]
        before = max((int(one.figures.get("pulls", 0)) for one in rounds), default=0)
        pulls = ledger.newest_pull(runs)
        control = {name for one in rounds for name in one.figures.get("control", ())}
        tested = {name for one in rounds for name in one.figures.get("tested", ())}
        ever = {r.record_id for r in ledger.corrections_by_pull(runs, until=pulls)} & control
        learned = {r.record_id for r in ledger.corrections_by_pull(runs, until=before)} if before else set()
        new: tuple[str, ...] = ()
        if self._place.settings.loop.test_run is None:
            came = ever - learned - tested
            new = drawn_for_testing(came, len(ever), len(tested), self._place.settings.loop.test)
        frames = sum(len(task.frames) for task in read_frame_maps(self._place.run(row.run_id)))
        return {"pulls": pulls, "tested": list(new), "labelled": frames}

    def train(self, row: RoundRow, rounds: Sequence[RoundRow]) -> Figures:
        """Train a model on all rounds' labels."""
        return self._learning.train(row, _sent(rounds))

    def evaluate(self, row: RoundRow) -> Figures:
        """Compare it with the champion."""
        rounds = self._place.ledger.rounds(self._place.name)
        return self._learning.evaluate(row, _sent(rounds))

    def promote(self, row: RoundRow) -> None:
        """Put it into service."""
        from .promote import promote

        promote(None, self._place.calling(row.training_run), force=True)

    def _laid_out(self, row: RoundRow) -> Run:
        """Return the run of a round, with the query or the folder of the pool in it."""
        out_root = self._place.settings.io.out_root
        name, _, part = row.run_id.partition("/")
        run = start_run(out_root, name, part, current=False)
        if kept_folder(run) is not None or run.path(_QUERY).is_dir():
            return run
        folder = Path(self._place.pool).expanduser()
        if folder.is_dir():
            keep_folder(run, folder)
            return run
        source = self._place.run(self._place.pool)
        kept = kept_folder(source)
        if kept is not None:
            keep_folder(run, kept)
        elif source.path(_QUERY).is_dir():
            _copy(source.path(_QUERY), run.path(_QUERY))
            run.mark_done(_QUERY, fingerprint(source.run_id, row.run_id))
        else:
            raise NoRunError(
                f"run {source.run_id} has neither a query nor a folder of pictures",
                "Choose the pool: agir-cvtoolkit query, then name its run with --pool.",
            )
        return run


def _sent(rounds: Sequence[RoundRow]) -> list[RoundRow]:
    return [one for one in rounds if "tasks" in one.figures]


def _copy(source: Path, target: Path) -> None:
    part = target.with_name(f".{target.name}.part")
    discard(part)
    shutil.copytree(source, part)
    part.rename(target)

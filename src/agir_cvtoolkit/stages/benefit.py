"""What choosing has brought: as many chosen labels as random ones, learned from alike, tested alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from agir_cvtoolkit.config import Settings
from agir_cvtoolkit.config._simulate import Simulate
from agir_cvtoolkit.ledger import Ledger
from agir_cvtoolkit.progress import Progress, Silent
from agir_cvtoolkit.records import file_stem
from agir_cvtoolkit.runs import Run
from agir_cvtoolkit.training.frozen_features import FrozenFeatures
from agir_cvtoolkit.training.frozen_head import one_thread
from agir_cvtoolkit.training.frozen_pixels import PixelLearner
from agir_cvtoolkit.training.splits import TEST

from ._dataset_pairs import FoundPairs, find_pairs
from ._simulate_arena import RANDOM, Cell
from ._simulate_data import LabelledData, masks_of
from ._simulate_outcome import StrategyCurve, outcome_of, words_of
from ._simulate_units import pool_and_test
from .simulate import FOLDER

CHOSEN = "chosen"
_METRIC = "mean IoU"
_FEWEST = 4
"""Labels of either kind below which nothing is measured."""
_FOLDS = 4
_LEVEL = 0.9


@dataclass(frozen=True)
class Benefit:
    """What was measured.

    Attributes:
        metric: of the scores.
        curves: of ``random`` and ``chosen``, by labels; none where there are too few labels.
        tested: pictures that were tested on.
        tested_on: ``the frozen test set``, or ``control pictures, each held out once``.
        verdict: ``gain``, ``loss``, ``no gain so far``, or ``too few labels``.
        words: what was found, in sentences.
    """

    metric: str
    curves: tuple[StrategyCurve, ...]
    tested: int
    tested_on: str
    verdict: str
    words: tuple[str, ...]


@dataclass(frozen=True)
class _Sides:
    """Places of units: drawn at random, chosen, and of the test set; no picture is in two of them."""

    control: tuple[int, ...]
    chosen: tuple[int, ...]
    test: tuple[int, ...]


def measure_benefit(
    run: Run, settings: Settings, *, seeds: int = 5, progress: Progress | None = None
) -> Benefit:
    """Train small models on labels of the control slice and on as many chosen ones, and compare them.

    Labels are the masks that people gave back in the run and in ``preprocess.source.runs``; the ledger knows which of
    them were drawn at random. Both are tested on pictures of the frozen test set, or, where fewer than two of these have
    labels, on control pictures, each held out once.

    Args:
        run: of the newest round.
        settings: all of them.
        seeds: repetitions, each with other labels of each kind and other weights.
        progress: one step for each picture looked at, and for each training.

    Raises:
        NoRunError: nothing came back.
        DataError: a picture or mask cannot be read.
        MissingExtraError: the learner needs the extra ``train``.
    """
    found = find_pairs(run, settings)
    with Ledger.open(settings.io.ledger_url, settings.io.out_root) as ledger:
        rows = ledger.selections()
        sides = ledger.split_members(settings.preprocess.split.test_set)
    how = {row.unit_id: row.control for row in rows}
    frozen = {sha256 for sha256, side in sides.items() if side == TEST}
    data = masks_of(run.run_id, found)
    labelled = [p for p in found.pairs if p.record_id in how and p.sha256 not in frozen]
    control = [p.record_id for p in labelled if how[p.record_id]]
    chosen = [p.record_id for p in labelled if not how[p.record_id]]
    test = [p.record_id for p in found.pairs if p.sha256 in frozen]
    if min(len(control), len(chosen)) < _FEWEST:
        return _too_few(len(control), len(chosen))
    return _measured(data, found, (control, chosen, test), settings, seeds, progress or Silent())


def _measured(
    data: LabelledData,
    found: FoundPairs,
    ids: tuple[Sequence[str], Sequence[str], Sequence[str]],
    settings: Settings,
    seeds: int,
    progress: Progress,
) -> Benefit:
    wanted = Simulate.model_validate(
        settings.simulate.model_dump() | {"unit": "picture", "budgets": (1, 2), "duplicates": 0.0}
    )
    store = Path(settings.io.out_root).parent / FOLDER / "features" / file_stem(wanted.encoder)
    units = pool_and_test(data, frozenset(), wanted, store, progress).pool
    place = {unit.unit_id: number for number, unit in enumerate(units)}
    groups = {pair.record_id: pair.group for pair in found.pairs}
    control, chosen, test = (tuple(place[i] for i in part if i in place) for part in ids)
    group = [groups[unit.unit_id] for unit in units]
    frozen = len({group[number] for number in test}) >= 2
    sides = _folds(control, chosen, group) if not frozen else [_Sides(control, chosen, test)]
    learner = PixelLearner(
        FrozenFeatures(store),
        [unit.key for unit in units],
        [unit.cells for unit in units if unit.cells is not None],
        len(data.classes),
    )
    most = min(min(len(one.control), len(one.chosen)) for one in sides)
    if most < _FEWEST:
        return _too_few(len(control), len(chosen))
    budgets = (most // 2, most)
    cells: dict[tuple[str, int, int], Cell] = {}
    with progress.bar("measure the benefit", seeds * 2 * len(budgets)) as bar, one_thread():
        for seed in range(seeds):
            for name in (RANDOM, CHOSEN):
                for labels in budgets:
                    score = float(np.mean([_scored(learner, one, name, labels, seed) for one in sides]))
                    cells[name, seed, labels] = Cell(name, seed, labels, labels, score)
                    bar.advance()
    curves = outcome_of(cells, (RANDOM, CHOSEN), budgets, _LEVEL, shared=False)
    tested = {group[number] for one in sides for number in one.test}
    where = "the frozen test set" if frozen else "control pictures, each held out once"
    verdict = {"better": "gain", "worse": "loss"}.get(curves[-1].verdict, "no gain so far")
    words = (*words_of(curves, _METRIC, _LEVEL), f"Tested on {len(tested)} pictures: {where}.")
    return Benefit(_METRIC, curves, len(tested), where, verdict, words)


def _scored(learner: PixelLearner, sides: _Sides, name: str, labels: int, seed: int) -> float:
    pool = sides.control if name == RANDOM else sides.chosen
    # More labels are fewer and others: curves of one seed belong together.
    drawn = np.random.default_rng([seed, name == RANDOM]).permutation(len(pool))[:labels]
    head = learner.learn([pool[number] for number in drawn.tolist()], seed)
    return learner.score(head, sides.test).mean_iou


def _folds(control: Sequence[int], chosen: Sequence[int], group: Sequence[str]) -> list[_Sides]:
    """Hold every control picture out once; what lies in the same picture is not learned from meanwhile."""
    pictures = sorted({group[number] for number in control})
    found = []
    for fold in range(min(_FOLDS, len(pictures))):
        held = set(pictures[fold::_FOLDS])
        found.append(
            _Sides(
                tuple(n for n in control if group[n] not in held),
                tuple(n for n in chosen if group[n] not in held),
                tuple(n for n in control if group[n] in held),
            )
        )
    return found


def _too_few(control: int, chosen: int) -> Benefit:
    words = (
        f"{control} labels were drawn at random and {chosen} chosen: at least {_FEWEST} of each are needed, beside"
        " those that are tested on.",
    )
    return Benefit(_METRIC, (), 0, "", "too few labels", words)

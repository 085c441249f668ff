"""What choosing has brought: as many chosen labels as random ones, learned from alike, tested alike."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from agir_cvtoolkit.config import Settings
from agir_cvtoolkit.config._simulate import Simulate
from agir_cvtoolkit.progress import Progress, Silent
from agir_cvtoolkit.records import file_stem
from agir_cvtoolkit.runs import Run
from agir_cvtoolkit.training.frozen_features import FrozenFeatures
from agir_cvtoolkit.training.frozen_head import one_thread
from agir_cvtoolkit.training.frozen_joints import JointLearner
from agir_cvtoolkit.training.frozen_pixels import PixelLearner

from ._benefit_labels import Kind, Labels, labels_of
from ._paired import Estimate, estimate
from ._simulate_arena import RANDOM
from ._simulate_data import HeldOut
from ._simulate_outcome import Point, StrategyCurve
from ._simulate_units import Units, pool_and_test
from .simulate import FOLDER

CHOSEN = "chosen"
METRICS: dict[Kind, str] = {"segmentation": "mean IoU", "pose": "PCK at 5 %"}
_FEWEST = 4
"""Labels of either kind below which nothing is measured."""
_LEAST_TESTED = 4
"""Pictures of the frozen test set below which control pictures are held out instead."""
_LONG_CURVE = 8
"""Labels of each kind from which on a curve has three points."""
_LEVEL = 0.9
_OVERLAP = 1.0
"""Half of what is there is drawn for each repetition; what the others would have brought is not known."""

Scorer = Callable[[Sequence[int], int, Sequence[int]], float]
Table = NDArray[np.float64]


@dataclass(frozen=True)
class Benefit:
    """What was measured.

    Attributes:
        metric: of the scores.
        curves: of ``random`` and ``chosen``, by labels; none where there are too few labels.
        tested: pictures that were tested on.
        tested_on: ``the frozen test set``, or ``control pictures that were held out``.
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
class _Places:
    """Places of units, and the picture that each was cut from; no picture is tested on and learned from."""

    control: tuple[int, ...]
    chosen: tuple[int, ...]
    test: tuple[int, ...]
    group: tuple[str, ...]

    @property
    def is_frozen(self) -> bool:
        """Whether there is a test set of its own."""
        return len({self.group[place] for place in self.test}) >= _LEAST_TESTED

    @property
    def tested(self) -> set[str]:
        """Pictures that are tested on in one repetition or another."""
        return {self.group[place] for place in (self.test if self.is_frozen else self.control)}

    def drawn(self, rng: np.random.Generator) -> _Places:
        """Return what one repetition sees: half of the test pictures, or of the control pictures a third held out."""
        pictures = sorted(self.tested)
        count = max(1, len(pictures) // (2 if self.is_frozen else 3))
        held = {pictures[number] for number in rng.permutation(len(pictures))[:count].tolist()}
        tested = self.test if self.is_frozen else self.control

        def free(places: tuple[int, ...]) -> tuple[int, ...]:
            left = [place for place in places if self.group[place] not in held]
            return tuple(left[number] for number in rng.permutation(len(left)).tolist())

        return _Places(
            free(self.control),
            free(self.chosen),
            tuple(place for place in tested if self.group[place] in held),
            self.group,
        )


def measure_benefit(
    run: Run,
    settings: Settings,
    *,
    kind: Kind = "segmentation",
    seeds: int = 8,
    progress: Progress | None = None,
) -> Benefit:
    """Train small models on labels of the control slice and on as many chosen ones, and compare them.

    Labels are the masks that people gave back in the run and in ``preprocess.source.runs``, or the poses that a model was
    trained on in the run; the ledger knows which of them were drawn at random. Both are tested on pictures of the frozen
    test set, or, where fewer than four of these have labels, on control pictures that are held out meanwhile.

    Each repetition draws half as many labels as there are of the rarer kind, and half of the test pictures. Its
    interval therefore says how much the difference would move had other labels come back, and other pictures been tested.

    Args:
        run: of the newest round; with poses that of its training.
        settings: all of them.
        kind: masks or poses; pictures with several animals are left out.
        seeds: repetitions, each with other labels of each kind, other test pictures and other weights.
        progress: one step for each picture looked at, and for each training.

    Raises:
        NoRunError: nothing came back, or no pose model was trained.
        DataError: a picture, mask or pose cannot be read.
        MissingExtraError: the learner needs the extra ``train``.
    """
    labels = labels_of(run, settings, kind)
    metric = METRICS[kind]
    if min(len(labels.control), len(labels.chosen)) < _FEWEST:
        return _too_few(metric, labels)
    progress = progress or Silent()
    wanted = Simulate.model_validate(
        settings.simulate.model_dump() | {"unit": "picture", "budgets": (1, 2), "duplicates": 0.0}
    )
    store = Path(settings.io.out_root).parent / FOLDER / "features" / file_stem(wanted.encoder)
    units = pool_and_test(labels.data, HeldOut(), wanted, store, progress)
    places = _places(labels, units)
    drawn = [places.drawn(np.random.default_rng(seed)) for seed in range(seeds)]
    most = min(len(places.control), len(places.chosen)) // 2
    most = min(most, *(min(len(one.control), len(one.chosen)) for one in drawn))
    if not most:
        return _too_few(metric, labels)
    budgets = tuple(sorted({most // 4 if most >= _LONG_CURVE else most, max(1, most // 2), most}))
    scored = _scorer(units, store)
    found = {name: np.empty((seeds, len(budgets))) for name in (RANDOM, CHOSEN)}
    with progress.bar("measure the benefit", seeds * 2 * len(budgets)) as bar, one_thread():
        for seed, one in enumerate(drawn):
            for name, pool in ((RANDOM, one.control), (CHOSEN, one.chosen)):
                for column, count in enumerate(budgets):
                    found[name][seed, column] = scored(pool[:count], seed, one.test)
                    bar.advance()
    curves = _curves(found[RANDOM], found[CHOSEN], budgets)
    where = "the frozen test set" if places.is_frozen else "control pictures that were held out"
    verdict = {"better": "gain", "worse": "loss"}.get(curves[-1].verdict, "no gain so far")
    words = _words(metric, curves, verdict, seeds, len(places.tested), where)
    words += (labels.left_out,) if labels.left_out else ()
    return Benefit(metric, curves, len(places.tested), where, verdict, words)


def _places(labels: Labels, units: Units) -> _Places:
    place = {unit.unit_id: number for number, unit in enumerate(units.pool)}
    control, chosen, test = (
        tuple(place[name] for name in part) for part in (labels.control, labels.chosen, labels.test)
    )
    return _Places(control, chosen, test, tuple(unit.group for unit in units.pool))


def _scorer(units: Units, store: Path) -> Scorer:
    """Return what trains on some units by a seed, and scores the model on others."""
    features = FrozenFeatures(store)
    if units.schema is not None:
        joints = JointLearner(features, [u.pose for u in units.pool if u.pose is not None], units.schema)
        return lambda learned, seed, tested: joints.score(joints.learn(learned, seed), tested).pck[0.05]
    keys = [unit.key for unit in units.pool]
    cells = [unit.cells for unit in units.pool if unit.cells is not None]
    pixels = PixelLearner(features, keys, cells, len(units.classes))
    return lambda learned, seed, tested: pixels.score(pixels.learn(learned, seed), tested).mean_iou


def _curves(random: Table, chosen: Table, budgets: Sequence[int]) -> tuple[StrategyCurve, StrategyCurve]:
    def told(values: Table, column: int) -> Estimate:
        return estimate(values[:, column].tolist(), _LEVEL, _OVERLAP)

    columns = list(enumerate(budgets))
    one = tuple(Point(labels, told(random, column), None) for column, labels in columns)
    other = tuple(
        Point(labels, told(chosen, column), told(chosen - random, column)) for column, labels in columns
    )
    # One comparison, and not the luckiest of several.
    last = other[-1].difference
    verdict = "no different"
    if last is not None and last.low is not None and last.high is not None:
        verdict = "better" if last.low > 0 else "worse" if last.high < 0 else verdict
    return (
        StrategyCurve(RANDOM, one, (), "no different"),
        StrategyCurve(CHOSEN, other, (), verdict),
    )


def _words(
    metric: str, curves: tuple[StrategyCurve, ...], verdict: str, seeds: int, tested: int, where: str
) -> tuple[str, ...]:
    random, chosen = (curve.points[-1] for curve in curves)
    lines = [
        f"With {random.labels} labels each, random choice would have brought {metric} {_told(random.score)};"
        f" what was chosen brought {_told(chosen.score)}."
    ]
    if chosen.difference is not None:
        lines.append(f"Difference: {_told(chosen.difference, sign='+')}: {verdict}.")
    lines.append(
        f"Tested on {tested} pictures: {where}. Means of {seeds} repetitions, each with half of the labels and of the"
        f" test pictures; {_LEVEL:.0%} intervals, as wide as other labels and other test pictures could make them."
    )
    return tuple(lines)


def _told(found: Estimate, sign: str = "") -> str:
    interval = (
        ""
        if found.low is None or found.high is None
        else f" ({found.low:{sign}.3f} to {found.high:{sign}.3f})"
    )
    return f"{found.mean:{sign}.3f}{interval}"


def _too_few(metric: str, labels: Labels) -> Benefit:
    words: tuple[str, ...] = (
        f"{len(labels.control)} labels were drawn at random and {len(labels.chosen)} chosen: at least {_FEWEST} of each"
        " are needed, beside those that are tested on.",
    )
    words += (labels.left_out,) if labels.left_out else ()
    return Benefit(metric, (), 0, "", "too few labels", words)

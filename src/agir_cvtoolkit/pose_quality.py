"""How good a corrected pose looks, as one number in [0, 1]: ``qualityScore``.

The weighted mean of what is known of three parts; the weights are those of `WEIGHTS`, and a part that is not known
leaves its weight to the others:

- *completeness*: over the expected joints, 1 for a joint with a place, 1/2 for one that a person said to be absent, 0
  for one of which nothing was said;
- *plausibility*: how usual the animal's limbs are among the labelled population. A limb is a link of the schema, its
  figure x = ln(length). An animal's size s is the median of x - m over its limbs, with m the population's median of a
  limb after the size is taken off, so a picture's scale does not matter. With the deviation z = |x - s - m| / d, where
  d is 1.4826 times the median absolute deviation of the limb (at least `LEAST_SPREAD`), a limb counts
  1 / (1 + (z / 3)^4). In the same way the logarithm of the ratio of a left limb's length to the right one's, with m = 0:
  its symmetry. Plausibility is the mean of all that can be judged: limbs that at least `LEAST_ANIMALS` animals have;
- *agreement*: the mean object keypoint similarity (see `agreement.oks`) to gold frames or other people's poses of the
  same animal, area as in `poses.animal_area`.

No joint at all is 0.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

from .joints import JointSchema
from .poses import Keypoint, Pose, animal_area

WEIGHTS: Mapping[str, float] = {"completeness": 0.5, "plausibility": 0.3, "agreement": 0.2}
LEAST_ANIMALS = 10
"""So many animals must have a limb before it is judged."""
LEAST_SPREAD = 0.2
"""Smallest spread of a limb's ln(length): limbs foreshorten in pictures, also in a population that does not show it."""
SHORTEST = 0.5
"""Pixels; limbs are taken to be at least so long, so that two joints at one place have a logarithm."""
_NORMAL = 1.4826
"""From a median absolute deviation to a standard deviation."""
_TOLERANCE = 3.0

Limb = tuple[str, str]


@dataclass(frozen=True)
class LimbFigures:
    """What is usual of a limb, or of a left limb against the right one: median, spread, and of how many animals."""

    middle: float
    spread: float
    animals: int


@dataclass(frozen=True)
class Population:
    """What is usual among labelled animals.

    Attributes:
        animals: how many there were.
        limbs: by link of the schema, of ln(length) with the animal's size taken off.
        sides: by left link, of ln(left length / right length); the median is taken to be 0.
    """

    animals: int = 0
    limbs: Mapping[Limb, LimbFigures] = field(default_factory=dict, hash=False)
    sides: Mapping[Limb, LimbFigures] = field(default_factory=dict, hash=False)


@dataclass(frozen=True)
class Quality:
    """The parts of a score, each in [0, 1]; None where it is not known."""

    completeness: float
    plausibility: float | None = None
    agreement: float | None = None

    @property
    def score(self) -> float:
        """The weighted mean of the known parts, with four decimals; 0 where there is no joint."""
        if self.completeness <= 0:
            return 0.0
        parts = (self.completeness, self.plausibility, self.agreement)
        known = {name: value for name, value in zip(WEIGHTS, parts, strict=True) if value is not None}
        total = sum(WEIGHTS[name] for name in known)
        mean = sum(WEIGHTS[name] * value for name, value in known.items()) / total
        return round(min(1.0, max(0.0, mean)), 4)


def quality_of(
    pose: Pose,
    schema: JointSchema,
    expected: Sequence[str],
    population: Population,
    references: Iterable[Pose] = (),
) -> Quality:
    """Return how good a corrected pose looks.

    Args:
        pose: the animal; joints that a person said to be absent are in it as such.
        schema: of its joints.
        expected: joints that are to be there: of the capture's joint group.
        population: what is usual; an empty one leaves plausibility unknown.
        references: the same animal in gold frames or by other people.
    """
    if not pose.there:
        return Quality(0.0)
    return Quality(
        completeness(pose, expected),
        plausibility(pose, schema, population),
        agreement(pose, schema, references),
    )


def completeness(pose: Pose, expected: Sequence[str]) -> float:
    """Return how much was said of the expected joints, in [0, 1]; 1 where none is expected."""
    if not expected:
        return 1.0
    said = (pose.keypoints.get(joint) for joint in expected)
    return sum(0.0 if point is None else 1.0 if point.is_there else 0.5 for point in said) / len(expected)


def plausibility(pose: Pose, schema: JointSchema, population: Population) -> float | None:
    """Return how usual limb lengths and symmetry are, in [0, 1]; None where nothing can be judged."""
    lengths = _log_lengths(pose, schema)
    judged = {limb: x for limb, x in lengths.items() if _is_known(population.limbs.get(limb))}
    counts: list[float] = []
    if len(judged) > 1:  # of a single limb the size would be its own measure
        size = median(x - population.limbs[limb].middle for limb, x in judged.items())
        counts += [_usual(x - size, population.limbs[limb]) for limb, x in judged.items()]
    for limb, ratio in _side_ratios(lengths, schema).items():
        figures = population.sides.get(limb)
        if figures is not None and _is_known(figures):
            counts.append(_usual(ratio, figures))
    return sum(counts) / len(counts) if counts else None


def agreement(pose: Pose, schema: JointSchema, references: Iterable[Pose]) -> float | None:
    """Return the mean object keypoint similarity to other poses of the same animal; None where there is none."""
    import numpy as np

    from .agreement import oks

    def places(given: Pose) -> list[tuple[float, float]]:
        there = given.there
        return [(there[j].x, there[j].y) if j in there else (math.nan, math.nan) for j in schema.joints]

    own = np.array(places(pose))
    sigmas = np.array(schema.sigmas)
    found = [
        oks(own, np.array(places(reference)), sigmas, area)
        for reference in references
        if reference.there and math.isfinite(area := animal_area(reference))
    ]
    return sum(found) / len(found) if found else None


def population_of(keypoints: Iterable[Mapping[str, Keypoint]], schema: JointSchema) -> Population:
    """Return what is usual among labelled animals.

    Args:
        keypoints: of each animal by joint; memory grows with their number.
        schema: of the joints.
    """
    animals = [found for points in keypoints if (found := _log_lengths(Pose(points), schema))]
    # The sizes and what is usual of a limb depend on each other: one step from a rough size is enough.
    sizes = [median(lengths.values()) for lengths in animals]
    middles = {limb: median(x) for limb, x in _by_limb(animals, sizes).items()}
    sizes = [median(x - middles[limb] for limb, x in lengths.items()) for lengths in animals]
    limbs = {limb: _figures(x, median(x)) for limb, x in _by_limb(animals, sizes).items()}
    ratios: dict[Limb, list[float]] = {}
    for lengths in animals:
        for limb, ratio in _side_ratios(lengths, schema).items():
            ratios.setdefault(limb, []).append(ratio)
    return Population(len(animals), limbs, {limb: _figures(found, 0.0) for limb, found in ratios.items()})


def _log_lengths(pose: Pose, schema: JointSchema) -> dict[Limb, float]:
    there = pose.there
    return {
        (a, b): math.log(max(SHORTEST, math.hypot(there[a].x - there[b].x, there[a].y - there[b].y)))
        for a, b in schema.links
        if a in there and b in there
    }


def _side_ratios(lengths: Mapping[Limb, float], schema: JointSchema) -> dict[Limb, float]:
    """Return ln(left length / right length) by left limb."""
    right = dict(schema.pairs)
    found = {}
    for (a, b), length in lengths.items():
        other = (right.get(a, a), right.get(b, b))
        if other == (a, b):
            continue
        against = lengths.get(other, lengths.get((other[1], other[0])))
        if against is not None:
            found[a, b] = length - against
    return found


def _by_limb(animals: Sequence[Mapping[Limb, float]], sizes: Sequence[float]) -> dict[Limb, list[float]]:
    found: dict[Limb, list[float]] = {}
    for lengths, size in zip(animals, sizes, strict=True):
        for limb, x in lengths.items():
            found.setdefault(limb, []).append(x - size)
    return found


def _figures(values: Sequence[float], middle: float) -> LimbFigures:
    spread = _NORMAL * median(abs(value - middle) for value in values)
    return LimbFigures(middle, max(LEAST_SPREAD, spread), len(values))


def _is_known(figures: LimbFigures | None) -> bool:
    return figures is not None and figures.animals >= LEAST_ANIMALS


def _usual(value: float, figures: LimbFigures) -> float:
    deviation = abs(value - figures.middle) / figures.spread
    return 1.0 / (1.0 + (deviation / _TOLERANCE) ** 4)

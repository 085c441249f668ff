"""What a simulation chooses from and tests on: units, what the encoder saw of them, their labels for learners."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from agir_cvtoolkit.choosing import Region
from agir_cvtoolkit.config._simulate import Simulate
from agir_cvtoolkit.errors import DataError
from agir_cvtoolkit.joints import JointSchema
from agir_cvtoolkit.pictures import glance
from agir_cvtoolkit.progress import Progress
from agir_cvtoolkit.similarity.hashing import perceptual_hash

from ._simulate_data import HeldOut, LabelledData, Truth
from ._simulate_look import Cut, Looking, Opening, Unit, shrunk_size

_SOURCES = 20
"""One in so many units is what the near-duplicates are of: a camera that stood still."""
_DRAW = 20260101


@dataclass(frozen=True, eq=False)
class Units:
    """All units.

    Attributes:
        pool: what any seed may choose, sorted by id; near-duplicates behind the others.
        test: what covers the whole pictures that any seed tests on.
        tested: which of them each seed does; it chooses nothing from those.
        classes: names of the learner's outputs, background first; empty for poses.
        schema: of poses.
        opening: of their pictures.
        encoder: that has looked at them.
    """

    pool: tuple[Unit, ...]
    test: tuple[Unit, ...]
    tested: HeldOut
    classes: tuple[str, ...]
    schema: JointSchema | None
    opening: Opening
    encoder: str

    def sides(self, seed: int) -> tuple[list[int], list[int]]:
        """Return the places of what a seed chooses from in `pool`, and of what it tests on in `test`."""
        tested = self.tested.by(seed)
        return (
            [place for place, unit in enumerate(self.pool) if unit.group not in tested],
            [place for place, unit in enumerate(self.test) if unit.group in tested],
        )


def pool_and_test(
    data: LabelledData, tested: HeldOut, settings: Simulate, store: Path, progress: Progress
) -> Units:
    """Look at all pictures once; what the encoder saw is kept in a folder for the next time.

    Args:
        data: labelled pictures.
        tested: which are tested on, as whole pictures.
        settings: the group ``simulate``.
        store: folder of the encoder's maps.
        progress: one step for each unit.

    Raises:
        DataError: the pool is smaller than the largest budget.
        ConfigError, CheckpointError, MissingExtraError: the encoder cannot be opened.
    """
    own, held = cuts_of(data, tested, settings)
    copies = _copies(own, settings.duplicates)
    least = least_pool([cut.truth.group for cut in (*own, *copies)], tested, settings.seeds)
    if least < settings.budgets[-1]:
        raise DataError(
            f"the pool has {least} {settings.unit}s, fewer than the largest budget {settings.budgets[-1]}",
            "Lower simulate.budgets, or take smaller tiles.",
        )
    looking, opening = Looking(data, settings, store), Opening(tuple(data.classes), settings.max_side)
    with progress.bar("look at pictures", len(own) + len(copies) + len(held)) as bar:

        def seen(cuts: Sequence[Cut]) -> Iterator[Unit]:
            for truth, group in _by_picture(cuts):
                rgb, mask = opening.whole(truth)
                whole = perceptual_hash(rgb)
                for cut in group:
                    yield looking.unit(cut, rgb, mask, whole)
                    bar.advance()

        pool = [*sorted(seen(own), key=lambda u: u.unit_id), *sorted(seen(copies), key=lambda u: u.unit_id)]
        test = list(seen(held))
    classes = tuple(data.classes.values())
    return Units(tuple(pool), tuple(test), tested, classes, data.schema, opening, settings.encoder)


def least_pool(groups: Sequence[str], tested: HeldOut, seeds: int) -> int:
    """Return the units that the seed with the smallest pool may choose from.

    Args:
        groups: of every unit that any seed may choose.
        tested: which each seed tests on.
        seeds: how many.
    """
    return min(
        sum(group not in held for group in groups) for held in {tested.by(seed) for seed in range(seeds)}
    )


def cuts_of(data: LabelledData, tested: HeldOut, settings: Simulate) -> tuple[list[Cut], list[Cut]]:
    """Return the units that any seed may choose, without near-duplicates, and those that any tests on."""
    own: list[Cut] = []
    held: list[Cut] = []
    for truth in data.truths:
        if truth.group in tested.groups:
            held += _covering(truth, settings) if data.kind == "masks" else [Cut(truth, None)]
        if tested.always(truth.group):
            continue
        if settings.unit == "picture" or data.kind == "poses":
            own.append(Cut(truth, None))
        else:
            own += [Cut(truth, region) for region in _tiles(truth, settings)]
    return own, held


def _tiles(truth: Truth, settings: Simulate) -> list[Region | None]:
    width, height = shrunk_size(glance(truth.picture).size, settings.max_side)
    side = settings.tile
    if width < side or height < side:
        return [None]
    return [
        Region(left * side, top * side, side, side)
        for top in range(height // side)
        for left in range(width // side)
    ]


def _covering(truth: Truth, settings: Simulate) -> list[Cut]:
    """Return tiles that cover a picture, each pixel counted once: models see what they have learned from."""
    size = shrunk_size(glance(truth.picture).size, settings.max_side)
    side = settings.tile
    if settings.unit == "picture" or min(size) < side:
        return [Cut(truth, None)]
    lefts, tops = ([min(step * side, length - side) for step in range(-(-length // side))] for length in size)
    return [
        Cut(
            truth,
            Region(left, top, side, side),
            known=(row * side - top, column * side - left),
        )
        for row, top in enumerate(tops)
        for column, left in enumerate(lefts)
    ]


def _copies(own: Sequence[Cut], share: float) -> list[Cut]:
    """Return near-duplicates of few units, as a camera makes them that stands still: so many that they are a share."""
    if not share:
        return []
    rng = np.random.default_rng(_DRAW)
    sources = rng.choice(len(own), max(1, len(own) // _SOURCES), replace=False)
    drawn = rng.choice(sources, round(len(own) * share / (1 - share)))
    return [replace(own[source], copy=number) for number, source in enumerate(sorted(drawn.tolist()), 1)]


def _by_picture(cuts: Sequence[Cut]) -> list[tuple[Truth, list[Cut]]]:
    groups: dict[str, tuple[Truth, list[Cut]]] = {}
    for cut in cuts:
        groups.setdefault(cut.truth.record_id, (cut.truth, []))[1].append(cut)
    return list(groups.values())
